/* A scheduler that keeps the contract in a file that does not, as its macros say: code that runs AT_LOAD, AT_END (of
 * the trainer's process; the one that tries the file out is spared), IN_CREATE and IN_RATES, and FACTORIES, COMPONENTS
 * and an EXTENSION that nobody may have. The fixture of tests/conformance_c.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "trainer_plugin.h"

#ifndef AT_LOAD
#define AT_LOAD
#endif
#ifndef AT_END
#define AT_END
#endif
#ifndef IN_CREATE
#define IN_CREATE
#endif
#ifndef IN_RATES
#define IN_RATES
#endif
#ifndef FACTORIES
#define FACTORIES
#endif
#ifndef COMPONENTS
#define COMPONENTS
#endif
#ifndef EXTENSION
#define EXTENSION trainer_equal(id, TRAINER_ID_SCHEDULER)
#endif

#define COMPONENT(name) TRAINER_COMPONENT("scheduler", name, "is flat", "{}")
TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("file", "0.1.0", "MIT", COMPONENT("flat") COMPONENTS))

static const struct trainer_options_table *options;

__attribute__((constructor)) static void at_load(void) {
    AT_LOAD;
}

__attribute__((destructor)) static void at_end(void) {
    if (strcmp(program_invocation_short_name, "trainer") == 0) {
        AT_END;
    }
}

static inline void *exits(void *nothing) {
    exit(0);
    return nothing;
}

/* Ends the process on a thread of its own. */
static inline void exit_aside(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, exits, NULL);
    pthread_join(thread, NULL);
}

static inline void leave_a_process(void) {
    if (fork() == 0) for (;;) pause();
}

static void schema(struct trainer_sink out) {
    trainer_write(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}");
}

static trainer_status create(struct trainer_str json, void **instance, struct trainer_sink error) {
    double unused = 0;
    trainer_status status = trainer_option_number(options, json, "unused", &unused, error);
    IN_CREATE;
    if (status == TRAINER_STATUS_OK) *instance = malloc(1);
    return status;
}

static trainer_status rates(void *instance, const struct trainer_progress *at, struct trainer_rates *groups,
                            size_t count, struct trainer_sink error) {
    (void)instance, (void)error;
    if (at->step == 0) {
        IN_RATES;
    }
    for (size_t i = 0; i < count; i++) {
        groups[i].lr = groups[i].initial_lr;
        groups[i].momentum = groups[i].initial_momentum;
    }
    return TRAINER_STATUS_OK;
}

static struct trainer_extension table(struct trainer_str id) {
    static const struct trainer_scheduler_table scheduler = {
        create, free, trainer_skip_ready, rates, trainer_skip_save, trainer_skip_load
    };
    struct trainer_extension found = { NULL, EXTENSION ? &scheduler : NULL };
    return found;
}

static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {
    options = trainer_host_table(host, TRAINER_ID_OPTIONS);
    return options != NULL ? TRAINER_STATUS_OK : trainer_fail(error, "no options");
}

#define FACTORY(name) { TRAINER_STR("scheduler"), TRAINER_STR(name), TRAINER_STR("is flat"), schema, table }
#define AND ,
TRAINER_ROOT(init, FACTORY("flat") FACTORIES);
