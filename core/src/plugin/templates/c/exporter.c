/* plugin_name: a text file that lists the names of a model's tensors. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trainer_plugin.h"

TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("plugin_name", "0.1.0", "MIT OR Apache-2.0",
    TRAINER_COMPONENT("exporter", "plugin_name", "lists the names of a model's tensors", "{}")))

static const struct trainer_options_table *options;

struct plugin_name_options {
    int32_t metadata;
};

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"metadata\":{\"type\":\"boolean\",\"default\":true,"
    "\"description\":\"Begin with a line of what the model says about itself, as JSON.\"}}}";

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    struct plugin_name_options read = { 1 };
    struct plugin_name_options *made;
    trainer_status status = trainer_option_boolean(options, json, "metadata", &read.metadata, error);
    if (status != TRAINER_STATUS_OK) return status;
    made = malloc(sizeof *made);
    if (made == NULL) return trainer_fail(error, "out of memory");
    *made = read;
    *instance = made;
    return TRAINER_STATUS_OK;
}

static trainer_status formats(void *instance, struct trainer_sink out, struct trainer_sink error) {
    (void)instance, (void)error;
    trainer_write(out, "[{\"name\":\"plugin_name\",\"extension\":\"txt\",\"doc\":\"the names of all tensors\"}]");
    return TRAINER_STATUS_OK;
}

static void write_file(void *context, const uint8_t *ptr, size_t len) {
    fwrite(ptr, 1, len, context);
}

/* The text as a JSON string. */
static void write_json(struct trainer_sink out, struct trainer_str text) {
    trainer_write(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        char escaped[8];
        snprintf(escaped, sizeof escaped, "\\u%04x", text.ptr[i]);
        if (text.ptr[i] < 0x20 || text.ptr[i] == '"' || text.ptr[i] == '\\') trainer_write(out, escaped);
        else out.write(out.context, text.ptr + i, 1);
    }
    trainer_write(out, "\"");
}

static trainer_status write_model(const struct plugin_name_options *self, struct trainer_model model,
                                  const char *beside, struct trainer_sink error) {
    trainer_status status = TRAINER_STATUS_OK;
    FILE *file = fopen(beside, "w");
    struct trainer_sink sink = { file, write_file };
    if (file == NULL) return trainer_fail(error, strerror(errno));
    if (self->metadata) {
        status = model.table->metadata(model.object, sink, error);
        trainer_write(sink, "\n");
    }
    if (status == TRAINER_STATUS_OK) model.table->names(model.object, sink);
    if (ferror(file) && status == TRAINER_STATUS_OK) status = trainer_fail(error, "the file cannot be written");
    if (fclose(file) != 0 && status == TRAINER_STATUS_OK) status = trainer_fail(error, strerror(errno));
    return status;
}

/* Writes beside `path` and renames, so that no half of a file is left under the name. */
static trainer_status export_(void *instance, struct trainer_model model, struct trainer_str path,
                              const struct trainer_export_context *context, struct trainer_sink artifacts,
                              struct trainer_sink error) {
    trainer_status status;
    char *out = malloc(path.len + 1), *beside = malloc(path.len + 6);
    (void)context;
    if (out == NULL || beside == NULL) {
        free(out);
        free(beside);
        return trainer_fail(error, "out of memory");
    }
    memcpy(out, path.ptr, path.len);
    out[path.len] = 0;
    snprintf(beside, path.len + 6, "%s.part", out);
    status = write_model(instance, model, beside, error);
    if (status == TRAINER_STATUS_OK && rename(beside, out) != 0) status = trainer_fail(error, strerror(errno));
    if (status != TRAINER_STATUS_OK) remove(beside);
    free(out);
    free(beside);
    if (status != TRAINER_STATUS_OK) return status;
    trainer_write(artifacts, "[{\"path\":");
    write_json(artifacts, path);
    trainer_write(artifacts, ",\"doc\":\"the names of all tensors\"}]");
    return TRAINER_STATUS_OK;
}

static void write_schema(struct trainer_sink out) {
    trainer_write(out, schema);
}

static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_exporter_table exporter = {
        create, free, trainer_skip_ready, formats, export_, trainer_skip_save, trainer_skip_load
    };
    struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_EXPORTER) ? &exporter : NULL };
    return found;
}

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return options != NULL ? TRAINER_STATUS_OK : trainer_fail(error, "this trainer does not offer " TRAINER_ID_OPTIONS);
}

TRAINER_ROOT(init, { TRAINER_STR("exporter"), TRAINER_STR("plugin_name"),
                     TRAINER_STR("lists the names of a model's tensors"), write_schema, table });
