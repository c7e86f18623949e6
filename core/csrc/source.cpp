// Maps that are made again; see source.h. Rust holds a source by a handle, a SourcePtr on the heap.
#include "source.h"

#include "abi.h"

namespace {

struct Kept : Source {
    at::Tensor map;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        auto part = make(start, out.size(1));
        add ? out.add_(part) : out.copy_(part);
    }
    at::Tensor make(int64_t start, int64_t length) const override {
        return length == map.size(1) ? map : map.narrow(1, start, length);
    }
};

struct Normalized : Source {
    at::Tensor map;
    Normalization by;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        normalize(map.narrow(1, start, out.size(1)), by.narrow(start, out.size(1)), out, add);
    }
};

struct NormalizedPlainly : Source {
    at::Tensor map, weight, bias;
    double epsilon;
    bool silu;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        auto part = make(start, out.size(1));
        add ? out.add_(part) : out.copy_(part);
    }
    at::Tensor make(int64_t start, int64_t length) const override {
        // The statistics are computed once more: that gives the same bits, while other operators would not.
        auto all = std::get<0>(at::native_batch_norm(map, weight, bias, {}, {}, true, 0, epsilon));
        if (silu) all = at::silu(all);
        return length == all.size(1) ? all : all.narrow(1, start, length);
    }
};

struct Channels : Source {
    SourcePtr whole;
    int64_t first;

    void write(const at::Tensor& out, int64_t start, bool add) const override { whole->write(out, first + start, add); }
    at::Tensor make(int64_t start, int64_t length) const override { return whole->make(first + start, length); }
};

struct Joined : Source {
    std::vector<SourcePtr> parts;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        int64_t end = start + out.size(1), at = 0;
        for (const auto& part : parts) {
            int64_t from = std::max(at, start), to = std::min(at + part->shape[1], end);
            if (from < to) part->write(out.narrow(1, from - start, to - from), from - at, add);
            at += part->shape[1];
        }
    }
};

struct Sum : Source {
    SourcePtr a, b;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        a->write(out, start, add);
        b->write(out, start, true);
    }
};

struct Doubled : Source {
    SourcePtr map;

    void write(const at::Tensor& out, int64_t start, bool add) const override {
        auto part = make(start, out.size(1));
        add ? out.add_(part) : out.copy_(part);
    }
    at::Tensor make(int64_t start, int64_t length) const override {
        return at::upsample_nearest2d(map->make(start, length), {shape[2], shape[3]}, 2.0, 2.0);
    }
};

template <class T>
SourcePtr finish(std::shared_ptr<T> source, std::vector<int64_t> shape, const at::TensorOptions& options) {
    source->shape = std::move(shape);
    source->options = options;
    return source;
}

}  // namespace

at::Tensor empty_map(at::IntArrayRef shape, const at::TensorOptions& options) {
    return at::empty(shape, options.memory_format(at::MemoryFormat::ChannelsLast));
}

at::Tensor Source::make(int64_t start, int64_t length) const {
    auto out = empty_map({shape[0], length, shape[2], shape[3]}, options);
    write(out, start, false);
    return out;
}

SourcePtr kept(at::Tensor map) {
    auto source = std::make_shared<Kept>();
    source->map = std::move(map);
    return finish(source, source->map.sizes().vec(), source->map.options());
}

SourcePtr normalized(at::Tensor map, Normalization by) {
    auto source = std::make_shared<Normalized>();
    source->map = std::move(map);
    source->by = std::move(by);
    return finish(source, source->map.sizes().vec(), source->map.options());
}

SourcePtr normalized_plainly(at::Tensor map, at::Tensor weight, at::Tensor bias, double epsilon, bool silu) {
    auto source = std::make_shared<NormalizedPlainly>();
    source->map = std::move(map);
    source->weight = std::move(weight);
    source->bias = std::move(bias);
    source->epsilon = epsilon;
    source->silu = silu;
    return finish(source, source->map.sizes().vec(), source->map.options());
}

SourcePtr channels_of(SourcePtr map, int64_t start, int64_t length) {
    auto source = std::make_shared<Channels>();
    auto shape = map->shape;
    auto options = map->options;
    shape[1] = length;
    source->whole = std::move(map);
    source->first = start;
    return finish(source, shape, options);
}

SourcePtr joined(std::vector<SourcePtr> maps) {
    auto source = std::make_shared<Joined>();
    auto shape = maps.at(0)->shape;
    auto options = maps[0]->options;
    for (size_t i = 1; i < maps.size(); i++) shape[1] += maps[i]->shape[1];
    source->parts = std::move(maps);
    return finish(source, shape, options);
}

SourcePtr sum(SourcePtr a, SourcePtr b) {
    auto source = std::make_shared<Sum>();
    source->a = std::move(a);
    source->b = std::move(b);
    return finish(source, source->a->shape, source->a->options);
}

SourcePtr doubled(SourcePtr map) {
    auto source = std::make_shared<Doubled>();
    auto shape = map->shape;
    shape[2] *= 2;
    shape[3] *= 2;
    auto options = map->options;
    source->map = std::move(map);
    return finish(source, shape, options);
}

extern "C" {

void* trainer_source_kept(void* tensor) { return new SourcePtr(kept(static_cast<at::Tensor*>(tensor)->detach())); }

void* trainer_source_retain(void* source) { return new SourcePtr(*static_cast<SourcePtr*>(source)); }

void trainer_source_release(void* source) { delete static_cast<SourcePtr*>(source); }

void* trainer_source_channels(void* source, int64_t start, int64_t length) {
    return new SourcePtr(channels_of(*static_cast<SourcePtr*>(source), start, length));
}

void* trainer_source_joined(void* const* sources, size_t count) {
    std::vector<SourcePtr> maps;
    for (size_t i = 0; i < count; i++) maps.push_back(*static_cast<SourcePtr*>(sources[i]));
    return new SourcePtr(joined(std::move(maps)));
}

void* trainer_source_sum(void* a, void* b) {
    return new SourcePtr(sum(*static_cast<SourcePtr*>(a), *static_cast<SourcePtr*>(b)));
}

void* trainer_source_doubled(void* source) { return new SourcePtr(doubled(*static_cast<SourcePtr*>(source))); }
}
