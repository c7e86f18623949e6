// The C face of the shims, as sdk/abi/src/{text,tensor}.rs define it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

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
