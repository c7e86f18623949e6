/* Small things that every plugin in C needs; all of it is built from trainer_plugin.h, which includes this file. */
#ifndef TRAINER_HELPERS_H
#define TRAINER_HELPERS_H

#include "trainer_plugin.h"

#define TRAINER_EXPORT __attribute__((visibility("default"), used))

/* The manifest's section stays, whatever the linker collects. */
#if defined(__has_attribute) && !(defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 11)
#if __has_attribute(retain)
#define TRAINER_RETAIN __attribute__((retain))
#endif
#endif
#ifndef TRAINER_RETAIN
#define TRAINER_RETAIN
#endif

#if defined(__x86_64__) && defined(__linux__)
#define TRAINER_TARGET "x86_64-unknown-linux-gnu"
#elif defined(__aarch64__) && defined(__linux__)
#define TRAINER_TARGET "aarch64-unknown-linux-gnu"
#else
#error "Trainer loads plugins for Linux on x86_64 and aarch64; this compiler builds for something else"
#endif

/* A text as an initialiser of a trainer_str. */
#define TRAINER_STR(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* One component in a manifest. `aliases` is a JSON object: keys of run files that stand for an option, or "{}". */
#define TRAINER_COMPONENT(kind, name, doc, aliases) \
    "{\"kind\":\"" kind "\",\"name\":\"" name "\",\"doc\":\"" doc "\",\"aliases\":" aliases "}"

/* The manifest's text; `components` are TRAINER_COMPONENTs with "," between them. Only literals without quotes,
 * backslashes and line breaks. */
#define TRAINER_MANIFEST_TEXT(id, version, license, components)                                             \
    "{\"schema\":1,\"id\":\"" id "\",\"version\":\"" version "\",\"license\":\"" license                     \
    "\",\"abi\":\"" TRAINER_ABI_VERSION "\",\"rustc\":\"C compiler " __VERSION__ "\",\"target\":\"" TRAINER_TARGET \
    "\",\"panic\":\"none\",\"components\":[" components "]}"

/* Puts a manifest (the whole JSON text, a literal) into the file. Once, with TRAINER_ROOT. */
#define TRAINER_MANIFEST(text)                                                                              \
    TRAINER_MANIFEST_BYTES(text)                                                                            \
    static struct trainer_str trainer_meta(void) {                                                          \
        struct trainer_str manifest = { (const uint8_t *)&trainer_manifest, sizeof(trainer_manifest) };     \
        return manifest;                                                                                    \
    }

/* Exports the root: `init_function` as in trainer_plugin_root, then the trainer_factory of each component. */
#define TRAINER_ROOT(init_function, ...)                                                                    \
    static const struct trainer_factory *trainer_factories(size_t *count) {                                 \
        static const struct trainer_factory all[] = { __VA_ARGS__ };                                        \
        *count = sizeof(all) / sizeof(all[0]);                                                              \
        return all;                                                                                         \
    }                                                                                                       \
    static struct trainer_extension trainer_get_ext(struct trainer_str id) {                                \
        struct trainer_extension none = { NULL, NULL };                                                     \
        (void)id;                                                                                           \
        return none;                                                                                        \
    }                                                                                                       \
    TRAINER_C_LINKAGE TRAINER_EXPORT const struct trainer_plugin_root trainer_plugin_root = {               \
        sizeof(struct trainer_plugin_root), trainer_meta, trainer_factories, init_function, trainer_get_ext }

/* The section holds the text without the zero that closes a literal, which C++ does not let an array drop. */
#define TRAINER_IN_SECTION TRAINER_EXPORT TRAINER_RETAIN __attribute__((section(".trainer.manifest")))
#ifdef __cplusplus
#define TRAINER_C_LINKAGE extern "C"
template <size_t N> struct trainer_bytes { char at[N]; };
template <size_t N> constexpr trainer_bytes<N - 1> trainer_without_zero(const char (&text)[N]) {
    trainer_bytes<N - 1> bytes = {};
    for (size_t i = 0; i + 1 < N; i++) bytes.at[i] = text[i];
    return bytes;
}
#define TRAINER_MANIFEST_BYTES(text) \
    TRAINER_IN_SECTION extern constexpr trainer_bytes<sizeof(text) - 1> trainer_manifest = trainer_without_zero(text);
#else
#define TRAINER_C_LINKAGE
#if __GNUC__ >= 15
#define TRAINER_NONSTRING __attribute__((nonstring))
#else
#define TRAINER_NONSTRING
#endif
#define TRAINER_MANIFEST_BYTES(text) \
    TRAINER_IN_SECTION TRAINER_NONSTRING const char trainer_manifest[sizeof(text) - 1] = text;
#endif

/* Text */

/* Borrows a text that a zero closes, for as long as it lives. */
static inline struct trainer_str trainer_str(const char *text) {
    struct trainer_str str = { (const uint8_t *)text, 0 };
    while (text[str.len] != 0) str.len++;
    return str;
}

/* Whether `str` is the text. */
static inline int trainer_equal(struct trainer_str str, const char *text) {
    size_t i = 0;
    for (; i < str.len; i++) {
        if (text[i] == 0 || str.ptr[i] != (uint8_t)text[i]) return 0;
    }
    return text[i] == 0;
}

/* Appends a text that a zero closes. */
static inline void trainer_write(struct trainer_sink sink, const char *text) {
    struct trainer_str str = trainer_str(text);
    sink.write(sink.context, str.ptr, str.len);
}

/* Says why, and is the status to return. */
static inline trainer_status trainer_fail(struct trainer_sink error, const char *text) {
    trainer_write(error, text);
    return TRAINER_STATUS_FAILED;
}

/* As trainer_fail, for options that create refuses: the user's mistake, not the plugin's. */
static inline trainer_status trainer_refuse(struct trainer_sink error, const char *text) {
    trainer_write(error, text);
    return TRAINER_STATUS_OPTIONS;
}

/* Memory of yours that a sink fills. What does not fit is counted in `len` and not written. */
struct trainer_memory {
    uint8_t *ptr;
    size_t capacity; /* bytes */
    size_t len;      /* bytes that were offered: full and fitting where it equals what you expect */
};

static inline void trainer_memory_write(void *context, const uint8_t *ptr, size_t len) {
    struct trainer_memory *memory = (struct trainer_memory *)context;
    for (size_t i = 0; i < len; i++) {
        if (memory->len + i < memory->capacity) memory->ptr[memory->len + i] = ptr[i];
    }
    memory->len += len;
}

/* A sink that fills `memory`, for as long as that lives. */
static inline struct trainer_sink trainer_into(struct trainer_memory *memory) {
    struct trainer_sink sink = { memory, trainer_memory_write };
    return sink;
}

/* The host's tables and options. NULL where this trainer has no such table. */

static inline const void *trainer_host_table(const struct trainer_host *host, const char *id) {
    return host->table(trainer_str(id));
}

static inline trainer_status trainer_option_read(trainer_status status, const char *key, const char *wanted,
                                                 struct trainer_sink error) {
    if (status == TRAINER_STATUS_OK || status == TRAINER_STATUS_UNSUPPORTED) return TRAINER_STATUS_OK;
    trainer_write(error, "option `");
    trainer_write(error, key);
    return trainer_refuse(error, wanted);
}

/* Reads one option. `value` holds the default before and keeps it where the key is missing; another type is refused
 * with a message. Ranges are yours to check. */
static inline trainer_status trainer_option_number(const struct trainer_options_table *options, struct trainer_str json,
                                                   const char *key, double *value, struct trainer_sink error) {
    return trainer_option_read(options->number(json, trainer_str(key), value), key, "` must be a number", error);
}

static inline trainer_status trainer_option_integer(const struct trainer_options_table *options,
                                                    struct trainer_str json, const char *key, int64_t *value,
                                                    struct trainer_sink error) {
    return trainer_option_read(options->integer(json, trainer_str(key), value), key, "` must be a whole number", error);
}

static inline trainer_status trainer_option_boolean(const struct trainer_options_table *options,
                                                    struct trainer_str json, const char *key, int32_t *value,
                                                    struct trainer_sink error) {
    return trainer_option_read(options->boolean(json, trainer_str(key), value), key, "` must be true or false", error);
}

/* The text goes into `out`, without a zero; nothing is written where the key is missing. */
static inline trainer_status trainer_option_text(const struct trainer_options_table *options, struct trainer_str json,
                                                 const char *key, struct trainer_sink out, struct trainer_sink error) {
    return trainer_option_read(options->text(json, trainer_str(key), out), key, "` must be a text", error);
}

/* Entries of a table that have nothing to do. */

static inline trainer_status trainer_skip_ready(void *instance, struct trainer_str run, struct trainer_sink error) {
    return (void)instance, (void)run, (void)error, TRAINER_STATUS_OK;
}

static inline trainer_status trainer_skip_targets(void *instance, struct trainer_fields targets,
                                                  const struct trainer_loss_context *context,
                                                  struct trainer_sink error) {
    return (void)instance, (void)targets, (void)context, (void)error, TRAINER_STATUS_OK;
}

static inline uint32_t trainer_no_partners(void *instance) {
    return (void)instance, 0;
}

static inline trainer_status trainer_skip_save(void *instance, struct trainer_sink out, struct trainer_sink error) {
    return (void)instance, (void)out, (void)error, TRAINER_STATUS_OK;
}

static inline trainer_status trainer_skip_load(void *instance, struct trainer_str state, struct trainer_sink error) {
    (void)instance;
    return state.len == 0 ? TRAINER_STATUS_OK : trainer_fail(error, "there is no state to be loaded");
}

/* Random numbers. The state is the host's seed at first; equal seeds give equal numbers. */

/* The next 64 bits (SplitMix64; Steele, Lea, Flood 2014). */
static inline uint64_t trainer_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A number from [low, high). */
static inline double trainer_uniform(uint64_t *state, double low, double high) {
    return low + (high - low) * ((double)(trainer_random(state) >> 11) / 9007199254740992.0);
}

/* Arguments of operators; pointers must live until the call is over. */

static inline struct trainer_value trainer_value(uint32_t tag, uint32_t len, uint64_t data) {
    struct trainer_value value = { tag, len, data };
    return value;
}

static inline struct trainer_value trainer_none(void) {
    return trainer_value(TRAINER_TAG_NONE, 0, 0);
}

static inline struct trainer_value trainer_tensor(void *tensor) {
    return trainer_value(TRAINER_TAG_TENSOR, 0, (uint64_t)(uintptr_t)tensor);
}

static inline struct trainer_value trainer_int(int64_t number) {
    return trainer_value(TRAINER_TAG_INT, 0, (uint64_t)number);
}

static inline struct trainer_value trainer_float(double number) {
    uint64_t bits;
    __builtin_memcpy(&bits, &number, sizeof(bits));
    return trainer_value(TRAINER_TAG_FLOAT, 0, bits);
}

static inline struct trainer_value trainer_bool(int yes) {
    return trainer_value(TRAINER_TAG_BOOL, 0, yes != 0);
}

static inline struct trainer_value trainer_ints(const int64_t *numbers, uint32_t len) {
    return trainer_value(TRAINER_TAG_INTS, len, (uint64_t)(uintptr_t)numbers);
}

static inline struct trainer_value trainer_floats(const double *numbers, uint32_t len) {
    return trainer_value(TRAINER_TAG_FLOATS, len, (uint64_t)(uintptr_t)numbers);
}

static inline struct trainer_value trainer_tensors(void *const *tensors, uint32_t len) {
    return trainer_value(TRAINER_TAG_TENSORS, len, (uint64_t)(uintptr_t)tensors);
}

static inline struct trainer_value trainer_text(const char *text) {
    return trainer_value(TRAINER_TAG_TEXT, (uint32_t)trainer_str(text).len, (uint64_t)(uintptr_t)text);
}

static inline struct trainer_value trainer_dtype(int32_t dtype) {
    return trainer_value(TRAINER_TAG_DTYPE, 0, (uint64_t)dtype);
}

static inline struct trainer_value trainer_device(int32_t type, int32_t index) {
    return trainer_value(TRAINER_TAG_DEVICE, 0, (uint64_t)(uint32_t)type << 32 | (uint32_t)index);
}

static inline struct trainer_value trainer_memory_format(int32_t format) {
    return trainer_value(TRAINER_TAG_MEMORY_FORMAT, 0, (uint64_t)format);
}

/* An operator by name, found at its first call: `static struct trainer_operator mul = { "aten::mul", "Tensor", NULL }`.
 * For the training thread: losses, not augmentations. */
struct trainer_operator {
    const char *name;
    const char *overload;
    const void *found;
};

/* Calls an operator that has one tensor as its result; that is yours to release. */
static inline trainer_status trainer_call1(const struct trainer_tensor_table *tensors, struct trainer_operator *which,
                                           const struct trainer_value *arguments, size_t num_arguments, void **result,
                                           struct trainer_sink error) {
    struct trainer_value first = trainer_none();
    size_t count = 0;
    trainer_status status;
    if (which->found == NULL) which->found = tensors->find(trainer_str(which->name), trainer_str(which->overload));
    if (which->found == NULL) {
        trainer_write(error, "this trainer's libtorch has no operator ");
        trainer_write(error, which->name);
        trainer_write(error, ".");
        return trainer_fail(error, which->overload);
    }
    status = tensors->call(which->found, arguments, num_arguments, &first, 1, &count, error);
    if (status != TRAINER_STATUS_OK) return status;
    if (first.tag != TRAINER_TAG_TENSOR) {
        trainer_write(error, which->name);
        return trainer_fail(error, " has no tensor as its first result");
    }
    *result = (void *)(uintptr_t)first.data;
    return TRAINER_STATUS_OK;
}

#endif
