// Batch normalisation and SiLU in one pass over maps whose channels lie innermost in memory, on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

// A normalisation as it was computed, and what it is multiplied and shifted by: float, one number a channel each.
struct Normalization {
    at::Tensor mean;
    at::Tensor inv_std;
    at::Tensor weight;
    at::Tensor bias;
    bool silu;

    // That of the channels from `start` on.
    Normalization narrow(int64_t start, int64_t length) const;
};

// Whether the kernels below take the map: float or bfloat16, on the CPU, pixel after pixel with channels innermost (a
// range of the channels of such a map is one, too).
bool has_kernels(const at::Tensor& map);

// The mean of each channel and one over its standard deviation (with `epsilon` added to the variance), and the new
// running statistics where there are any: share `momentum` of the batch's mean and unbiased variance.
void batch_statistics(const at::Tensor& map, double epsilon, double momentum, const at::Tensor& running_mean,
                      const at::Tensor& running_var, Normalization& into);

// Writes the normalised (and activated) map, or adds it to what is there.
void normalize(const at::Tensor& map, const Normalization& by, const at::Tensor& out, bool add);

// What the backward of normalize and of the statistics gives: gradients of the map, the weight and the bias.
struct NormalizationGradients {
    at::Tensor map;
    at::Tensor weight;
    at::Tensor bias;
};

// `gradient` is that of the normalised map, of its type and shape.
NormalizationGradients normalize_backward(const at::Tensor& gradient, const at::Tensor& map, const Normalization& by);
