/* plugin_name: the rates fall along a power of the part of the run that is left, after a short rise. */
#include <math.h>
#include <stdlib.h>
#include "trainer_plugin.h"

TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("plugin_name", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("scheduler", "plugin_name", "rates fall along a power of what is left", "{}")))

static const struct trainer_options_table *options;

struct plugin_name_options {
    double power;
};

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"power\":{\"type\":\"number\",\"minimum\":0.1,\"maximum\":10,\"default\":2,"
    "\"description\":\"The exponent: 1 is a straight line, more falls earlier.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct plugin_name_options read = { 2 };
    struct plugin_name_options *made;
    trainer_status status = trainer_option_number(options, json, "power", &read.power, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (!(read.power >= 0.1 && read.power <= 10)) return trainer_refuse(error, "option `power` must be in 0.1 to 10");
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}

static trainer_status rates(void *instance, const struct trainer_progress *at, struct trainer_rates *groups,
                            size_t count, struct trainer_sink error) {
    const struct plugin_name_options *self = instance;
    const double total = (double)(at->epochs * at->steps_per_epoch), warmup = 100;
    const double done = total > 0 ? fmin((double)at->step / total, 1) : 0;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        groups[i].lr = groups[i].initial_lr * pow(1 - done, self->power) * fmin((double)at->step / warmup, 1);
        groups[i].momentum = groups[i].initial_momentum;
    }
    return TRAINER_STATUS_OK;
}

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_scheduler_table scheduler = {
        create, free, trainer_skip_ready, rates, trainer_skip_save, trainer_skip_load
    };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_SCHEDULER) ? &scheduler : NULL };
    return found;
}

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return options != NULL ? TRAINER_STATUS_OK : trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
}

TRAINER_ROOT(init, { TRAINER_STR("scheduler"), TRAINER_STR("plugin_name"),
                     TRAINER_STR("rates fall along a power of what is left"), write_schema, table });
