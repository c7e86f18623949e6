/* Components that break the contract in ways that Rust forbids or makes hard, each in its own; and `single`, `folder`,
 * which do not. The fixture of tests/conformance_c.rs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "trainer_plugin.h"

#define BAD(kind, name) TRAINER_COMPONENT(kind, name, "misbehaves", "{}") ","
TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("misfits_c", "0.1.0", "MIT",
    BAD("scheduler", "Upper") TRAINER_COMPONENT("scheduler", "dumb", "", "{}") ","
    TRAINER_COMPONENT("scheduler", "misled", "misbehaves", "{\"short\":\"long\"}") ","
    BAD("scheduler", "credulous") BAD("scheduler", "deaf") BAD("scheduler", "leaky") BAD("scheduler", "open")
    BAD("scheduler", "shared") BAD("scheduler", "drifting") BAD("scheduler", "gullible") BAD("scheduler", "personal")
    BAD("augmentation", "greedy") BAD("augmentation", "fickle") BAD("augmentation", "classy")
    BAD("augmentation", "heavy") BAD("augmentation", "counting") BAD("augmentation", "hoarding")
    BAD("loss", "threaded") BAD("loss", "late") BAD("loss", "single")
    BAD("exporter", "todo") BAD("exporter", "constant") BAD("exporter", "absent") BAD("exporter", "outside")
    BAD("exporter", "empty") BAD("exporter", "fresh") BAD("exporter", "boastful")
    TRAINER_COMPONENT("exporter", "folder", "behaves", "{}")))

static const struct trainer_tensor_table *tensors;
static const struct trainer_options_table *options;
static void *volatile kept; /* the last of what is leaked */

static void keep(size_t size) {
    kept = malloc(size);
    memset(kept, 1, size);
}

static void no_options(struct trainer_sink out) {
    trainer_write(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}");
}

static void one_range(struct trainer_sink out) {
    trainer_write(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"lr_range\":{"
                       "\"type\":\"number\",\"default\":1,\"description\":\"how far\"}}}");
}

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    double unused = 0;
    trainer_status status = trainer_option_number(options, json, "unused", &unused, error);
    if (status == TRAINER_STATUS_OK) *instance = calloc(1, sizeof(uint64_t));
    return status;
}

static trainer_status create_from_anything(struct trainer_str json, void **instance, struct trainer_sink error) {
    (void)json, (void)error;
    *instance = calloc(1, sizeof(uint64_t));
    return TRAINER_STATUS_OK;
}

static trainer_status create_leaking(struct trainer_str json, void **instance, struct trainer_sink error) {
    trainer_status status = create(json, instance, error);
    if (status == TRAINER_STATUS_OK) keep(200);
    return status;
}

static trainer_status create_opening(struct trainer_str json, void **instance, struct trainer_sink error) {
    trainer_status status = create(json, instance, error);
    if (status == TRAINER_STATUS_OK) kept = (void *)(intptr_t)open("/dev/null", O_RDONLY);
    return status;
}

static uint64_t calls_of_all;

static trainer_status create_counting(struct trainer_str json, void **instance, struct trainer_sink error) {
    calls_of_all = 0;
    return create(json, instance, error);
}

/* Schedulers */

static trainer_status rates_by(double factor, struct trainer_rates *groups, size_t count) {
    for (size_t i = 0; i < count; i++) {
        groups[i].lr = groups[i].initial_lr * factor;
        groups[i].momentum = groups[i].initial_momentum;
    }
    return TRAINER_STATUS_OK;
}

#define RATES(name, factor)                                                                                   \
    static trainer_status name(void *instance, const struct trainer_progress *at, struct trainer_rates *groups, \
                               size_t count, struct trainer_sink error) {                                     \
        uint64_t *own = instance;                                                                             \
        (void)own, (void)at, (void)error;                                                                     \
        return rates_by(factor, groups, count);                                                               \
    }
RATES(flat, 1.0)
RATES(rates_of_all, 1.0 / (double)++calls_of_all)
RATES(rates_of_own, 1.0 / (double)++*own)
RATES(rates_of_process, 1.0 / (1 + getpid() % 97))

static trainer_status save(void *instance, struct trainer_sink out, struct trainer_sink error) {
    (void)error;
    out.write(out.context, instance, sizeof(uint64_t));
    return TRAINER_STATUS_OK;
}

static trainer_status save_and_count(void *instance, struct trainer_sink out, struct trainer_sink error) {
    trainer_status status = save(instance, out, error);
    ++*(uint64_t *)instance;
    return status;
}

static trainer_status load(void *instance, struct trainer_str state, struct trainer_sink error) {
    (void)error;
    memcpy(instance, state.ptr, state.len < sizeof(uint64_t) ? state.len : sizeof(uint64_t));
    return TRAINER_STATUS_OK;
}

static trainer_status load_and_count(void *instance, struct trainer_str state, struct trainer_sink error) {
    trainer_status status = load(instance, state, error);
    ++*(uint64_t *)instance;
    return status;
}

/* Augmentations */

static uint32_t too_many(void *instance) {
    return (void)instance, 65;
}

static uint32_t once_one(void *instance) {
    return (uint32_t)(++*(uint64_t *)instance & 1);
}

#define APPLY(name, body)                                                                                       \
    static trainer_status name(void *instance, struct trainer_sample sample, const struct trainer_sample *partners, \
                               size_t num_partners, const struct trainer_augment_context *context,              \
                               struct trainer_sink error) {                                                     \
        struct trainer_object object = { 0, 0, { 0, 0, 1, 1 }, 1, 0, NULL };                                    \
        uint64_t *own = instance;                                                                               \
        (void)own, (void)sample, (void)partners, (void)num_partners, (void)context, (void)error, (void)object;  \
        body                                                                                                    \
    }
APPLY(nothing, return TRAINER_STATUS_OK;)
APPLY(other_class, object.class_index = 80; return sample.table->set_objects(sample.object, &object, 1, error);)
APPLY(negative_weight, object.weight = -1; return sample.table->set_objects(sample.object, &object, 1, error);)
APPLY(by_turns, object.class_index = __atomic_fetch_add(own, 1, __ATOMIC_SEQ_CST) % 80;
      return sample.table->set_objects(sample.object, &object, 1, error);)
APPLY(leaking, keep(100000); return TRAINER_STATUS_OK;)

/* Losses */

#define TERMS(name)                                                                                     \
    static trainer_status name(void *instance, struct trainer_fields terms, struct trainer_fields preds, \
                               struct trainer_fields targets, const struct trainer_loss_context *context, \
                               struct trainer_sink error)
#define UNUSED ((void)instance, (void)terms, (void)preds, (void)targets, (void)context, (void)error)

static void *forever(void *nothing) {
    for (;;) pause();
    return nothing;
}

TERMS(terms_threaded) {
    static int is_begun;
    pthread_t thread;
    if (!is_begun++) pthread_create(&thread, NULL, forever, NULL);
    return UNUSED, TRAINER_STATUS_OK;
}

/* Swallows the errors of its last reads of 90. */
TERMS(terms_late) {
    for (int i = 0; i < 90; i++) {
        void *scores = NULL;
        trainer_status status = preds.table->get(preds.object, trainer_str("scores"), &scores, error);
        if (status != TRAINER_STATUS_OK) return i < 82 ? status : TRAINER_STATUS_OK;
        tensors->release(scores);
    }
    return UNUSED, TRAINER_STATUS_OK;
}

/* The sum of squares of the scores, computed in single precision, with the right gradient. */
TERMS(terms_single) {
    static struct trainer_operator to = { "aten::to", "dtype", NULL }, mul = { "aten::mul", "Tensor", NULL },
                                   times = { "aten::mul", "Scalar", NULL }, sum = { "aten::sum", "", NULL };
    void *scores = NULL, *single = NULL, *squares = NULL, *total = NULL, *value = NULL, *gradient = NULL;
    struct trainer_tensor_info info;
    trainer_status status = preds.table->get(preds.object, trainer_str("scores"), &scores, error);
    if (status != TRAINER_STATUS_OK) return UNUSED, status;
    tensors->describe(scores, &info);
#define CALL(operator, out, ...)                                                            \
    if (status == TRAINER_STATUS_OK) {                                                      \
        struct trainer_value arguments[] = { __VA_ARGS__ };                                 \
        status = trainer_call1(tensors, &operator, arguments, sizeof(arguments) / sizeof(arguments[0]), &out, error); \
    }
    CALL(to, single, trainer_tensor(scores), trainer_dtype(TRAINER_DTYPE_F32))
    CALL(mul, squares, trainer_tensor(single), trainer_tensor(single))
    CALL(sum, total, trainer_tensor(squares))
    CALL(to, value, trainer_tensor(total), trainer_dtype(info.dtype))
    CALL(times, gradient, trainer_tensor(scores), trainer_float(2))
    if (status == TRAINER_STATUS_OK)
        status = terms.table->set_with_gradients(terms.object, trainer_str("own"), value, &scores, &gradient, 1, error);
    void *all[] = { scores, single, squares, total, value, gradient };
    for (int i = 0; i < 6; i++)
        if (all[i] != NULL) tensors->release(all[i]);
    return status;
}

/* Exporters */

static trainer_status formats(void *instance, struct trainer_sink out, struct trainer_sink error) {
    (void)instance, (void)error;
    trainer_write(out, "[{\"name\":\"one\",\"extension\":\"txt\",\"doc\":\"one\"}]");
    return TRAINER_STATUS_OK;
}

static void write_file(void *context, const uint8_t *ptr, size_t len) {
    fwrite(ptr, 1, len, context);
}

static trainer_status say(struct trainer_sink artifacts, struct trainer_str path) {
    trainer_write(artifacts, "[{\"path\":\"");
    artifacts.write(artifacts.context, path.ptr, path.len);
    trainer_write(artifacts, "\",\"doc\":\"one\"}]");
    return TRAINER_STATUS_OK;
}

/* Writes `head` and the names of the model's tensors, if there is a model. */
static trainer_status write_names(struct trainer_model model, const char *path, const char *head,
                                  struct trainer_sink error) {
    FILE *file = fopen(path, "w");
    struct trainer_sink sink = { file, write_file };
    if (file == NULL) return trainer_fail(error, "the file cannot be written");
    trainer_write(sink, head);
    if (model.table != NULL) model.table->names(model.object, sink);
    fclose(file);
    return TRAINER_STATUS_OK;
}

/* `write` writes to `out`, or to another path that it puts there; `said` is named as the artifact, if all went well or
 * it `boasts`. */
#define EXPORT(name, boasts, write)                                                                       \
    static trainer_status name(void *instance, struct trainer_model model, struct trainer_str path,       \
                               const struct trainer_export_context *context, struct trainer_sink artifacts, \
                               struct trainer_sink error) {                                               \
        struct trainer_model none = { NULL, NULL };                                                       \
        struct trainer_str said = path;                                                                   \
        trainer_status status = TRAINER_STATUS_OK;                                                        \
        char out[4096], text[4096];                                                                       \
        snprintf(out, sizeof out, "%.*s", (int)path.len, (const char *)path.ptr);                         \
        (void)instance, (void)model, (void)context, (void)none, (void)text;                               \
        write;                                                                                            \
        return status == TRAINER_STATUS_OK || boasts ? say(artifacts, said) : status;                     \
    }
EXPORT(fails, 0, status = trainer_fail(error, "not written yet"))
EXPORT(writes_a_constant, 0, status = write_names(none, out, "nothing of the model", error))
EXPORT(writes_nothing, 0, (void)0)
EXPORT(writes_elsewhere, 0, snprintf(text, sizeof text, "%s/misfit", getenv("HOME"));
       said = trainer_str(text); status = write_names(model, text, "", error))
EXPORT(writes_no_byte, 0, status = write_names(none, out, "", error))
EXPORT(writes_a_count, 0, snprintf(text, sizeof text, "%lu\n", (unsigned long)++calls_of_all);
       status = write_names(model, out, text, error))
EXPORT(says_it_wrote, 1, status = write_names(model, out, "", error))
EXPORT(writes_a_folder, 0, if (mkdir(out, 0755) != 0) return trainer_fail(error, "no folder can be made");
       snprintf(text, sizeof text, "%.4000s/names", out); status = write_names(model, text, "", error))

/* All of them */

#define TABLE(kind, name, ID, ...)                                                                          \
    static struct trainer_extension table_##name(struct trainer_str id) {                                   \
        static const struct trainer_##kind##_table table = { __VA_ARGS__ };                                 \
        struct trainer_extension found = { NULL, trainer_equal(id, TRAINER_ID_##ID) ? &table : NULL };      \
        return found;                                                                                       \
    }
#define SCHEDULER(name, create, rates, save, load) \
    TABLE(scheduler, name, SCHEDULER, create, free, trainer_skip_ready, rates, save, load)
#define STATELESS(name, create, rates) SCHEDULER(name, create, rates, trainer_skip_save, trainer_skip_load)
STATELESS(Upper, create, flat)
STATELESS(dumb, create, flat)
STATELESS(misled, create, flat)
STATELESS(credulous, create, flat)
STATELESS(deaf, create_from_anything, flat)
STATELESS(leaky, create_leaking, flat)
STATELESS(open, create_opening, flat)
STATELESS(shared, create_counting, rates_of_all)
STATELESS(personal, create, rates_of_process)
SCHEDULER(drifting, create, flat, save_and_count, load_and_count)
SCHEDULER(gullible, create, rates_of_own, save, load)
#define AUGMENTATION(name, partners, apply) \
    TABLE(augmentation, name, AUGMENTATION, create, free, trainer_skip_ready, partners, apply)
AUGMENTATION(greedy, too_many, nothing)
AUGMENTATION(fickle, once_one, nothing)
AUGMENTATION(classy, trainer_no_partners, other_class)
AUGMENTATION(heavy, trainer_no_partners, negative_weight)
AUGMENTATION(counting, trainer_no_partners, by_turns)
AUGMENTATION(hoarding, trainer_no_partners, leaking)
#define LOSS(name)                                                                                    \
    TABLE(loss, name, LOSS, create, free, trainer_skip_ready, trainer_skip_targets, terms_##name,      \
          trainer_skip_save, trainer_skip_load)
LOSS(threaded)
LOSS(late)
LOSS(single)
#define EXPORTER(name, export_)                                                                        \
    TABLE(exporter, name, EXPORTER, create, free, trainer_skip_ready, formats, export_, trainer_skip_save, \
          trainer_skip_load)
EXPORTER(todo, fails)
EXPORTER(constant, writes_a_constant)
EXPORTER(absent, writes_nothing)
EXPORTER(outside, writes_elsewhere)
EXPORTER(empty, writes_no_byte)
EXPORTER(fresh, writes_a_count)
EXPORTER(boastful, says_it_wrote)
EXPORTER(folder, writes_a_folder)

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    (void)error;
    tensors = trainer_host_table(host, TRAINER_ID_TENSOR);
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return TRAINER_STATUS_OK;
}

#define SAYING(kind, name, doc, schema) \
    { TRAINER_STR(kind), TRAINER_STR(#name), TRAINER_STR(doc), schema, table_##name }
#define FACTORY(kind, name) SAYING(kind, name, "misbehaves", no_options)
TRAINER_ROOT(init, FACTORY("scheduler", Upper), SAYING("scheduler", dumb, "", no_options), FACTORY("scheduler", misled),
             SAYING("scheduler", credulous, "misbehaves", one_range), FACTORY("scheduler", deaf),
             FACTORY("scheduler", leaky), FACTORY("scheduler", open), FACTORY("scheduler", shared),
             FACTORY("scheduler", drifting), FACTORY("scheduler", gullible), FACTORY("scheduler", personal),
             FACTORY("augmentation", greedy), FACTORY("augmentation", fickle), FACTORY("augmentation", classy),
             FACTORY("augmentation", heavy), FACTORY("augmentation", counting), FACTORY("augmentation", hoarding),
             FACTORY("loss", threaded), FACTORY("loss", late), FACTORY("loss", single), FACTORY("exporter", todo),
             FACTORY("exporter", constant), FACTORY("exporter", absent), FACTORY("exporter", outside),
             FACTORY("exporter", empty), FACTORY("exporter", fresh), FACTORY("exporter", boastful),
             SAYING("exporter", folder, "behaves", no_options));
