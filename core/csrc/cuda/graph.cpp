// CUDA graphs: the kernels of a piece of work, captured once and replayed with one call.
#include "table.h"

#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>

using at::cuda::CUDAGraph;

namespace {

CUDAGraph& as_graph(void* graph) { return *static_cast<CUDAGraph*>(graph); }

Status graph_new(void** graph, Sink error) {
    return guarded(error, [&] { *graph = new CUDAGraph(); });
}

void graph_free(void* graph) { delete static_cast<CUDAGraph*>(graph); }

// Random numbers go on from replay to replay, where otherwise each would draw those of the capture.
Status graph_register_generator(void* graph, int32_t device, Sink error) {
    return guarded(error, [&] {
        auto index = static_cast<c10::DeviceIndex>(device);
        as_graph(graph).register_generator_state(at::cuda::detail::getDefaultCUDAGenerator(index));
    });
}

// Captures what this thread does on its current stream, which must not be the default one. Other threads go on as they
// like: page-locked memory is allocated by loader threads. Memory comes from the pool of `pool_of`, or from a new one.
Status graph_begin(void* graph, void* pool_of, Sink error) {
    return guarded(error, [&] {
        auto pool = pool_of ? as_graph(pool_of).pool() : c10::cuda::MempoolId_t{0, 0};
        as_graph(graph).capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    });
}

Status graph_end(void* graph, Sink error) {
    return guarded(error, [&] { as_graph(graph).capture_end(); });
}

Status graph_replay(void* graph, Sink error) {
    return guarded(error, [&] { as_graph(graph).replay(); });
}

}  // namespace

void fill_graph(Table& table) {
    table.graph_new = graph_new;
    table.graph_free = graph_free;
    table.graph_register_generator = graph_register_generator;
    table.graph_begin = graph_begin;
    table.graph_end = graph_end;
    table.graph_replay = graph_replay;
}
