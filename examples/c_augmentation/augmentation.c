/* An augmentation in C: moves the picture a little, then turns some pixels black or white.
 *
 * The move is noted and drawn together with all other moves when somebody asks for pixels, which this does next. All
 * randomness comes from the context's seed, so a run is the same for any number of loader threads. */
#include <stdlib.h>
#include <trainer_plugin.h>

TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("c_augmentation", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("augmentation", "salt_pepper", "moves the picture and turns some pixels black or white", "{}")))

static const struct trainer_options_table *options;

struct salt_pepper {
    double amount;
    double shift;
};

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"amount\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.01,"
    "\"description\":\"Share of the pixels that turn black or white.\"},"
    "\"shift\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.02,"
    "\"description\":\"Largest move along each side, as a share of it.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct salt_pepper read = { 0.01, 0.02 };
    struct salt_pepper *made;
    trainer_status status = trainer_option_number(options, json, "amount", &read.amount, error);
    if (status == TRAINER_STATUS_OK) status = trainer_option_number(options, json, "shift", &read.shift, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (!(read.amount >= 0 && read.amount <= 1)) return trainer_refuse(error, "option `amount` must be in 0 to 1");
    if (!(read.shift >= 0 && read.shift <= 1)) return trainer_refuse(error, "option `shift` must be in 0 to 1");
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}

static void sprinkle(const struct trainer_pixels *pixels, double amount, uint64_t *random) {
    for (uint32_t y = 0; y < pixels->height; y++) {
        uint8_t *row = (uint8_t *)pixels->data + y * pixels->stride;
        for (uint32_t x = 0; x < pixels->width; x++) {
            double drawn = trainer_uniform(random, 0, 1);
            if (drawn >= amount) continue;
            for (uint32_t c = 0; c < pixels->channels; c++) {
                row[x * pixels->channels + c] = drawn < amount / 2 ? 0 : 255;
            }
        }
    }
}

/* ANCHOR: apply */
static trainer_status apply(void *instance, struct trainer_sample sample, const struct trainer_sample *partners,
                            size_t num_partners, const struct trainer_augment_context *context,
                            struct trainer_sink error) {
    const struct salt_pepper *self = instance;
    uint64_t random = context->seed;
    struct trainer_sample_info info;
    struct trainer_pixels pixels;
    trainer_status status;
    (void)partners;
    (void)num_partners;
    sample.table->describe(sample.object, &info);
    if (self->shift > 0) {
        double dx = info.width * trainer_uniform(&random, -self->shift, self->shift);
        double dy = info.height * trainer_uniform(&random, -self->shift, self->shift);
        double matrix[9] = { 1, 0, dx, 0, 1, dy, 0, 0, 1 };
        status = sample.table->warp(sample.object, matrix, info.width, info.height, error);
        if (status != TRAINER_STATUS_OK) return status;
    }
    if (self->amount == 0) return TRAINER_STATUS_OK;
    status = sample.table->pixels(sample.object, &pixels, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (pixels.dtype != TRAINER_DTYPE_U8) return trainer_fail(error, "salt_pepper knows pixels of 8 bits only");
    sprinkle(&pixels, self->amount, &random);
    return TRAINER_STATUS_OK;
}
/* ANCHOR_END: apply */

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

/* ANCHOR: table */
static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_augmentation_table augmentation = {
        create, free, trainer_skip_ready, trainer_no_partners, apply
    };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_AUGMENTATION) ? &augmentation : NULL };
    return found;
}
/* ANCHOR_END: table */

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return options != NULL ? TRAINER_STATUS_OK : trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
}

TRAINER_ROOT(init, { TRAINER_STR("augmentation"), TRAINER_STR("salt_pepper"),
                     TRAINER_STR("moves the picture and turns some pixels black or white"), write_schema, table });
