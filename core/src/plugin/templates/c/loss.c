/* plugin_name: scales the class targets of every anchor. */
#include <stdlib.h>
#include "trainer_plugin.h"

TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("plugin_name", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("loss", "plugin_name", "scales every class target", "{}")))

static const struct trainer_tensor_table *tensors;
static const struct trainer_options_table *options;

struct plugin_name_options {
    double factor;
};

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"factor\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.9,"
    "\"description\":\"Factor of every class target.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct plugin_name_options read = { 0.9 };
    struct plugin_name_options *made;
    trainer_status status = trainer_option_number(options, json, "factor", &read.factor, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (!(read.factor >= 0 && read.factor <= 1)) return trainer_refuse(error, "option `factor` must be in 0 to 1");
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}

static trainer_status targets(void *instance, struct trainer_fields fields, const struct trainer_loss_context *context,
                              struct trainer_sink error) {
    static struct trainer_operator mul = { "aten::mul", "Scalar", NULL };
    const struct plugin_name_options *self = instance;
    void *scores = NULL, *scaled = NULL;
    trainer_status status = fields.table->get(fields.object, trainer_str("scores"), &scores, error);
    (void)context;
    if (status == TRAINER_STATUS_OK) {
        struct trainer_value arguments[] = { trainer_tensor(scores), trainer_float(self->factor) };
        status = trainer_call1(tensors, &mul, arguments, 2, &scaled, error);
    }
    if (status == TRAINER_STATUS_OK) status = fields.table->set(fields.object, trainer_str("scores"), scaled, error);
    if (scores != NULL) tensors->release(scores);
    if (scaled != NULL) tensors->release(scaled);
    return status;
}

static trainer_status terms(void *instance, struct trainer_fields fields, struct trainer_fields predictions,
                            struct trainer_fields of_targets, const struct trainer_loss_context *context,
                            struct trainer_sink error) {
    (void)instance, (void)fields, (void)predictions, (void)of_targets, (void)context, (void)error;
    return TRAINER_STATUS_OK;
}

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_loss_table loss = {
        create, free, trainer_skip_ready, targets, terms, trainer_skip_save, trainer_skip_load
    };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_LOSS) ? &loss : NULL };
    return found;
}

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    tensors = trainer_host_table(host, TRAINER_ID_TENSOR);
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    if (tensors == NULL) return trainer_fail(error, "this trainer does not offer " TRAINER_ID_TENSOR);
    if (options == NULL) return trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
    return TRAINER_STATUS_OK;
}

TRAINER_ROOT(init, { TRAINER_STR("loss"), TRAINER_STR("plugin_name"), TRAINER_STR("scales every class target"),
                     write_schema, table });
