// Calls any ATen operator by name with tagged values, through libtorch's dispatcher: autograd, autocast and all
// devices work as for any other caller. Arguments are boxed by the operator's own schema.
#include "abi.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

namespace {

enum Tag : uint32_t { NONE, TENSOR, INT, FLOAT, BOOL, INTS, FLOATS, TENSORS, TEXT, DTYPE, DEVICE, MEMORY_FORMAT };

double as_double(uint64_t bits) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint64_t as_bits(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// The element type of Optional[T], else the type itself.
c10::TypePtr without_optional(const c10::TypePtr& type) {
    auto optional = type->cast<c10::OptionalType>();
    return optional ? optional->getElementType() : type;
}

c10::IValue box_tensors(const Value& value, const c10::TypePtr& type) {
    auto handles = reinterpret_cast<at::Tensor* const*>(value.data);
    auto list = type->cast<c10::ListType>();
    if (list && list->getElementType()->kind() == c10::TypeKind::OptionalType) {
        c10::List<std::optional<at::Tensor>> tensors;
        for (uint32_t i = 0; i < value.len; i++)
            tensors.push_back(handles[i] ? std::optional<at::Tensor>(*handles[i]) : std::nullopt);
        return tensors;
    }
    c10::List<at::Tensor> tensors;
    for (uint32_t i = 0; i < value.len; i++) {
        TORCH_CHECK(handles[i], "element ", i, " of the list is no tensor");
        tensors.push_back(*handles[i]);
    }
    return tensors;
}

c10::IValue box(const Value& value, const c10::Argument& argument) {
    auto type = without_optional(argument.type());
    switch (value.tag) {
        case NONE: return {};
        case TENSOR: return *reinterpret_cast<const at::Tensor*>(value.data);
        case INT: {
            auto number = static_cast<int64_t>(value.data);
            if (type->kind() == c10::TypeKind::FloatType) return static_cast<double>(number);
            return number;
        }
        case FLOAT: return as_double(value.data);
        case BOOL: return value.data != 0;
        case INTS: {
            auto numbers = reinterpret_cast<const int64_t*>(value.data);
            c10::List<int64_t> list;
            for (uint32_t i = 0; i < value.len; i++) list.push_back(numbers[i]);
            return list;
        }
        case FLOATS: {
            auto numbers = reinterpret_cast<const double*>(value.data);
            c10::List<double> list;
            for (uint32_t i = 0; i < value.len; i++) list.push_back(numbers[i]);
            return list;
        }
        case TENSORS: return box_tensors(value, type);
        case TEXT: return std::string(reinterpret_cast<const char*>(value.data), value.len);
        case DTYPE: return static_cast<int64_t>(value.data);
        case DEVICE: {
            auto kind = static_cast<c10::DeviceType>(value.data >> 32);
            auto index = kind == c10::DeviceType::CPU ? -1 : static_cast<c10::DeviceIndex>(value.data & 0xffffffff);
            return c10::Device(kind, index);
        }
        case MEMORY_FORMAT: return static_cast<int64_t>(value.data);
    }
    TORCH_CHECK(false, "argument ", argument.name(), " has the unknown tag ", value.tag);
}

// Writes results one by one; counts those beyond `capacity` without storing them.
struct Results {
    Value* values;
    size_t capacity;
    size_t count = 0;

    void put(uint32_t tag, uint64_t data) {
        if (count < capacity) values[count] = {tag, 0, data};
        count++;
    }
    void put(const at::Tensor& tensor) {
        if (count < capacity)
            put(TENSOR, reinterpret_cast<uint64_t>(new at::Tensor(tensor)));
        else
            count++;
    }
    void put(const c10::IValue& value) {
        if (value.isTensor()) put(value.toTensor());
        else if (value.isTensorList())
            for (const at::Tensor& tensor : value.toTensorVector()) put(tensor);
        else if (value.isInt()) put(INT, static_cast<uint64_t>(value.toInt()));
        else if (value.isDouble()) put(FLOAT, as_bits(value.toDouble()));
        else if (value.isBool()) put(BOOL, value.toBool());
        else put(NONE, 0);
    }
};

}  // namespace

struct ByName {
    bool operator()(const c10::OperatorName& a, const c10::OperatorName& b) const {
        return std::tie(a.name, a.overload_name) < std::tie(b.name, b.overload_name);
    }
};

extern "C" {

const void* trainer_operator_find(Str name, Str overload) {
    try {
        auto text = [](Str s) { return std::string(reinterpret_cast<const char*>(s.ptr), s.len); };
        auto op = c10::Dispatcher::singleton().findSchema({text(name), text(overload)});
        if (!op) return nullptr;
        // One handle for each operator, for the life of the process: callers keep the address.
        static std::mutex mutex;
        static auto& known = *new std::map<c10::OperatorName, c10::OperatorHandle, ByName>();
        std::lock_guard<std::mutex> lock(mutex);
        return &known.emplace(op->operator_name(), *op).first->second;
    } catch (const std::exception&) {
        return nullptr;
    }
}

Status trainer_operator_call(const void* op, const Value* arguments, size_t num_arguments, Value* results,
                             size_t capacity, size_t* num_results, Sink error) {
    return guarded(error, [&] {
        const auto& handle = *static_cast<const c10::OperatorHandle*>(op);
        const auto& schema = handle.schema().arguments();
        TORCH_CHECK(num_arguments <= schema.size(), "takes ", schema.size(), " arguments, not ", num_arguments);
        torch::jit::Stack stack;
        stack.reserve(schema.size());
        for (size_t i = 0; i < schema.size(); i++) {
            if (i < num_arguments) {
                stack.push_back(box(arguments[i], schema[i]));
            } else {
                TORCH_CHECK(schema[i].default_value(), "argument ", schema[i].name(), " is missing");
                stack.push_back(*schema[i].default_value());
            }
        }
        handle.callBoxed(&stack);
        Results out{results, capacity};
        for (const auto& value : stack) out.put(value);
        *num_results = out.count;
    });
}
}
