// A part of the network whose maps are not kept at all: the backward pass runs it once more (Chen et al. 2016, "Training
// Deep Nets with Sublinear Memory Cost").
#include "abi.h"
#include "source.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace {

using torch::autograd::variable_list;

// The part, as a closure of the caller's; both functions may be called from any thread, one after the other.
struct Block {
    void* context;
    // Runs it on tensors (at::Tensor*, borrowed); the result, an at::Tensor*, becomes the caller's.
    Status (*run)(void* context, void* const* inputs, size_t count, void** out, Sink error);
    void (*drop)(void* context);
};

struct BlockOwner {
    Block block;

    explicit BlockOwner(Block block) : block(block) {}
    BlockOwner(const BlockOwner&) = delete;
    ~BlockOwner() { block.drop(block.context); }

    at::Tensor run(const variable_list& inputs) const {
        std::vector<void*> handles;
        for (const auto& input : inputs) handles.push_back(const_cast<at::Tensor*>(&input));
        std::string text;
        Sink error{&text, [](void* text, const uint8_t* ptr, size_t len) {
                       static_cast<std::string*>(text)->append(reinterpret_cast<const char*>(ptr), len);
                   }};
        void* out = nullptr;
        TORCH_CHECK(block.run(block.context, handles.data(), handles.size(), &out, error) == OK, text);
        std::unique_ptr<at::Tensor> result(static_cast<at::Tensor*>(out));
        return *result;
    }
};

// What a run depends on besides its inputs: random numbers and autocast.
struct Surroundings {
    at::Tensor cpu_random, device_random;
    at::Device device;
    bool autocast;
    at::ScalarType autocast_type;

    explicit Surroundings(at::Device device)
        : cpu_random(at::detail::getDefaultCPUGenerator().get_state()),
          device_random(device.is_cpu() ? at::Tensor() : at::globalContext().defaultGenerator(device).get_state()),
          device(device),
          autocast(at::autocast::is_autocast_enabled(device.type())),
          autocast_type(at::autocast::get_autocast_dtype(device.type())) {}

    void set() const {
        auto cpu = at::detail::getDefaultCPUGenerator();
        cpu.set_state(cpu_random);
        if (device_random.defined()) {
            auto generator = at::globalContext().defaultGenerator(device);
            generator.set_state(device_random);
        }
        at::autocast::set_autocast_enabled(device.type(), autocast);
        at::autocast::set_autocast_dtype(device.type(), autocast_type);
    }
};

// Sets other surroundings as long as it lives.
struct Visit {
    Surroundings own;

    explicit Visit(const Surroundings& other) : own(other.device) { other.set(); }
    Visit(const Visit&) = delete;
    ~Visit() { own.set(); }
};

struct RegionBackward : torch::autograd::Node {
    std::vector<SourcePtr> sources;
    std::unique_ptr<BlockOwner> block;
    std::optional<Surroundings> surroundings;

    std::string name() const override { return "RegionBackward"; }

    void release_variables() override {
        sources.clear();
        block.reset();
    }

    variable_list apply(variable_list&& gradients) override {
        TORCH_CHECK(block, "a second backward pass through a region, which keeps what it needs for one");
        if (!gradients[0].defined()) return variable_list(sources.size());
        variable_list inputs;
        for (size_t i = 0; i < sources.size(); i++)
            inputs.push_back(sources[i]->make().detach().set_requires_grad(task_should_compute_output(i)));
        sources.clear();
        at::Tensor output;
        {
            Visit visit(*surroundings);
            at::AutoGradMode with_gradients(true);
            output = block->run(inputs);
        }
        torch::autograd::backward({output}, {gradients[0].to(output.scalar_type())});
        block.reset();
        variable_list results;
        for (auto& input : inputs) results.push_back(input.requires_grad() ? input.grad() : at::Tensor());
        return results;
    }
};

}  // namespace

extern "C" {

// Runs the block on the inputs, whose values come from the sources; `out` is its result. The block is dropped when nothing
// needs it any more, in any case.
Status trainer_region(void* const* inputs, void* const* sources, size_t count, Block block, void** out, Sink error) {
    auto owner = std::make_unique<BlockOwner>(block);
    return guarded(error, [&] {
        variable_list tensors;
        for (size_t i = 0; i < count; i++) tensors.push_back(*static_cast<at::Tensor*>(inputs[i]));
        auto node = std::shared_ptr<RegionBackward>(new RegionBackward(), torch::autograd::deleteNode);
        node->set_next_edges(torch::autograd::collect_next_edges(tensors));
        node->surroundings.emplace(tensors.at(0).device());
        for (size_t i = 0; i < count; i++) node->sources.push_back(*static_cast<SourcePtr*>(sources[i]));
        at::Tensor result;
        {
            at::NoGradGuard no_grad;
            variable_list plain;
            for (const auto& tensor : tensors) plain.push_back(tensor.detach());
            result = owner->run(plain).detach();
        }
        node->block = std::move(owner);
        torch::autograd::set_history(result, node);
        *out = new at::Tensor(std::move(result));
    });
}
}
