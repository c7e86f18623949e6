/* A loss in C: smooths class targets, and penalises confident class scores on assigned anchors.
 *
 * Pass 1, `targets`, works with libtorch's operators, as a loss in Rust or Python would:
 *     t becomes t (1 - epsilon) + epsilon * sum(t) / C      (Szegedy et al. 2016, section 7)
 * Pass 2, `terms`, works on plain memory with a backward of its own. The penalty of a logit z with p = sigmoid(z) is
 * the divergence of p from a coin's throw, ln 2 - entropy(p) (after Pereyra et al. 2017):
 *     k(z) = ln 2 + p z - ln(1 + e^z)      k'(z) = p (1 - p) z
 *     confidence = weight / normaliser * sum of k over the classes of the assigned anchors */
#include <math.h>
#include <stdlib.h>
#include <trainer_plugin.h>

/* ANCHOR: manifest */
TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("c_loss", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("loss", "confidence", "smooths class targets and penalises confident class scores", "{}")))
/* ANCHOR_END: manifest */

static const struct trainer_tensor_table *tensors;
static const struct trainer_options_table *options;

struct confidence {
    double epsilon;
    double weight;
    int64_t ramp;
    uint64_t batches; /* trained so far; the state */
};

/* ANCHOR: options */
static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"epsilon\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.05,"
    "\"description\":\"Share of each class target that is spread evenly over all classes.\"},"
    "\"weight\":{\"type\":\"number\",\"minimum\":0,\"default\":0.1,"
    "\"description\":\"Factor of the penalty; 0 adds no term.\"},"
    "\"ramp\":{\"type\":\"integer\",\"minimum\":0,\"default\":0,"
    "\"description\":\"Training batches over which the penalty grows to its weight.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct confidence read = { 0.05, 0.1, 0, 0 };
    struct confidence *made;
    trainer_status status = trainer_option_number(options, json, "epsilon", &read.epsilon, error);
    if (status == TRAINER_STATUS_OK) status = trainer_option_number(options, json, "weight", &read.weight, error);
    if (status == TRAINER_STATUS_OK) status = trainer_option_integer(options, json, "ramp", &read.ramp, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (!(read.epsilon >= 0 && read.epsilon <= 1)) return trainer_refuse(error, "option `epsilon` must be in 0 to 1");
    if (!(read.weight >= 0 && isfinite(read.weight))) return trainer_refuse(error, "option `weight` must be 0 or more");
    if (read.ramp < 0) return trainer_refuse(error, "option `ramp` must be 0 or more");
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}
/* ANCHOR_END: options */

static void release(void *tensor) {
    if (tensor != NULL) tensors->release(tensor);
}

/* ANCHOR: targets */
static trainer_status targets(void *instance, struct trainer_fields fields, const struct trainer_loss_context *context,
                              struct trainer_sink error) {
    static struct trainer_operator sum = { "aten::sum", "dim_IntList", NULL };
    static struct trainer_operator mul = { "aten::mul", "Scalar", NULL };
    static struct trainer_operator add = { "aten::add", "Tensor", NULL };
    const struct confidence *self = instance;
    const int64_t last = -1;
    void *scores = NULL, *total = NULL, *kept = NULL, *smooth = NULL;
    trainer_status status = fields.table->get(fields.object, trainer_str("scores"), &scores, error);
    if (status == TRAINER_STATUS_OK) {
        struct trainer_value arguments[] = { trainer_tensor(scores), trainer_ints(&last, 1), trainer_bool(1) };
        status = trainer_call1(tensors, &sum, arguments, 3, &total, error);
    }
    if (status == TRAINER_STATUS_OK) {
        struct trainer_value arguments[] = { trainer_tensor(scores), trainer_float(1 - self->epsilon) };
        status = trainer_call1(tensors, &mul, arguments, 2, &kept, error);
    }
    if (status == TRAINER_STATUS_OK) {
        struct trainer_value share = trainer_float(self->epsilon / context->num_classes);
        struct trainer_value arguments[] = { trainer_tensor(kept), trainer_tensor(total), share };
        status = trainer_call1(tensors, &add, arguments, 3, &smooth, error);
    }
    if (status == TRAINER_STATUS_OK) {
        status = fields.table->set(fields.object, trainer_str("scores"), smooth, error);
    }
    release(scores);
    release(total);
    release(kept);
    release(smooth);
    return status;
}
/* ANCHOR_END: targets */

/* The named field as `count` doubles in memory of its own, whatever its float type. */
static trainer_status read_doubles(struct trainer_fields fields, const char *name, double **values, size_t *count,
                                   void **tensor, struct trainer_sink error) {
    static struct trainer_operator to = { "aten::to", "dtype", NULL };
    struct trainer_tensor_info info;
    void *converted = NULL;
    trainer_status status = fields.table->get(fields.object, trainer_str(name), tensor, error);
    if (status != TRAINER_STATUS_OK) return status;
    tensors->describe(*tensor, &info);
    *count = 1;
    for (size_t i = 0; i < info.num_sizes; i++) *count *= (size_t)info.sizes[i];
    *values = malloc(*count * sizeof **values + 1);
    if (*values == NULL) return trainer_fail(error, "out of memory");
    {
        struct trainer_value arguments[] = { trainer_tensor(*tensor), trainer_dtype(TRAINER_DTYPE_F64) };
        status = trainer_call1(tensors, &to, arguments, 2, &converted, error);
    }
    if (status == TRAINER_STATUS_OK) {
        struct trainer_memory memory = { (uint8_t *)*values, *count * sizeof **values, 0 };
        status = tensors->to_bytes(converted, trainer_into(&memory), error);
        if (status == TRAINER_STATUS_OK && memory.len != memory.capacity) {
            status = trainer_fail(error, "a tensor has another size than it says");
        }
    }
    release(converted);
    return status;
}

/* A tensor of these doubles with the element type and on the device of `like`. */
static trainer_status write_doubles(const double *values, const int64_t *sizes, size_t num_sizes, size_t count,
                                    void *like, void **tensor, struct trainer_sink error) {
    static struct trainer_operator to_dtype = { "aten::to", "dtype", NULL };
    static struct trainer_operator to_device = { "aten::to", "device", NULL };
    struct trainer_str bytes = { (const uint8_t *)values, count * sizeof *values };
    struct trainer_tensor_info info;
    void *plain = NULL;
    trainer_status status = tensors->from_bytes(TRAINER_DTYPE_F64, sizes, num_sizes, bytes, &plain, error);
    if (status != TRAINER_STATUS_OK) return status;
    tensors->describe(like, &info);
    if (info.device_type == 0) {
        struct trainer_value arguments[] = { trainer_tensor(plain), trainer_dtype(info.dtype) };
        status = trainer_call1(tensors, &to_dtype, arguments, 2, tensor, error);
    } else {
        struct trainer_value device = trainer_device(info.device_type, info.device_index);
        struct trainer_value arguments[] = { trainer_tensor(plain), device, trainer_dtype(info.dtype) };
        status = trainer_call1(tensors, &to_device, arguments, 3, tensor, error);
    }
    release(plain);
    return status;
}

/* The penalty of one logit, and its derivative in `slope`; k is even, so that no exponential overflows. */
static double penalty(double z, double *slope) {
    double e = exp(-fabs(z));
    *slope = e / ((1 + e) * (1 + e)) * z;
    return log(2.0) - fabs(z) * e / (1 + e) - log1p(e);
}

/* Turns logits (anchors x classes) into gradients, in place, and returns the sum of their penalties. */
static double penalise(double *logits, size_t num_anchors, size_t num_classes, const double *foreground, double scale) {
    double sum = 0;
    for (size_t anchor = 0; anchor < num_anchors; anchor++) {
        double *row = logits + anchor * num_classes;
        for (size_t class_index = 0; class_index < num_classes; class_index++) {
            double slope = 0;
            if (foreground[anchor] != 0) sum += penalty(row[class_index], &slope);
            row[class_index] = scale * slope;
        }
    }
    return scale * sum;
}

static trainer_status terms(void *instance, struct trainer_fields fields, struct trainer_fields predictions,
                            struct trainer_fields of_targets, const struct trainer_loss_context *context,
                            struct trainer_sink error) {
    struct confidence *self = instance;
    struct trainer_tensor_info info;
    double *logits = NULL, *foreground = NULL, *normaliser = NULL;
    void *scores = NULL, *mask = NULL, *divisor = NULL, *value = NULL, *gradient = NULL;
    size_t num_logits = 0, num_anchors = 0, one = 0;
    trainer_status status;
    if (self->weight == 0) return TRAINER_STATUS_OK;
    status = read_doubles(predictions, "scores", &logits, &num_logits, &scores, error);
    if (status == TRAINER_STATUS_OK) {
        status = read_doubles(of_targets, "foreground", &foreground, &num_anchors, &mask, error);
    }
    if (status == TRAINER_STATUS_OK) {
        status = read_doubles(of_targets, "normaliser", &normaliser, &one, &divisor, error);
    }
    if (status == TRAINER_STATUS_OK && (one != 1 || num_logits != num_anchors * context->num_classes)) {
        status = trainer_fail(error, "scores, foreground and normaliser do not belong together");
    }
    if (status == TRAINER_STATUS_OK) {
        double share = self->ramp > 0 ? fmin(1, (double)(self->batches + 1) / (double)self->ramp) : 1;
        double scale = self->weight * share / normaliser[0];
        double sum = penalise(logits, num_anchors, context->num_classes, foreground, scale);
        tensors->describe(scores, &info);
        status = write_doubles(&sum, NULL, 0, 1, scores, &value, error);
    }
    if (status == TRAINER_STATUS_OK) {
        status = write_doubles(logits, info.sizes, info.num_sizes, num_logits, scores, &gradient, error);
    }
    /* ANCHOR: gradients */
    if (status == TRAINER_STATUS_OK) {
        struct trainer_str name = trainer_str("confidence");
        status = fields.table->set_with_gradients(fields.object, name, value, &scores, &gradient, 1, error);
        /* In validation nothing records gradients; those batches do not count. */
        if (status == TRAINER_STATUS_OK && info.requires_grad) self->batches++;
    }
    /* ANCHOR_END: gradients */
    release(scores);
    release(mask);
    release(divisor);
    release(value);
    release(gradient);
    free(logits);
    free(foreground);
    free(normaliser);
    return status;
}

/* ANCHOR: state */
/* The state is `batches`, 8 bytes, the lowest first. */
static trainer_status save(void *instance, struct trainer_sink out, struct trainer_sink error) {
    const struct confidence *self = instance;
    uint8_t bytes[8];
    (void)error;
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(self->batches >> (8 * i));
    out.write(out.context, bytes, sizeof bytes);
    return TRAINER_STATUS_OK;
}

static trainer_status load(void *instance, struct trainer_str state, struct trainer_sink error) {
    struct confidence *self = instance;
    if (state.len != 8) return trainer_fail(error, "a state of this loss has 8 bytes; this is none");
    self->batches = 0;
    for (int i = 0; i < 8; i++) self->batches |= (uint64_t)state.ptr[i] << (8 * i);
    return TRAINER_STATUS_OK;
}
/* ANCHOR_END: state */

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

/* ANCHOR: table */
static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_loss_table loss = { create, free, trainer_skip_ready, targets, terms, save, load };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_LOSS) ? &loss : NULL };
    return found;
}
/* ANCHOR_END: table */

/* ANCHOR: root */
static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    tensors = trainer_host_table(host, TRAINER_ID_TENSOR);
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    if (tensors == NULL) return trainer_fail(error, "this trainer does not offer " TRAINER_ID_TENSOR);
    if (options == NULL) return trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
    return TRAINER_STATUS_OK;
}

TRAINER_ROOT(init, { TRAINER_STR("loss"), TRAINER_STR("confidence"),
                     TRAINER_STR("smooths class targets and penalises confident class scores"), write_schema, table });
/* ANCHOR_END: root */
