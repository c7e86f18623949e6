// Tensor handles of the plugin boundary: a handle is an at::Tensor on the heap, as tch has it too.
#include "abi.h"

#include <ATen/ATen.h>

extern "C" {

void* trainer_tensor_retain(void* tensor) { return new at::Tensor(*static_cast<at::Tensor*>(tensor)); }

void trainer_tensor_release(void* tensor) { delete static_cast<at::Tensor*>(tensor); }

void trainer_tensor_describe(void* handle, TensorInfo* info) {
    const auto& tensor = *static_cast<at::Tensor*>(handle);
    auto sizes = tensor.sizes();
    *info = {static_cast<int32_t>(tensor.scalar_type()),
             tensor.requires_grad(),
             static_cast<int32_t>(tensor.device().type()),
             tensor.device().is_cpu() ? -1 : tensor.device().index(),
             sizes.data(),
             sizes.size()};
}

Status trainer_tensor_from_bytes(int32_t dtype, const int64_t* sizes, size_t num_sizes, Str bytes, void** out,
                                 Sink error) {
    return guarded(error, [&] {
        auto tensor = at::empty(at::IntArrayRef(sizes, num_sizes), static_cast<at::ScalarType>(dtype));
        TORCH_CHECK(tensor.nbytes() == bytes.len, "size ", tensor.sizes(), " takes ", tensor.nbytes(), " bytes, not ",
                    bytes.len);
        if (bytes.len) std::memcpy(tensor.data_ptr(), bytes.ptr, bytes.len);
        *out = new at::Tensor(std::move(tensor));
    });
}

Status trainer_tensor_to_bytes(void* handle, Sink out, Sink error) {
    return guarded(error, [&] {
        auto tensor = static_cast<at::Tensor*>(handle)->detach().cpu().contiguous();
        out.write(out.context, static_cast<const uint8_t*>(tensor.const_data_ptr()), tensor.nbytes());
    });
}
}
