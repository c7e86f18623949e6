// Tensors' memory on the CPU: an allocator in front of libtorch's own, in place before main() begins. It counts bytes, can
// be given a limit, beyond which an allocation fails as on a GPU that is full, and told to fail one for a test.
//
// Large blocks come from the system and are kept for the next tensor of their size, so that a step finds its pages where
// the last one left them. Blocks in use and blocks kept are together never more than were in use at a time: unlike with
// a heap, no gaps between blocks add to what the process holds.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>
#include <c10/util/Exception.h>

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <cstdlib>
#include <cstdio>

namespace {

constexpr auto CPU = c10::DeviceType::CPU;
constexpr auto RELAXED = std::memory_order_relaxed;

// Blocks from here on are large, in bytes.
constexpr uint64_t LARGE = 1 << 20;

// Sizes of large blocks between a power of two and the next.
constexpr int SIZES = 16;

std::atomic<uint64_t> current{0}, peak{0}, limit{UINT64_MAX};
// The most bytes in use since memory was last given back: blocks that are kept have to fit below.
std::atomic<uint64_t> ceiling{0};
// Of this thread: allocations so far, and how many are left until one fails (0 for none).
thread_local uint64_t made = 0, until_failure = 0;

// Stands before each block, as long as the alignment, which it keeps.
struct alignas(c10::gAlignment) Header {
    // Bytes that are counted.
    uint64_t size;
    bool is_large;
};

void raise_to(std::atomic<uint64_t>& highest, uint64_t value) {
    uint64_t old = highest.load(RELAXED);
    while (value > old && !highest.compare_exchange_weak(old, value, RELAXED)) {
    }
}

// Counts a block that is about to be made; returns the bytes in use with it.
uint64_t enter(uint64_t size) {
    made++;
    if (until_failure && --until_failure == 0)
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory: an allocation of ", size, " bytes was made to fail");
    uint64_t now = current.fetch_add(size, RELAXED) + size, most = limit.load(RELAXED);
    if (now > most) {
        current.fetch_sub(size, RELAXED);
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory: ", size, " bytes beside the ", now - size,
                         " in use are more than the limit of ", most);
    }
    raise_to(peak, now);
    raise_to(ceiling, now);
    return now;
}

void leave(uint64_t size) { current.fetch_sub(size, RELAXED); }

// The size of the large block that holds so many bytes: rounded up by less than a sixteenth.
uint64_t large_size(uint64_t bytes) {
    uint64_t step = LARGE / SIZES;
    while (step * SIZES * 2 < bytes) step *= 2;
    return (bytes + step - 1) / step * step;
}

// Large blocks that no tensor uses.
class Kept {
  public:
    // The one of that size that was used last, or null.
    void* take(uint64_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        auto found = by_size.find(size);
        if (found == by_size.end()) return nullptr;
        auto& places = found->second;
        void* start = *places.back();
        by_age.erase(places.back());
        places.pop_back();
        if (places.empty()) by_size.erase(found);
        bytes -= size;
        return start;
    }

    // The one next in size, or null; its size, too.
    void* take_near(uint64_t& size) {
        std::unique_lock<std::mutex> lock(mutex);
        if (by_size.empty()) return nullptr;
        auto found = by_size.lower_bound(size);
        if (found == by_size.end()) --found;
        size = found->first;
        lock.unlock();
        return take(size);
    }

    void put(void* start, uint64_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        static_cast<Header*>(start)->size = size;
        by_size[size].push_back(by_age.insert(by_age.end(), start));
        bytes += size;
    }

    // Gives blocks back to the system, those first that were used longest ago, until at most so many bytes are left.
    void trim(uint64_t most) {
        std::lock_guard<std::mutex> lock(mutex);
        while (bytes > most) {
            void* start = by_age.front();
            uint64_t size = static_cast<Header*>(start)->size;
            auto found = by_size.find(size);
            found->second.pop_front();  // the oldest of its size, too
            if (found->second.empty()) by_size.erase(found);
            by_age.pop_front();
            munmap(start, size);
            bytes -= size;
        }
    }

    uint64_t total() { std::lock_guard<std::mutex> lock(mutex); return bytes; }

  private:
    std::mutex mutex;
    std::list<void*> by_age;  // oldest first
    std::map<uint64_t, std::list<std::list<void*>::iterator>> by_size;
    uint64_t bytes = 0;
};

// These live as long as the process: the last tensor may outlive every static object.
Kept& kept() {
    static Kept& blocks = *new Kept;
    return blocks;
}

c10::Allocator& base() {
    static c10::Allocator& allocator = *c10::GetDefaultCPUAllocator();
    return allocator;
}

int env(const char* n, int d) { const char* v = getenv(n); return v ? atoi(v) : d; }
const int SLACK = env("X_SLACK", 0), HUGEP = env("X_HUGE", 0), REMAP = env("X_REMAP", 0);
std::atomic<uint64_t> remaps{0}, misses{0}, missed{0}, hits{0};
struct Rep { ~Rep() { if (getenv("X_REP")) fprintf(stderr, "hits %lu misses %lu missed MiB %lu ceiling %lu remaps %lu\n", hits.load(), misses.load(), missed.load() >> 20, ceiling.load() >> 20, remaps.load()); } } rep;
void* map(uint64_t size) {
    misses++; missed += size;
    void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (HUGEP && size >= (uint64_t(HUGEP) << 20)) madvise(start, size, MADV_HUGEPAGE);
    return start == MAP_FAILED ? nullptr : start;
}

void* make_large(uint64_t size) {
    uint64_t now = enter(size);
    if (void* start = kept().take(size)) { hits++; return start; }
    uint64_t most = ceiling.load(RELAXED);
    most += most / 100 * SLACK;
    if (REMAP && kept().total() > (most > now ? most - now : 0)) {
        uint64_t old = size;
        if (void* near = kept().take_near(old)) {
            remaps++;
            void* start = mremap(near, old, size, MREMAP_MAYMOVE);
            if (start != MAP_FAILED) { kept().trim(most > now ? most - now : 0); return start; }
            munmap(near, old);
        }
    }
    kept().trim(most > now ? most - now : 0);
    void* start = map(size);
    if (!start) {
        kept().trim(0);
        start = map(size);
    }
    if (!start) {
        leave(size);
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory: the system has no ", size, " bytes");
    }
    return start;
}

void* make_small(uint64_t size) {
    enter(size);
    try {
        return base().raw_allocate(size + sizeof(Header));
    } catch (...) {
        leave(size);
        throw;
    }
}

void release(void* block) {
    if (!block) return;
    Header* header = static_cast<Header*>(block) - 1;
    leave(header->size);
    if (header->is_large)
        kept().put(header, header->size);
    else
        base().raw_deallocate(header);
}

class Counting final : public c10::Allocator {
  public:
    c10::DataPtr allocate(size_t bytes) override {
        if (bytes == 0) return {nullptr, nullptr, &release, CPU};
        bool is_large = bytes >= LARGE;
        uint64_t size = is_large ? large_size(bytes + sizeof(Header)) : bytes;
        void* start = is_large ? make_large(size) : make_small(size);
        void* block = new (start) Header{size, is_large} + 1;
        return {block, block, &release, CPU};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &release; }

    void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }
};

// Blocks made before keep libtorch's own deleter. Priority 1 stands above libtorch's 0.
const bool installed = [] {
    c10::SetAllocator(CPU, new Counting, 1);
    return true;
}();

}  // namespace

extern "C" {

uint64_t trainer_allocator_current() { return current.load(RELAXED); }

uint64_t trainer_allocator_peak() { return peak.load(RELAXED); }

void trainer_allocator_reset_peak() { peak.store(current.load(RELAXED), RELAXED); }

void trainer_allocator_set_limit(uint64_t bytes) { limit.store(bytes, RELAXED); }

// Keeps no block from here on that is not freed anew.
void trainer_allocator_release_kept() {
    ceiling.store(current.load(RELAXED), RELAXED);
    kept().trim(0);
}

uint64_t trainer_allocator_made() { return made; }

void trainer_allocator_fail(uint64_t number) { until_failure = number; }
}
