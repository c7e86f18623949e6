/* plugin_name: makes samples brighter or darker. */
#include <stdlib.h>
#include "trainer_plugin.h"

TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("plugin_name", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("augmentation", "plugin_name", "makes samples brighter or darker", "{}")))

static const struct trainer_options_table *options;

struct plugin_name_options {
    double strength;
};

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"strength\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.2,"
    "\"description\":\"Largest change of a pixel's values, as a share of the full range.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct plugin_name_options read = { 0.2 };
    struct plugin_name_options *made;
    trainer_status status = trainer_option_number(options, json, "strength", &read.strength, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (!(read.strength >= 0 && read.strength <= 1)) {
        return trainer_refuse(error, "option `strength` must be in 0 to 1");
    }
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}

/* Called on several threads at once. All randomness comes from the context's seed. */
static trainer_status apply(void *instance, struct trainer_sample sample, const struct trainer_sample *partners,
                            size_t num_partners, const struct trainer_augment_context *context,
                            struct trainer_sink error) {
    const struct plugin_name_options *self = instance;
    uint64_t random = context->seed;
    int change = (int)(255 * trainer_uniform(&random, -self->strength, self->strength));
    struct trainer_pixels pixels;
    trainer_status status = sample.table->pixels(sample.object, &pixels, error);
    (void)partners, (void)num_partners;
    if (status != TRAINER_STATUS_OK) return status;
    if (pixels.dtype != TRAINER_DTYPE_U8) return trainer_fail(error, "plugin_name knows pixels of 8 bits only");
    for (uint32_t y = 0; y < pixels.height; y++) {
        uint8_t *row = (uint8_t *)pixels.data + y * pixels.stride;
        for (size_t i = 0; i < (size_t)pixels.width * pixels.channels; i++) {
            int value = row[i] + change;
            row[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
    return TRAINER_STATUS_OK;
}

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_augmentation_table augmentation = {
        create, free, trainer_skip_ready, trainer_no_partners, apply
    };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_AUGMENTATION) ? &augmentation : NULL };
    return found;
}

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return options != NULL ? TRAINER_STATUS_OK : trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
}

TRAINER_ROOT(init, { TRAINER_STR("augmentation"), TRAINER_STR("plugin_name"),
                     TRAINER_STR("makes samples brighter or darker"), write_schema, table });
