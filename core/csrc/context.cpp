// libtorch's settings for the whole process: attention kernels, determinism, precision of float32, random generators.
#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

namespace {

// Bits of the attention kernels, as core/src/torch/attention.rs has them.
enum Kernel : uint32_t { FLASH = 1, EFFICIENT = 2, MATH = 4, CUDNN = 8 };

// Bits of determinism, as core/src/torch/context.rs has them.
enum Determinism : uint32_t { ALGORITHMS = 1, CUDNN_ALGORITHMS = 2, CUDNN_BENCHMARK = 4 };

// Keeps what libtorch warns of meanwhile: why a kernel cannot be taken is said in warnings alone.
struct Warnings : c10::WarningHandler {
    std::string text;

    void process(const c10::Warning& warning) override { text += warning.msg() + "\n"; }
};

at::Device device(int32_t type, int32_t index) {
    return {static_cast<c10::DeviceType>(type), static_cast<c10::DeviceIndex>(index)};
}

}  // namespace

extern "C" {

uint32_t trainer_attention_kernels() {
    const auto& context = at::globalContext();
    return (context.userEnabledFlashSDP() ? FLASH : 0) | (context.userEnabledMemEfficientSDP() ? EFFICIENT : 0) |
           (context.userEnabledMathSDP() ? MATH : 0) | (context.userEnabledCuDNNSDP() ? CUDNN : 0);
}

void trainer_attention_allow(uint32_t kernels) {
    auto& context = at::globalContext();
    context.setSDPUseFlash(kernels & FLASH);
    context.setSDPUseMemEfficient(kernels & EFFICIENT);
    context.setSDPUseMath(kernels & MATH);
    context.setSDPUseCuDNN(kernels & CUDNN);
}

// The kernel (one bit) that attention takes for these queries, keys and values; fails where none can be.
Status trainer_attention_choice(void* query, void* key, void* value, uint32_t* kernel, Sink error) {
    Warnings warnings;
    c10::WarningUtils::WarningHandlerGuard handled(&warnings);
    auto status = guarded(error, [&] {
        auto tensor = [](void* handle) -> const at::Tensor& { return *static_cast<at::Tensor*>(handle); };
        auto choice = at::_fused_sdp_choice(tensor(query), tensor(key), tensor(value));
        switch (static_cast<at::SDPBackend>(choice)) {
            case at::SDPBackend::flash_attention: *kernel = FLASH; break;
            case at::SDPBackend::efficient_attention: *kernel = EFFICIENT; break;
            case at::SDPBackend::math: *kernel = MATH; break;
            case at::SDPBackend::cudnn_attention: *kernel = CUDNN; break;
            default: TORCH_CHECK(false, "no kernel that is allowed can compute this");
        }
    });
    if (status != OK) error.put(("\n" + warnings.text).c_str());
    return status;
}

uint32_t trainer_determinism() {
    const auto& context = at::globalContext();
    return (context.deterministicAlgorithms() ? ALGORITHMS : 0) |
           (context.deterministicCuDNN() ? CUDNN_ALGORITHMS : 0) | (context.benchmarkCuDNN() ? CUDNN_BENCHMARK : 0);
}

// An operator without a deterministic algorithm warns and runs. Fresh memory is not filled, which costs time and helps
// only programs that read what they have not written.
Status trainer_determinism_set(uint32_t determinism, Sink error) {
    return guarded(error, [&] {
        auto& context = at::globalContext();
        context.setDeterministicFillUninitializedMemory(false);
        context.setDeterministicAlgorithms(determinism & ALGORITHMS, /*warn_only=*/true);
        context.setDeterministicCuDNN(determinism & CUDNN_ALGORITHMS);
        context.setBenchmarkCuDNN(determinism & CUDNN_BENCHMARK);
    });
}

// Whether products of float32 on a GPU may be rounded to TF32 (10 bits): matrices, convolutions.
void trainer_tf32(bool* matrices, bool* convolutions) {
    *matrices = at::globalContext().allowTF32CuBLAS();
    *convolutions = at::globalContext().allowTF32CuDNN();
}

Status trainer_tf32_set(bool matrices, bool convolutions, Sink error) {
    return guarded(error, [&] {
        at::globalContext().setAllowTF32CuBLAS(matrices);
        at::globalContext().setAllowTF32CuDNN(convolutions);
    });
}

// The state of a device's default random generator: a tensor of bytes on the CPU.
Status trainer_random_state(int32_t type, int32_t index, void** state, Sink error) {
    return guarded(error, [&] {
        auto generator = at::globalContext().defaultGenerator(device(type, index));
        std::lock_guard<std::mutex> lock(generator.mutex());
        *state = new at::Tensor(generator.get_state());
    });
}

Status trainer_random_set_state(int32_t type, int32_t index, void* state, Sink error) {
    return guarded(error, [&] {
        auto generator = at::globalContext().defaultGenerator(device(type, index));
        std::lock_guard<std::mutex> lock(generator.mutex());
        generator.set_state(*static_cast<at::Tensor*>(state));
    });
}

// What this libtorch was built from, its version among it.
void trainer_libtorch_build(Sink text) { text.put(at::show_config().c_str()); }

// The instructions that its kernels use here, such as AVX512.
void trainer_libtorch_instructions(Sink text) { text.put(at::get_cpu_capability().c_str()); }

// The version whose headers this was compiled with.
void trainer_libtorch_headers(Sink text) { text.put(TORCH_VERSION); }
}
