// The memory of a GPU, as the driver and libtorch's caching allocator count it.
#include "table.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

namespace allocator = c10::cuda::CUDACachingAllocator;

namespace {

// The allocator has no statistics of a device before it has met it.
c10::DeviceIndex met(int32_t device) {
    auto count = c10::cuda::device_count_ensure_non_zero();
    TORCH_CHECK(device >= 0 && device < count, "there is no GPU ", device, ", only ", count, " of them, from 0");
    if (!allocator::get()->initialized()) allocator::init(count);
    return static_cast<c10::DeviceIndex>(device);
}

Status memory(int32_t device, Memory* out, Sink error) {
    return guarded(error, [&] {
        auto index = met(device);
        c10::cuda::CUDAGuard guard(index);
        size_t free = 0, total = 0;
        C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
        const auto stats = allocator::getDeviceStats(index);
        constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
        auto bytes = [](int64_t count) { return static_cast<uint64_t>(count); };
        *out = {free,
                total,
                bytes(stats.allocated_bytes[all].current),
                bytes(stats.allocated_bytes[all].peak),
                bytes(stats.reserved_bytes[all].current),
                bytes(stats.reserved_bytes[all].peak)};
    });
}

Status reset_peak(int32_t device, Sink error) {
    return guarded(error, [&] { allocator::resetPeakStats(met(device)); });
}

Status empty_cache(Sink error) {
    return guarded(error, [&] {
        met(0);
        allocator::emptyCache();
    });
}

Status set_fraction(int32_t device, double fraction, Sink error) {
    return guarded(error, [&] { allocator::setMemoryFraction(fraction, met(device)); });
}

}  // namespace

void fill_memory(Table& table) {
    table.memory = memory;
    table.reset_peak = reset_peak;
    table.empty_cache = empty_cache;
    table.set_fraction = set_fraction;
}
