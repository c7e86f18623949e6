// The C face of the shims, as sdk/abi/src/{text,tensor}.rs define it.
#pragma once
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>

struct Str {
    const uint8_t* ptr;
    size_t len;
};

struct Sink {
    void* context;
    void (*write)(void* context, const uint8_t* ptr, size_t len);

    void put(const char* text) const { write(context, reinterpret_cast<const uint8_t*>(text), std::strlen(text)); }
};

struct Value {
    uint32_t tag;
    uint32_t len;
    uint64_t data;
};

struct TensorInfo {
    int32_t dtype;
    int32_t requires_grad;
    int32_t device_type;
    int32_t device_index;
    const int64_t* sizes;
    size_t num_sizes;
};

using Status = int32_t;
constexpr Status OK = 0;
constexpr Status FAILED = 1;

// Runs `body`; an exception becomes FAILED and its text, since none may pass the boundary.
template <class Body>
Status guarded(Sink error, Body body) {
    try {
        body();
        return OK;
    } catch (const c10::Error& e) {
        error.put(e.what_without_backtrace());
    } catch (const std::exception& e) {
        error.put(e.what());
    }
    return FAILED;
}
