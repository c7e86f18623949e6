// What a step that is repeated takes back: gradients leave their parameters, random numbers go on from a kept state.
#include "abi.h"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <mutex>
#include <utility>

namespace {

at::Generator generator(int32_t device_type, int32_t index) {
    auto type = static_cast<c10::DeviceType>(device_type);
    return at::globalContext().defaultGenerator(c10::Device(type, type == c10::DeviceType::CPU ? -1 : index));
}

template <typename Work>
Status guarded(Sink error, Work work) {
    try {
        work();
        return OK;
    } catch (const c10::Error& e) {
        error.put(e.what_without_backtrace());
    } catch (const std::exception& e) {
        error.put(e.what());
    }
    return FAILED;
}

}  // namespace

extern "C" {

// Null where there is none.
void* trainer_gradient_take(const void* parameter) {
    auto& gradient = static_cast<const at::Tensor*>(parameter)->mutable_grad();
    if (!gradient.defined()) return nullptr;
    return new at::Tensor(std::exchange(gradient, at::Tensor()));
}

// The tensor stays the caller's, who shares it with the parameter from now on.
void trainer_gradient_put(const void* parameter, const void* gradient) {
    static_cast<const at::Tensor*>(parameter)->mutable_grad() = *static_cast<const at::Tensor*>(gradient);
}

Status trainer_random_state(int32_t device_type, int32_t index, void** state, Sink error) {
    return guarded(error, [&] {
        auto random = generator(device_type, index);
        std::lock_guard<std::mutex> lock(random.mutex());
        *state = new at::Tensor(random.get_state());
    });
}

Status trainer_random_restore(int32_t device_type, int32_t index, const void* state, Sink error) {
    return guarded(error, [&] {
        auto random = generator(device_type, index);
        std::lock_guard<std::mutex> lock(random.mutex());
        random.set_state(*static_cast<const at::Tensor*>(state));
    });
}
}
