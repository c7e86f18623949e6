// What libtrainer_cuda.so offers, as core/src/torch/cuda/table.rs has it. Handles are objects on the heap; devices are
// counted from 0; a stream that is null is the current one of its thread.
#pragma once
#include "../guard.h"

struct Properties {
    int32_t major, minor;  // compute capability
    int32_t processors;
    uint64_t memory;  // bytes
};

struct Memory {
    uint64_t free, total;                 // of the device, other processes counted too, in bytes
    uint64_t allocated, allocated_peak;   // by tensors of this process
    uint64_t reserved, reserved_peak;     // kept by this process's allocator, tensors included
};

struct Table {
    size_t size;  // of this struct, so that a file of another build is noticed

    // device.cpp
    Status (*count)(int32_t* devices, Sink error);
    Status (*properties)(int32_t device, Properties* out, Sink name, Sink error);
    Status (*synchronize)(int32_t device, Sink error);
    Status (*use_device)(int32_t device, Sink error);

    // memory.cpp
    Status (*memory)(int32_t device, Memory* out, Sink error);
    Status (*reset_peak)(int32_t device, Sink error);
    Status (*empty_cache)(Sink error);
    Status (*set_fraction)(int32_t device, double fraction, Sink error);

    // stream.cpp
    Status (*stream_new)(int32_t device, bool is_urgent, void** stream, Sink error);
    void (*stream_free)(void* stream);
    Status (*stream_current)(int32_t device, void** stream, Sink error);
    Status (*stream_make_current)(void* stream, Sink error);
    Status (*stream_synchronize)(void* stream, Sink error);
    Status (*stream_wait)(void* stream, void* event, Sink error);
    Status (*stream_record)(void* stream, void* tensor, Sink error);
    Status (*event_new)(bool is_timed, void** event, Sink error);
    void (*event_free)(void* event);
    Status (*event_record)(void* event, void* stream, Sink error);
    Status (*event_is_done)(void* event, bool* is_done, Sink error);
    Status (*event_synchronize)(void* event, Sink error);
    Status (*event_elapsed)(void* start, void* end, double* milliseconds, Sink error);

    // graph.cpp
    Status (*graph_new)(void** graph, Sink error);
    void (*graph_free)(void* graph);
    Status (*graph_register_generator)(void* graph, int32_t device, Sink error);
    Status (*graph_begin)(void* graph, void* pool_of, Sink error);
    Status (*graph_end)(void* graph, Sink error);
    Status (*graph_replay)(void* graph, Sink error);
};

// Each file fills in its part.
void fill_device(Table& table);
void fill_memory(Table& table);
void fill_stream(Table& table);
void fill_graph(Table& table);
