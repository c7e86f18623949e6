// The GPUs of this machine, and the table of everything that the shared object offers.
#include "table.h"

#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

namespace {

Status count(int32_t* devices, Sink error) {
    return guarded(error, [&] { *devices = c10::cuda::device_count_ensure_non_zero(); });
}

Status properties(int32_t device, Properties* out, Sink name, Sink error) {
    return guarded(error, [&] {
        cudaDeviceProp found;
        C10_CUDA_CHECK(cudaGetDeviceProperties(&found, device));
        *out = {found.major, found.minor, found.multiProcessorCount, found.totalGlobalMem};
        name.put(found.name);
    });
}

Status synchronize(int32_t device, Sink error) {
    return guarded(error, [&] {
        c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
        c10::cuda::device_synchronize();
    });
}

Status use_device(int32_t device, Sink error) {
    return guarded(error, [&] { c10::cuda::set_device(static_cast<c10::DeviceIndex>(device)); });
}

}  // namespace

void fill_device(Table& table) {
    table.count = count;
    table.properties = properties;
    table.synchronize = synchronize;
    table.use_device = use_device;
}

extern "C" const Table* trainer_cuda_table() {
    static const Table table = [] {
        Table table{sizeof(Table)};
        fill_device(table);
        fill_memory(table);
        fill_stream(table);
        fill_graph(table);
        return table;
    }();
    return &table;
}
