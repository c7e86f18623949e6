// Counts the bytes of tensors on the CPU: an allocator in front of libtorch's own, in place before main() begins. It can
// be given a limit, beyond which an allocation fails as on a GPU that is full, and told to fail one for a test.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace {

std::atomic<uint64_t> current{0}, peak{0}, limit{UINT64_MAX};
// Of this thread: allocations so far, and how many are left until one fails (0 for none).
thread_local uint64_t made = 0, until_failure = 0;

constexpr auto CPU = c10::DeviceType::CPU;

// Stands before each block, so that its size is known when it is freed; as long as the alignment, which it keeps.
struct alignas(c10::gAlignment) Header {
    uint64_t size;
};

void enter(uint64_t size) {
    made++;
    if (until_failure && --until_failure == 0)
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory: an allocation of ", size, " bytes was made to fail");
    uint64_t now = current.fetch_add(size, std::memory_order_relaxed) + size;
    uint64_t most = limit.load(std::memory_order_relaxed);
    if (now > most) {
        current.fetch_sub(size, std::memory_order_relaxed);
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory: ", size, " bytes beside the ", now - size,
                         " in use are more than the limit of ", most);
    }
    uint64_t highest = peak.load(std::memory_order_relaxed);
    while (now > highest && !peak.compare_exchange_weak(highest, now, std::memory_order_relaxed)) {
    }
}

void leave(uint64_t size) { current.fetch_sub(size, std::memory_order_relaxed); }

c10::Allocator* base() {
    static c10::Allocator* allocator = c10::GetDefaultCPUAllocator();
    return allocator;
}

class Counting final : public c10::Allocator {
  public:
    c10::DataPtr allocate(size_t size) override {
        if (size == 0) return {nullptr, nullptr, &release, CPU};
        enter(size);
        void* whole = nullptr;
        try {
            whole = base()->raw_allocate(size + sizeof(Header));
        } catch (...) {
            leave(size);
            throw;
        }
        void* block = new (whole) Header{size} + 1;
        return {block, block, &release, CPU};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &release; }

    void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }

  private:
    static void release(void* block) {
        if (!block) return;
        Header* header = static_cast<Header*>(block) - 1;
        leave(header->size);
        base()->raw_deallocate(header);
    }
};

// Blocks made before keep libtorch's own deleter. Priority 1 stands above libtorch's 0.
const bool installed = [] {
    c10::SetAllocator(CPU, new Counting, 1);  // for the life of the process
    return true;
}();

}  // namespace

extern "C" {

uint64_t trainer_allocator_current() { return current.load(std::memory_order_relaxed); }

uint64_t trainer_allocator_peak() { return peak.load(std::memory_order_relaxed); }

void trainer_allocator_reset_peak() { peak.store(current.load(std::memory_order_relaxed), std::memory_order_relaxed); }

void trainer_allocator_set_limit(uint64_t bytes) { limit.store(bytes, std::memory_order_relaxed); }

uint64_t trainer_allocator_made() { return made; }

void trainer_allocator_fail(uint64_t number) { until_failure = number; }
}
