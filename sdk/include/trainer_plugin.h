/* The plugin contract of Trainer for authors in C, C++ and CUDA: sdk/abi/src in C, name by name (a test compares them).
 *
 * A plugin is a shared library with a manifest in its ELF section .trainer.manifest, which is read before any of its
 * code runs, and with one symbol, trainer_plugin_root. The host reads the root, calls init once, and asks the factories
 * for the table of their kind by id (trainer.loss/1). Tables never change: growth is a new id, and both sides use the
 * newest that they share.
 *
 * Rules for every function: text is UTF-8; a borrowed pointer is valid for the call only; nothing unwinds or jumps
 * through a call; whoever can fail returns a status and writes the reason into `error`, a sentence without a capital
 * and without a full stop. No function of a table may be null. Print nothing: stdout belongs to the trainer.
 *
 * trainer_helpers.h, included at the end, has the macros that export a plugin and small functions for all of this. */
#ifndef TRAINER_PLUGIN_H
#define TRAINER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this contract; host and plugin must share the part before the first dot. */
#define TRAINER_ABI_VERSION "1.0.0-rc.2"
/* The section that holds the manifest, and the symbol of the root. */
#define TRAINER_MANIFEST_SECTION ".trainer.manifest"
#define TRAINER_PLAIN_ROOT "trainer_plugin_root"

/* Tables of components. */
#define TRAINER_ID_LOSS "trainer.loss/1"
#define TRAINER_ID_AUGMENTATION "trainer.augmentation/1"
#define TRAINER_ID_SCHEDULER "trainer.scheduler/1"
#define TRAINER_ID_EXPORTER "trainer.exporter/1"
/* Tables of the host. */
#define TRAINER_ID_TENSOR "trainer.tensor/1"
#define TRAINER_ID_OPTIONS "trainer.options/1"
#define TRAINER_ID_LOG "trainer.log/1"
#define TRAINER_ID_LAYERS "trainer.layers/1"

/* The outcome of a call. Codes are only ever added; read an unknown one as FAILED. */
typedef int32_t trainer_status;
#define TRAINER_STATUS_OK 0
#define TRAINER_STATUS_FAILED 1      /* the sink says why */
#define TRAINER_STATUS_OPTIONS 2     /* the options were refused */
#define TRAINER_STATUS_PANICKED 3    /* the code crashed; the instance answers this from now on */
#define TRAINER_STATUS_UNSUPPORTED 4 /* the callee does not offer this */

/* Element types, by the codes of libtorch. */
#define TRAINER_DTYPE_U8 0
#define TRAINER_DTYPE_I32 3
#define TRAINER_DTYPE_I64 4
#define TRAINER_DTYPE_F16 5
#define TRAINER_DTYPE_F32 6
#define TRAINER_DTYPE_F64 7
#define TRAINER_DTYPE_BOOL 11 /* one byte, 0 or 1 */
#define TRAINER_DTYPE_BF16 15

/* Kinds of trainer_value. */
#define TRAINER_TAG_NONE 0           /* an optional argument left out */
#define TRAINER_TAG_TENSOR 1         /* a handle: borrowed in arguments, yours to release in results */
#define TRAINER_TAG_INT 2            /* also accepted where the schema says Scalar or float */
#define TRAINER_TAG_FLOAT 3          /* the bits of a double; also accepted for Scalar */
#define TRAINER_TAG_BOOL 4           /* 0 or 1 */
#define TRAINER_TAG_INTS 5           /* pointer to len int64_t */
#define TRAINER_TAG_FLOATS 6         /* pointer to len double */
#define TRAINER_TAG_TENSORS 7        /* pointer to len handles; null is an absent tensor */
#define TRAINER_TAG_TEXT 8           /* pointer to len bytes of UTF-8 */
#define TRAINER_TAG_DTYPE 9          /* a TRAINER_DTYPE code */
#define TRAINER_TAG_DEVICE 10        /* type in the upper, index in the lower 32 bits; type 0 CPU, 1 CUDA */
#define TRAINER_TAG_MEMORY_FORMAT 11 /* 0 contiguous, 1 preserve, 2 channels last */

/* Text or bytes */

/* Borrowed UTF-8 text (or, where a function says so, bytes); not closed by a zero. */
struct trainer_str {
    const uint8_t *ptr; /* the first byte; any value where len is 0 */
    size_t len;         /* bytes */
};

/* Where a function writes what only it knows the length of; it may write several times. */
struct trainer_sink {
    void *context;                                                 /* to be passed to write */
    void (*write)(void *context, const uint8_t *ptr, size_t len);  /* appends len bytes, which it copies */
};

/* The plugin: the root, its factories, the host. Called on the main thread. */

/* A table and its layout. */
struct trainer_extension {
    const void *layout; /* NULL from a plugin that is not written in Rust */
    const void *table;  /* lives for the process; NULL where the id is unknown */
};

/* One component. All of it lives for the process. */
struct trainer_factory {
    struct trainer_str kind;                                /* loss, augmentation, scheduler or exporter */
    struct trainer_str name;                                /* the name in run files, as in the manifest */
    struct trainer_str doc;                                 /* one sentence on what it does */
    void (*schema)(struct trainer_sink out);                /* writes the JSON Schema of the options */
    struct trainer_extension (*table)(struct trainer_str id); /* the component's table of that id */
};

/* What init receives; lives for the process. */
struct trainer_host {
    const void *(*table)(struct trainer_str id); /* a table of the host, NULL where unknown; any thread */
};

/* What a plugin exports as `const struct trainer_plugin_root trainer_plugin_root`. */
struct trainer_plugin_root {
    size_t size;                     /* sizeof(struct trainer_plugin_root) */
    struct trainer_str (*meta)(void); /* the manifest, byte for byte that of the section; lives for the process */
    const struct trainer_factory *(*factories)(size_t *count); /* `count` entries; they live for the process */
    trainer_status (*init)(const struct trainer_host *host, struct trainer_sink error); /* once, before any create */
    struct trainer_extension (*get_ext)(struct trainer_str id); /* an extension of the whole plugin */
};

/* Tensors: trainer.tensor/1. Use them on the thread that passed them in. */

/* Shape and type of a tensor. */
struct trainer_tensor_info {
    int32_t dtype;         /* a TRAINER_DTYPE code */
    int32_t requires_grad; /* 1 if it records gradients, else 0 */
    int32_t device_type;   /* 0 CPU, 1 CUDA */
    int32_t device_index;  /* -1 for CPU */
    const int64_t *sizes;  /* num_sizes numbers; the host's, valid as long as the tensor */
    size_t num_sizes;      /* dimensions, 0 for a scalar */
};

/* One argument or result of an operator; trainer_helpers.h makes them. */
struct trainer_value {
    uint32_t tag;  /* a TRAINER_TAG */
    uint32_t len;  /* elements of a list, bytes of a text; else 0 */
    uint64_t data; /* the value, the bits of a double, or a pointer */
};

/* A tensor is an opaque handle that counts references. Operators run in the grad mode, on the device and stream that
 * the host has set. Every handle that a function writes is yours to release. */
struct trainer_tensor_table {
    void *(*retain)(void *tensor); /* a further reference to the same tensor */
    void (*release)(void *tensor); /* gives one reference back */
    void (*describe)(void *tensor, struct trainer_tensor_info *info); /* fills in info */
    /* An operator by name and overload ("aten::sum", "dim_IntList"); NULL where there is none. Keep it: it lives for
     * the process, and finding it again costs memory. */
    const void *(*find)(struct trainer_str name, struct trainer_str overload);
    /* Calls an operator. Missing trailing arguments take their defaults. At most `capacity` results are written, lists
     * of tensors one by one; `num_results` tells how many there are. */
    trainer_status (*call)(const void *operation, const struct trainer_value *arguments, size_t num_arguments,
                           struct trainer_value *results, size_t capacity, size_t *num_results,
                           struct trainer_sink error);
    /* A new CPU tensor with a copy of `bytes` (row-major, native byte order). */
    trainer_status (*from_bytes)(int32_t dtype, const int64_t *sizes, size_t num_sizes, struct trainer_str bytes,
                                 void **tensor, struct trainer_sink error);
    /* Writes all elements, row-major, in native byte order; waits for the device. */
    trainer_status (*to_bytes)(void *tensor, struct trainer_sink out, struct trainer_sink error);
};

/* Named tensors of the host, and what is computed for a name only if somebody asks */

/* A computation that runs at most once. */
struct trainer_thunk {
    void *state;                                                                   /* passed to both functions */
    trainer_status (*call)(void *state, void **tensor, struct trainer_sink error); /* writes a new reference */
    void (*destroy)(void *state);                                                  /* once, whether or not called */
};

struct trainer_fields_table {
    /* Writes the names, one a line, in order. */
    void (*names)(void *object, struct trainer_sink out);
    /* A new reference to the named tensor, computed if it was only offered. */
    trainer_status (*get)(void *object, struct trainer_str name, void **tensor, struct trainer_sink error);
    /* Puts a tensor (borrowed) under the name; refused where the field is read-only or its shape is fixed. */
    trainer_status (*set)(void *object, struct trainer_str name, void *tensor, struct trainer_sink error);
    /* Puts a value that was computed outside libtorch: `count` inputs and the gradient of the value by each, of its
     * shape (all borrowed). Backward leads through gradients[i] to inputs[i]. */
    trainer_status (*set_with_gradients)(void *object, struct trainer_str name, void *value, void *const *inputs,
                                         void *const *gradients, size_t count, struct trainer_sink error);
    /* Puts a computation under the name. The host owns the thunk from here on, also when this fails. */
    trainer_status (*offer)(void *object, struct trainer_str name, struct trainer_thunk thunk,
                            struct trainer_sink error);
    /* Takes the name out. */
    trainer_status (*remove)(void *object, struct trainer_str name, struct trainer_sink error);
};

struct trainer_fields {
    void *object;                             /* passed to every function of the table */
    const struct trainer_fields_table *table; /* valid as long as the object: for the call */
};

/* How a parameter starts. */
struct trainer_init {
    uint32_t kind; /* 0: all elements a; 1: uniform in [a, b); 2: normal of mean a and deviation b */
    double a;
    double b;
};

struct trainer_parameters_table {
    /* A new reference to the parameter of that name, made at the first call; refused if it has another shape. */
    trainer_status (*get)(void *object, struct trainer_str name, const int64_t *sizes, size_t num_sizes,
                          struct trainer_init init, void **tensor, struct trainer_sink error);
};

/* A loss's trainable parameters: optimized, averaged and saved by the host. */
struct trainer_parameters {
    void *object;                                 /* passed to every function of the table */
    const struct trainer_parameters_table *table; /* valid as long as the object: for the call */
};

/* Loss: trainer.loss/1. Training thread, one call at a time per instance. Names, shapes and types of the fields
 * (predictions scores, boxes, ...; targets scores, foreground, ...) stand in the SDK's documentation of `Loss`. */

/* Where in the run a loss is called. */
struct trainer_loss_context {
    uint64_t epoch;                       /* the current one, from 0 */
    uint64_t epochs;                      /* of the run */
    uint64_t step;                        /* batches seen since the start of the run */
    uint32_t height;                      /* of the network input, in pixels */
    uint32_t width;                       /* of the network input, in pixels */
    uint32_t num_classes;                 /* C */
    uint32_t num_images;                  /* B, the length of image_ids */
    uint32_t is_training;                 /* 1 while the network learns from the batch, 0 in validation: move no state */
    const uint64_t *image_ids;            /* places of the batch's images in the data set */
    struct trainer_fields predictions;    /* read only */
    struct trainer_parameters parameters; /* the instance's own */
};

struct trainer_loss_table {
    /* Makes an instance from options (a JSON object, checked against the schema before). Uses no tensors. */
    trainer_status (*create)(struct trainer_str options, void **instance, struct trainer_sink error);
    void (*destroy)(void *instance); /* ends an instance */
    /* What the run is like (a JSON object: model, class_names, imgsz, batch, epochs, num_images, seed); once. */
    trainer_status (*ready)(void *instance, struct trainer_str run, struct trainer_sink error);
    /* Pass 1, gradients off: may replace the targets' `scores`. */
    trainer_status (*targets)(void *instance, struct trainer_fields targets,
                              const struct trainer_loss_context *context, struct trainer_sink error);
    /* Pass 2: may add, replace and drop terms (scalars without their gain). */
    trainer_status (*terms)(void *instance, struct trainer_fields terms, struct trainer_fields predictions,
                            struct trainer_fields targets, const struct trainer_loss_context *context,
                            struct trainer_sink error);
    /* Writes the state for the checkpoint; nothing where there is none. */
    trainer_status (*save)(void *instance, struct trainer_sink out, struct trainer_sink error);
    /* Takes back what save wrote (`state` is bytes). */
    trainer_status (*load)(void *instance, struct trainer_str state, struct trainer_sink error);
};

/* Scheduler: trainer.scheduler/1. Training thread, one call at a time per instance; no tensors. */

/* One figure of an epoch. */
struct trainer_metric {
    struct trainer_str name; /* map50_95, map50, precision, recall (0..1), train/TERM, val/TERM (mean loss terms) */
    double value;
};

/* Where the run stands. */
struct trainer_progress {
    uint64_t step;                        /* batches seen since the start of the run, 0 before the first */
    uint64_t epoch;                       /* the current one, from 0 */
    uint64_t steps_per_epoch;             /* batches */
    uint64_t epochs;                      /* of the run */
    const struct trainer_metric *metrics; /* of the last finished epoch; none in the first */
    size_t num_metrics;                   /* how many */
};

/* One parameter group's rates. */
struct trainer_rates {
    struct trainer_str group; /* weight (decayed), norm or bias; lives for the process */
    double initial_lr;        /* the rate that the optimizer was given */
    double initial_momentum;  /* the momentum that the optimizer was given */
    double lr;                /* to be written: finite, not negative */
    double momentum;          /* to be written: in [0, 1) */
};

struct trainer_scheduler_table {
    trainer_status (*create)(struct trainer_str options, void **instance, struct trainer_sink error); /* as a loss's */
    void (*destroy)(void *instance);                                                                  /* as a loss's */
    trainer_status (*ready)(void *instance, struct trainer_str run, struct trainer_sink error);       /* as a loss's */
    /* Writes lr and momentum of each of `count` groups for the coming step. */
    trainer_status (*rates)(void *instance, const struct trainer_progress *at, struct trainer_rates *groups,
                            size_t count, struct trainer_sink error);
    trainer_status (*save)(void *instance, struct trainer_sink out, struct trainer_sink error);   /* as a loss's */
    trainer_status (*load)(void *instance, struct trainer_str state, struct trainer_sink error); /* as a loss's */
};

/* Augmentation: trainer.augmentation/1. create, ready and destroy on the main thread; partners and apply on loader
 * threads, several at once on one instance. */

/* One labelled object, in pixels of the canvas. */
struct trainer_object {
    uint32_t class_index; /* into the data set's class names */
    uint32_t flags;       /* bit 0: crowd (one label for many); bit 1: ignore (nothing is learnt or scored there) */
    float bbox[4];        /* left, top, right, bottom */
    float weight;         /* share in the loss; 1 unless somebody says otherwise */
    uint32_t num_points;  /* of the outline; 0 where there is none */
    const float *points;  /* x and y of each */
};

/* What a sample is. */
struct trainer_sample_info {
    uint64_t id;               /* number of the picture in its data set */
    struct trainer_str path;   /* the picture's file */
    size_t num_objects;        /* labelled */
    uint32_t width;            /* of the canvas, in pixels */
    uint32_t height;           /* of the canvas, in pixels */
    uint32_t original_width;   /* of the picture as the file has it, turned upright */
    uint32_t original_height;  /* of the same */
    double from_original[9];   /* where its pixels lie on the canvas now: a 3x3 matrix, row by row */
};

/* Pixels in memory, row by row, channels innermost. */
struct trainer_pixels {
    void *data;        /* the first pixel; valid until the next call on the sample */
    size_t stride;     /* bytes from one row to the next */
    uint32_t width;    /* pixels along x */
    uint32_t height;   /* pixels along y */
    uint32_t channels; /* 3 (R G B). Check this and dtype; others may come */
    int32_t dtype;     /* TRAINER_DTYPE_U8 */
};

/* Pointers that a function hands out are valid until the next call on the sample. */
struct trainer_sample_table {
    void (*describe)(void *object, struct trainer_sample_info *info); /* fills in info */
    /* Fills in the object at `index`. */
    trainer_status (*object)(void *object, size_t index, struct trainer_object *out, struct trainer_sink error);
    /* Replaces all objects (copied). */
    trainer_status (*set_objects)(void *object, const struct trainer_object *objects, size_t count,
                                  struct trainer_sink error);
    /* Moves pixels and objects by a 3x3 matrix (9 numbers, row by row) onto a canvas of width x height pixels; drawn
     * later. What leaves the canvas is cut off. */
    trainer_status (*warp)(void *object, const double *matrix, uint32_t width, uint32_t height,
                           struct trainer_sink error);
    /* Puts pictures and objects of another sample of the same call on top; that one is left empty. */
    trainer_status (*paste)(void *object, void *other, struct trainer_sink error);
    /* Multiplies hue, saturation and value; drawn later. */
    trainer_status (*recolor)(void *object, float h, float s, float v, struct trainer_sink error);
    /* Draws what is noted and hands the canvas out, to be changed in place. */
    trainer_status (*pixels)(void *object, struct trainer_pixels *out, struct trainer_sink error);
};

struct trainer_sample {
    void *object;                             /* passed to every function of the table */
    const struct trainer_sample_table *table; /* valid as long as the object: for the call */
};

/* What an augmentation may know about the run. */
struct trainer_augment_context {
    uint64_t epoch;  /* the current one, from 0 */
    uint64_t epochs; /* of the run */
    uint64_t seed;   /* the only source of randomness: one for (run seed, epoch, sample, stage) */
    uint32_t imgsz;  /* side of the square network input, in pixels */
};

struct trainer_augmentation_table {
    trainer_status (*create)(struct trainer_str options, void **instance, struct trainer_sink error); /* as a loss's */
    void (*destroy)(void *instance);                                                                  /* as a loss's */
    trainer_status (*ready)(void *instance, struct trainer_str run, struct trainer_sink error);       /* as a loss's */
    uint32_t (*partners)(void *instance); /* further samples that apply needs; always the same number */
    /* Changes `sample` in place; the partners may be taken apart. */
    trainer_status (*apply)(void *instance, struct trainer_sample sample, const struct trainer_sample *partners,
                            size_t num_partners, const struct trainer_augment_context *context,
                            struct trainer_sink error);
};

/* Exporter: trainer.exporter/1. Main thread, while no training runs. */

/* A tensor in the host's memory, row-major, in native byte order. */
struct trainer_tensor_data {
    int32_t dtype;            /* a TRAINER_DTYPE code */
    uint32_t num_sizes;       /* dimensions */
    const int64_t *sizes;     /* num_sizes numbers */
    struct trainer_str bytes; /* the elements */
};

struct trainer_model_table {
    /* Writes a JSON object: model, names, imgsz, epoch, map50_95, version. */
    trainer_status (*metadata)(void *object, struct trainer_sink out, struct trainer_sink error);
    /* Writes the names of the tensors, one a line, in order. */
    void (*names)(void *object, struct trainer_sink out);
    /* Fills in the named tensor; valid as long as the model. */
    trainer_status (*tensor)(void *object, struct trainer_str name, struct trainer_tensor_data *out,
                             struct trainer_sink error);
    /* Writes the network as ONNX; options is a JSON object (half, dynamic, opset, nms). */
    trainer_status (*onnx)(void *object, struct trainer_str options, struct trainer_sink out,
                           struct trainer_sink error);
    /* Fills in the next calibration batch, float (B, 3, H, W) in 0..1, valid until the next call; no dimensions after
     * the last. Fails where the export was given no data. */
    trainer_status (*calibration)(void *object, struct trainer_tensor_data *out, struct trainer_sink error);
};

struct trainer_model {
    void *object;                            /* passed to every function of the table */
    const struct trainer_model_table *table; /* valid as long as the object: for the call */
};

/* What is asked for. */
struct trainer_export_context {
    struct trainer_str format; /* the name of one of the exporter's formats */
    uint32_t imgsz;            /* side of the square network input, in pixels */
    uint32_t batch;            /* images in a batch */
};

struct trainer_exporter_table {
    trainer_status (*create)(struct trainer_str options, void **instance, struct trainer_sink error); /* as a loss's */
    void (*destroy)(void *instance);                                                                  /* as a loss's */
    trainer_status (*ready)(void *instance, struct trainer_str run, struct trainer_sink error);       /* as a loss's */
    /* Writes a JSON array of objects with name, extension and doc. */
    trainer_status (*formats)(void *instance, struct trainer_sink out, struct trainer_sink error);
    /* Writes the model to `path`, and into artifacts a JSON array of objects with path and doc. */
    trainer_status (*export_)(void *instance, struct trainer_model model, struct trainer_str path,
                              const struct trainer_export_context *context, struct trainer_sink artifacts,
                              struct trainer_sink error);
    trainer_status (*save)(void *instance, struct trainer_sink out, struct trainer_sink error);   /* as a loss's */
    trainer_status (*load)(void *instance, struct trainer_str state, struct trainer_sink error); /* as a loss's */
};

/* Log: trainer.log/1. Any thread. */
struct trainer_log_table {
    /* The most talkative level that is heard: 0 none, 1 error, 2 warn, 3 info, 4 debug, 5 trace. */
    uint32_t (*max_level)(void);
    /* One event: its level (1 to 5), the plugin's id, the part that it comes from, its text. */
    void (*event)(uint32_t level, struct trainer_str plugin, struct trainer_str target, struct trainer_str text);
};

/* Single values out of a JSON object (options, the run): trainer.options/1. Any thread. UNSUPPORTED where the key is
 * missing, OPTIONS where it holds another type; `out` is left alone then. */
struct trainer_options_table {
    trainer_status (*number)(struct trainer_str json, struct trainer_str key, double *out);
    trainer_status (*integer)(struct trainer_str json, struct trainer_str key, int64_t *out);
    trainer_status (*boolean)(struct trainer_str json, struct trainer_str key, int32_t *out); /* 0 or 1 */
    /* A text; anything that is no text is written as JSON. */
    trainer_status (*text)(struct trainer_str json, struct trainer_str key, struct trainer_sink out);
};

/* What else can be done with the objects of trainer_sample, noted and drawn later: trainer.layers/1. */
struct trainer_layers_table {
    /* Draws on top what of the canvas of `other`, moved by the 3x3 matrix (row by row), lies inside one of the areas:
     * their outlines, or their boxes where they have none, in pixels of this canvas. `other` may be the sample itself
     * and stays as it is, objects are not added. */
    trainer_status (*paste_inside)(void *object, void *other, const double *matrix, const struct trainer_object *areas,
                                   size_t count, struct trainer_sink error);
    /* Mixes the pixels with those of another sample of the same call: of each value `share` (0 to 1) stays, the rest
     * is the other's. Its objects are added, and it is left empty. */
    trainer_status (*blend)(void *object, void *other, double share, struct trainer_sink error);
};

#ifdef __cplusplus
}
#endif

#include "trainer_helpers.h"

#endif
