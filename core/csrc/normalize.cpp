// Batch normalisation and SiLU in one pass over maps whose channels lie innermost in memory, on the CPU: Ioffe and Szegedy
// 2015; Elfwing et al. 2017. Each loop is compiled for AVX-512, AVX2 and plain x86-64.
#include "normalize.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

namespace {

// For the same code on every processor: the loops over channels become vectors of the processor's width.
#if defined(__x86_64__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif
#define INLINE inline __attribute__((always_inline))

// Pixels that one thread takes at a time, and after which sums go from float to double.
constexpr int64_t BLOCK = 512;

using bfloat16 = uint16_t;

INLINE float load(const float* at) { return *at; }
INLINE void store(float* at, float value) { *at = value; }
INLINE float load(const bfloat16* at) { return __builtin_bit_cast(float, static_cast<uint32_t>(*at) << 16); }
INLINE void store(bfloat16* at, float value) {
    auto bits = __builtin_bit_cast(uint32_t, value);
    auto nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to even
    *at = static_cast<bfloat16>(value != value ? 0x7fc0 : nearest);
}

// e^x within 2 units in the last place, for x from -87 to 88 and clamped outside: 2^n times a polynomial on
// [-ln 2 / 2, ln 2 / 2] (coefficients of Cephes' expf).
INLINE float exponential(float x) {
    x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
    constexpr float WHOLE = 12582912.f;  // 1.5 * 2^23: about here a float counts whole numbers
    float n = (x * 1.44269504f + WHOLE) - WHOLE;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    return p * __builtin_bit_cast(float, (static_cast<int32_t>(n) + 127) << 23);
}

INLINE float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

// Pixels of a map: `channels` numbers, the next pixel's `stride` further.
template <class T>
struct Pixels {
    T* data;
    int64_t stride;
};

template <class T>
INLINE void sum_block(Pixels<const T> map, int64_t count, int64_t channels, const float* __restrict__ shift, float* __restrict__ sum,
                      float* __restrict__ squares) {
    for (int64_t i = 0; i < count; i++) {
        const T* __restrict__ pixel = map.data + i * map.stride;
        for (int64_t c = 0; c < channels; c++) {
            float x = load(pixel + c) - shift[c];
            sum[c] += x;
            squares[c] += x * x;
        }
    }
}

template <class T, bool SILU, bool ADD>
INLINE void normalize_block(Pixels<const T> map, Pixels<T> out, int64_t count, int64_t channels, const float* __restrict__ factor,
                            const float* __restrict__ shift) {
    for (int64_t i = 0; i < count; i++) {
        const T* __restrict__ pixel = map.data + i * map.stride;
        T* __restrict__ to = out.data + i * out.stride;
        for (int64_t c = 0; c < channels; c++) {
            float x = load(pixel + c) * factor[c] + shift[c];
            float z = SILU ? x * sigmoid(x) : x;
            store(to + c, ADD ? load(to + c) + z : z);
        }
    }
}

// The gradient before the activation.
INLINE float before_silu(float gradient, float x) {
    float s = sigmoid(x);
    return gradient * s * (1.f + x * (1.f - s));
}

template <class T, bool SILU>
INLINE void gradient_sums_block(Pixels<const T> gradient, Pixels<const T> map, int64_t count, int64_t channels,
                                const float* __restrict__ factor, const float* __restrict__ shift, const float* __restrict__ mean, float* __restrict__ sum, float* __restrict__ products) {
    for (int64_t i = 0; i < count; i++) {
        const T* __restrict__ g = gradient.data + i * gradient.stride;
        const T* __restrict__ pixel = map.data + i * map.stride;
        for (int64_t c = 0; c < channels; c++) {
            float y = load(pixel + c), x = y * factor[c] + shift[c];
            float inner = SILU ? before_silu(load(g + c), x) : load(g + c);
            sum[c] += inner;
            products[c] += inner * (y - mean[c]);
        }
    }
}

// factor * (inner - offset - slope * (y - mean)), with offset and slope from the sums.
template <class T, bool SILU>
INLINE void gradient_block(Pixels<const T> gradient, Pixels<const T> map, Pixels<T> out, int64_t count, int64_t channels,
                           const float* __restrict__ factor, const float* __restrict__ shift, const float* __restrict__ mean, const float* __restrict__ offset,
                           const float* __restrict__ slope) {
    for (int64_t i = 0; i < count; i++) {
        const T* __restrict__ g = gradient.data + i * gradient.stride;
        const T* __restrict__ pixel = map.data + i * map.stride;
        T* __restrict__ to = out.data + i * out.stride;
        for (int64_t c = 0; c < channels; c++) {
            float y = load(pixel + c), x = y * factor[c] + shift[c];
            float inner = SILU ? before_silu(load(g + c), x) : load(g + c);
            store(to + c, factor[c] * (inner - offset[c] - slope[c] * (y - mean[c])));
        }
    }
}

#define KERNELS(T)                                                                                                      \
    FOR_EVERY_PROCESSOR void sums(Pixels<const T> map, int64_t n, int64_t channels, const float* shift, float* sum,      \
                                  float* squares) {                                                                     \
        sum_block<T>(map, n, channels, shift, sum, squares);                                                             \
    }                                                                                                                   \
    FOR_EVERY_PROCESSOR void normalized(Pixels<const T> map, Pixels<T> out, int64_t n, int64_t channels,                 \
                                        const float* factor, const float* shift, bool silu, bool add) {                 \
        if (silu && add) normalize_block<T, true, true>(map, out, n, channels, factor, shift);                          \
        else if (silu) normalize_block<T, true, false>(map, out, n, channels, factor, shift);                           \
        else if (add) normalize_block<T, false, true>(map, out, n, channels, factor, shift);                            \
        else normalize_block<T, false, false>(map, out, n, channels, factor, shift);                                    \
    }                                                                                                                   \
    FOR_EVERY_PROCESSOR void gradient_sums(Pixels<const T> g, Pixels<const T> map, int64_t n, int64_t channels,         \
                                           const float* factor, const float* shift, const float* mean, bool silu,       \
                                           float* sum, float* products) {                                               \
        if (silu) gradient_sums_block<T, true>(g, map, n, channels, factor, shift, mean, sum, products);                \
        else gradient_sums_block<T, false>(g, map, n, channels, factor, shift, mean, sum, products);                    \
    }                                                                                                                   \
    FOR_EVERY_PROCESSOR void gradients(Pixels<const T> g, Pixels<const T> map, Pixels<T> out, int64_t n,                \
                                       int64_t channels, const float* factor, const float* shift, const float* mean,    \
                                       bool silu, const float* offset, const float* slope) {                            \
        if (silu) gradient_block<T, true>(g, map, out, n, channels, factor, shift, mean, offset, slope);                \
        else gradient_block<T, false>(g, map, out, n, channels, factor, shift, mean, offset, slope);                    \
    }
KERNELS(float)
KERNELS(bfloat16)
#undef KERNELS

// The distance between pixels where all lie in one row with channels innermost, else 0.
int64_t pixel_stride(const at::Tensor& map) {
    if (map.dim() != 4 || (map.stride(1) != 1 && map.size(1) != 1)) return 0;
    int64_t stride = map.size(3) > 1 ? map.stride(3) : map.size(2) > 1 ? map.stride(2) : map.size(0) > 1 ? map.stride(0)
                                                                                                        : map.size(1);
    bool rows = map.size(2) == 1 || map.stride(2) == stride * map.size(3);
    bool images = map.size(0) == 1 || map.stride(0) == stride * map.size(3) * map.size(2);
    return rows && images && stride >= map.size(1) ? stride : 0;
}

template <class T>
Pixels<T> pixels(const at::Tensor& map) {
    return {static_cast<T*>(const_cast<void*>(map.const_data_ptr())), pixel_stride(map)};
}

int64_t count(const at::Tensor& map) { return map.size(0) * map.size(2) * map.size(3); }

template <class F>
void with_type(const at::Tensor& map, F f) {
    if (map.scalar_type() == at::kFloat) f(float());
    else f(bfloat16());
}

// Runs `block` over all pixels, in blocks, with sums of its own for each thread; returns the two sums of each channel.
// The order of adding depends on the number of threads alone.
template <class F>
std::vector<double> two_sums(int64_t pixels, int64_t channels, F block) {
    int64_t blocks = (pixels + BLOCK - 1) / BLOCK, threads = at::get_num_threads();
    std::vector<double> totals(threads * 2 * channels);
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
        for (int64_t thread = first; thread < last; thread++) {
            double* total = totals.data() + thread * 2 * channels;
            std::vector<float> sums(2 * channels);
            for (int64_t b = blocks * thread / threads; b < blocks * (thread + 1) / threads; b++) {
                std::fill(sums.begin(), sums.end(), 0.f);
                block(b * BLOCK, std::min(BLOCK, pixels - b * BLOCK), sums.data(), sums.data() + channels);
                for (int64_t c = 0; c < 2 * channels; c++) total[c] += sums[c];
            }
        }
    });
    for (int64_t thread = 1; thread < threads; thread++)
        for (int64_t c = 0; c < 2 * channels; c++) totals[c] += totals[thread * 2 * channels + c];
    return totals;
}

template <class F>
void for_pixels(int64_t pixels, int64_t channels, F f) {
    int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(channels, 1));
    at::parallel_for(0, pixels, grain, [&](int64_t first, int64_t last) { f(first, last - first); });
}

template <class T>
Pixels<T> from(Pixels<T> pixels, int64_t first) {
    return {pixels.data + first * pixels.stride, pixels.stride};
}

// What a map is multiplied by and shifted.
struct Affine {
    std::vector<float> factor, shift;

    explicit Affine(const Normalization& by) : factor(by.mean.numel()), shift(factor.size()) {
        auto mean = by.mean.const_data_ptr<float>(), inv_std = by.inv_std.const_data_ptr<float>();
        auto weight = by.weight.const_data_ptr<float>(), bias = by.bias.const_data_ptr<float>();
        for (size_t c = 0; c < factor.size(); c++) {
            factor[c] = weight[c] * inv_std[c];
            shift[c] = bias[c] - mean[c] * factor[c];
        }
    }
};

}  // namespace

Normalization Normalization::narrow(int64_t start, int64_t length) const {
    if (start == 0 && length == mean.numel()) return *this;
    auto part = [&](const at::Tensor& all) { return all.narrow(0, start, length); };
    return {part(mean), part(inv_std), part(weight), part(bias), silu};
}

bool has_kernels(const at::Tensor& map) {
    return map.device().is_cpu() && (map.scalar_type() == at::kFloat || map.scalar_type() == at::kBFloat16) &&
           map.numel() > 0 && pixel_stride(map) > 0;
}

void batch_statistics(const at::Tensor& map, double epsilon, double momentum, const at::Tensor& running_mean,
                      const at::Tensor& running_var, Normalization& into) {
    int64_t channels = map.size(1), number = count(map);
    std::vector<float> shift(channels);  // a value of each channel, so that squares of small differences are summed
    std::vector<double> sums;
    with_type(map, [&](auto type) {
        using T = decltype(type);
        auto all = pixels<const T>(map);
        for (int64_t c = 0; c < channels; c++) shift[c] = load(all.data + c);
        sums = two_sums(number, channels, [&](int64_t first, int64_t n, float* sum, float* squares) {
            ::sums(from(all, first), n, channels, shift.data(), sum, squares);
        });
    });
    into.mean = at::empty({channels}, map.options().dtype(at::kFloat));
    into.inv_std = at::empty_like(into.mean);
    auto mean = into.mean.data_ptr<float>(), inv_std = into.inv_std.data_ptr<float>();
    float* old_mean = running_mean.defined() ? running_mean.data_ptr<float>() : nullptr;
    float* old_var = running_var.defined() ? running_var.data_ptr<float>() : nullptr;
    for (int64_t c = 0; c < channels; c++) {
        double offset = sums[c] / number, var = std::max(sums[channels + c] / number - offset * offset, 0.0);
        mean[c] = static_cast<float>(shift[c] + offset);
        inv_std[c] = static_cast<float>(1 / std::sqrt(var + epsilon));
        if (old_mean) old_mean[c] += static_cast<float>(momentum) * (mean[c] - old_mean[c]);
        if (old_var) {
            auto unbiased = static_cast<float>(var * number / std::max<int64_t>(number - 1, 1));
            old_var[c] += static_cast<float>(momentum) * (unbiased - old_var[c]);
        }
    }
}

void normalize(const at::Tensor& map, const Normalization& by, const at::Tensor& out, bool add) {
    int64_t channels = map.size(1);
    Affine affine(by);
    with_type(map, [&](auto type) {
        using T = decltype(type);
        auto in = pixels<const T>(map);
        auto to = pixels<T>(out);
        for_pixels(count(map), channels, [&](int64_t first, int64_t n) {
            normalized(from(in, first), from(to, first), n, channels, affine.factor.data(), affine.shift.data(), by.silu,
                       add);
        });
    });
}

NormalizationGradients normalize_backward(const at::Tensor& gradient, const at::Tensor& map, const Normalization& by) {
    int64_t channels = map.size(1), number = count(map);
    Affine affine(by);
    auto factor = affine.factor.data(), shift = affine.shift.data();
    auto mean = by.mean.const_data_ptr<float>(), inv_std = by.inv_std.const_data_ptr<float>();
    auto vector = [&] { return at::empty({channels}, by.mean.options()); };
    NormalizationGradients out{at::empty_like(map, at::MemoryFormat::ChannelsLast), vector(), vector()};
    with_type(map, [&](auto type) {
        using T = decltype(type);
        auto in = pixels<const T>(map), g = pixels<const T>(gradient);
        auto to = pixels<T>(out.map);
        auto sums = two_sums(number, channels, [&](int64_t first, int64_t n, float* sum, float* products) {
            gradient_sums(from(g, first), from(in, first), n, channels, factor, shift, mean, by.silu, sum, products);
        });
        std::vector<float> offset(channels), slope(channels);
        for (int64_t c = 0; c < channels; c++) {
            double sum = sums[c], product = sums[channels + c] * inv_std[c];
            out.bias.data_ptr<float>()[c] = static_cast<float>(sum);
            out.weight.data_ptr<float>()[c] = static_cast<float>(product);
            offset[c] = static_cast<float>(sum / number);
            slope[c] = static_cast<float>(product * inv_std[c] / number);
        }
        for_pixels(number, channels, [&](int64_t first, int64_t n) {
            gradients(from(g, first), from(in, first), from(to, first), n, channels, factor, shift, mean, by.silu,
                      offset.data(), slope.data());
        });
    });
    return out;
}
