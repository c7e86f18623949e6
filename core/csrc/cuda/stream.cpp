// Streams and events: what runs beside what, and what waits for what.
#include "table.h"

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>

using c10::cuda::CUDAEvent;
using c10::cuda::CUDAStream;

namespace {

CUDAStream& as_stream(void* stream) { return *static_cast<CUDAStream*>(stream); }

CUDAEvent& as_event(void* event) { return *static_cast<CUDAEvent*>(event); }

CUDAStream or_current(void* stream) { return stream ? as_stream(stream) : c10::cuda::getCurrentCUDAStream(); }

Status stream_new(int32_t device, bool is_urgent, void** stream, Sink error) {
    return guarded(error, [&] {
        *stream = new CUDAStream(c10::cuda::getStreamFromPool(is_urgent, static_cast<c10::DeviceIndex>(device)));
    });
}

void stream_free(void* stream) { delete static_cast<CUDAStream*>(stream); }

Status stream_current(int32_t device, void** stream, Sink error) {
    return guarded(error, [&] {
        *stream = new CUDAStream(c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)));
    });
}

Status stream_make_current(void* stream, Sink error) {
    return guarded(error, [&] { c10::cuda::setCurrentCUDAStream(as_stream(stream)); });
}

Status stream_synchronize(void* stream, Sink error) {
    return guarded(error, [&] { or_current(stream).synchronize(); });
}

Status stream_wait(void* stream, void* event, Sink error) {
    return guarded(error, [&] { as_event(event).block(or_current(stream)); });
}

// The tensor's memory is not used again before the stream is through with it.
Status stream_record(void* stream, void* tensor, Sink error) {
    return guarded(error, [&] {
        const auto& storage = static_cast<at::Tensor*>(tensor)->storage();
        c10::cuda::CUDACachingAllocator::recordStream(storage.data_ptr(), or_current(stream));
    });
}

Status event_new(bool is_timed, void** event, Sink error) {
    return guarded(error, [&] { *event = new CUDAEvent(is_timed ? cudaEventDefault : cudaEventDisableTiming); });
}

void event_free(void* event) { delete static_cast<CUDAEvent*>(event); }

Status event_record(void* event, void* stream, Sink error) {
    return guarded(error, [&] { as_event(event).record(or_current(stream)); });
}

Status event_is_done(void* event, bool* is_done, Sink error) {
    return guarded(error, [&] { *is_done = as_event(event).query(); });
}

Status event_synchronize(void* event, Sink error) {
    return guarded(error, [&] { as_event(event).synchronize(); });
}

Status event_elapsed(void* start, void* end, double* milliseconds, Sink error) {
    return guarded(error, [&] { *milliseconds = as_event(start).elapsed_time(as_event(end)); });
}

}  // namespace

void fill_stream(Table& table) {
    table.stream_new = stream_new;
    table.stream_free = stream_free;
    table.stream_current = stream_current;
    table.stream_make_current = stream_make_current;
    table.stream_synchronize = stream_synchronize;
    table.stream_wait = stream_wait;
    table.stream_record = stream_record;
    table.event_new = event_new;
    table.event_free = event_free;
    table.event_record = event_record;
    table.event_is_done = event_is_done;
    table.event_synchronize = event_synchronize;
    table.event_elapsed = event_elapsed;
}
