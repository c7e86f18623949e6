// Where the values of a map come from, so that they need not be kept from the forward to the backward pass: maps are made
// again from convolutions' outputs, which are kept.
#pragma once
#include "normalize.h"

#include <ATen/ATen.h>

#include <memory>
#include <vector>

struct Source {
    virtual ~Source() = default;

    // Writes the channels from `start` on, as many as `out` has, or adds them to what is there. `out` has channels
    // innermost.
    virtual void write(const at::Tensor& out, int64_t start, bool add) const = 0;

    // The map, channels innermost.
    at::Tensor make() const { return make(0, shape[1]); }

    // Its channels from `start` on.
    virtual at::Tensor make(int64_t start, int64_t length) const;

    std::vector<int64_t> shape;
    at::TensorOptions options;
};

using SourcePtr = std::shared_ptr<const Source>;

// A map that is kept.
SourcePtr kept(at::Tensor map);
// A convolution's output, normalised and activated; the kernels of normalize.h take it.
SourcePtr normalized(at::Tensor map, Normalization by);
// The same by libtorch's own operators, for any device and type: the bits of a plain network.
SourcePtr normalized_plainly(at::Tensor map, at::Tensor weight, at::Tensor bias, double epsilon, bool silu);
// Some channels of a map.
SourcePtr channels_of(SourcePtr map, int64_t start, int64_t length);
// Maps one after the other.
SourcePtr joined(std::vector<SourcePtr> maps);
// The sum of two.
SourcePtr sum(SourcePtr a, SourcePtr b);
// Twice the height and width, nearest neighbour.
SourcePtr doubled(SourcePtr map);

// A new map of that shape, channels innermost.
at::Tensor empty_map(at::IntArrayRef shape, const at::TensorOptions& options);
