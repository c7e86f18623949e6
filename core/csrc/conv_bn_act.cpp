// A convolution with what follows it, as one node of the autograd graph that keeps nothing but the convolution's output:
// its input, the normalised map and the activated one are made again in the backward pass.
#include "abi.h"
#include "source.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace {

using torch::autograd::variable_list;

// As core/src/torch/conv.rs has it.
struct Conv {
    at::Tensor* input;
    SourcePtr* source;         // of the input
    at::Tensor* weight;        // (out, in / groups, kernel, kernel)
    at::Tensor* bias;          // of the convolution, or null
    at::Tensor* norm_weight;   // null where nothing is normalised
    at::Tensor* norm_bias;
    at::Tensor* running_mean;  // null where running statistics stay as they are
    at::Tensor* running_var;
    int64_t stride;
    int64_t padding;
    int64_t groups;
    double epsilon;
    double momentum;
    int32_t dtype;             // c10::ScalarType that is computed in
    bool silu;
    bool fused;                // by the kernels of normalize.h where they take the map, else by libtorch's operators
};

at::Tensor or_none(const at::Tensor* tensor) { return tensor ? *tensor : at::Tensor(); }

struct ConvBackward : torch::autograd::Node {
    SourcePtr source;
    at::Tensor weight, output, norm_weight, norm_bias;
    std::optional<Normalization> norm;  // with the fused kernels
    std::vector<int64_t> stride, padding;
    int64_t groups;
    double epsilon;
    bool silu, has_bias;
    at::ScalarType parameter_type;

    std::string name() const override { return "ConvBnActBackward"; }

    void release_variables() override {
        source.reset();
        norm.reset();
        weight = output = norm_weight = norm_bias = at::Tensor();
    }

    variable_list apply(variable_list&& gradients) override {
        TORCH_CHECK(source, "a second backward pass through a convolution, which keeps what it needs for one");
        at::NoGradGuard no_grad;
        auto gradient = gradients[0];
        if (!gradient.defined()) return variable_list(5);
        gradient = gradient.to(output.scalar_type());
        at::Tensor of_norm_weight, of_norm_bias;
        if (norm_weight.defined()) std::tie(gradient, of_norm_weight, of_norm_bias) = before_norm(gradient);
        output.reset();
        norm.reset();
        std::array<bool, 3> wanted{task_should_compute_output(0), task_should_compute_output(1), has_bias};
        auto input = source->make().to(gradient.scalar_type());
        source.reset();
        auto [of_input, of_weight, of_bias] = at::convolution_backward(
            gradient, input, weight, has_bias ? at::OptionalIntArrayRef(weight.sizes().slice(0, 1)) : std::nullopt, stride,
            padding, at::IntArrayRef{1, 1}, false, at::IntArrayRef{0, 0}, groups, wanted);
        auto in_type = [&](at::Tensor& of) { return of.defined() ? of.to(parameter_type) : of; };
        return {of_input, in_type(of_weight), in_type(of_bias), of_norm_weight, of_norm_bias};
    }

    std::tuple<at::Tensor, at::Tensor, at::Tensor> before_norm(const at::Tensor& gradient) {
        if (norm) {
            auto of = normalize_backward(gradient.contiguous(at::MemoryFormat::ChannelsLast), output, *norm);
            return {of.map, of.weight, of.bias};
        }
        auto [normalised, mean, inv_std] = at::native_batch_norm(output, norm_weight, norm_bias, {}, {}, true, 0, epsilon);
        auto inner = silu ? at::silu_backward(gradient, normalised) : gradient;
        return at::native_batch_norm_backward(inner, output, norm_weight, {}, {}, mean, inv_std, true, epsilon,
                                              {true, true, true});
    }
};

// Normalises `output`; what it was done with goes to `norm`, and where the result comes from to `made`.
at::Tensor normalise(const Conv& conv, const at::Tensor& output, std::optional<Normalization>& norm, SourcePtr& made) {
    auto weight = conv.norm_weight->detach(), bias = conv.norm_bias->detach();
    auto running_mean = or_none(conv.running_mean), running_var = or_none(conv.running_var);
    if (conv.fused && has_kernels(output) && weight.scalar_type() == at::kFloat) {
        norm = Normalization{{}, {}, weight, bias, conv.silu};
        batch_statistics(output, conv.epsilon, conv.momentum, running_mean, running_var, *norm);
        made = normalized(output, *norm);
        return made->make();
    }
    auto result = std::get<0>(at::native_batch_norm(output, weight, bias, running_mean, running_var, true, conv.momentum,
                                                    conv.epsilon));
    made = normalized_plainly(output, weight, bias, conv.epsilon, conv.silu);
    return conv.silu ? at::silu(result) : result;
}

}  // namespace

extern "C" {

// The result goes to `out`, where it comes from to `out_source`.
Status trainer_conv_bn_act(const Conv* conv, void** out, void** out_source, Sink error) {
    return guarded(error, [&] {
        auto type = static_cast<at::ScalarType>(conv->dtype);
        std::vector<int64_t> stride(2, conv->stride), padding(2, conv->padding);
        std::optional<Normalization> norm;
        at::Tensor weight, output, result;
        SourcePtr made;
        {
            at::NoGradGuard no_grad;
            weight = conv->weight->detach().to(type);
            auto bias = conv->bias ? std::optional(conv->bias->detach().to(type)) : std::nullopt;
            auto input = conv->input->detach().to(type);
            output = at::conv2d(input, weight, bias, stride, padding, at::IntArrayRef{1, 1}, conv->groups);
            result = conv->norm_weight ? normalise(*conv, output, norm, made) : output;
            if (!made) made = kept(result);
        }
        variable_list inputs{*conv->input, *conv->weight, or_none(conv->bias), or_none(conv->norm_weight),
                             or_none(conv->norm_bias)};
        if (torch::autograd::compute_requires_grad(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4])) {
            auto node = std::shared_ptr<ConvBackward>(new ConvBackward(), torch::autograd::deleteNode);
            node->set_next_edges(torch::autograd::collect_next_edges(inputs));
            node->source = *conv->source;
            node->weight = weight;
            node->norm = norm;
            node->stride = stride;
            node->padding = padding;
            node->groups = conv->groups;
            node->epsilon = conv->epsilon;
            node->silu = conv->silu;
            node->has_bias = conv->bias != nullptr;
            node->parameter_type = conv->weight->scalar_type();
            node->output = output.detach();
            if (conv->norm_weight) {
                node->norm_weight = conv->norm_weight->detach();
                node->norm_bias = conv->norm_bias->detach();
            }
            torch::autograd::set_history(result, node);
        }
        *out = new at::Tensor(std::move(result));
        *out_source = new SourcePtr(std::move(made));
    });
}
}
