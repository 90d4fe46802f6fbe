// Settings and configurations of a test: from flags, environment and file as a user would write them.
#ifndef TESTS_UNIT_APP_CONFIGURING_H
#define TESTS_UNIT_APP_CONFIGURING_H

#include <string.h>

#include "../../../src/app/config.h"
#include "../../../src/app/settings.h"

struct configuring {
    struct arena arena;
    struct settings settings;
    struct config config;
    struct error error;
    char *environment[16]; // "NAME=value"
    size_t environment_count;
};

static inline void configuring_init(struct configuring *c)
{
    *c = (struct configuring){.error = {.code = ERROR_NONE}};
    arena_init(&c->arena, 4096);
    settings_init(&c->settings, &c->arena);
}

static inline void configuring_release(struct configuring *c)
{
    arena_release(&c->arena);
}

static inline void configuring_variable(struct configuring *c, const char *entry)
{
    size_t last = sizeof c->environment / sizeof c->environment[0] - 1;
    assert_true(c->environment_count < last);
    c->environment[c->environment_count++] = (char *)(uintptr_t)entry;
}

static inline void configuring_flag(struct configuring *c, const char *name, const char *value)
{
    char where[80];
    (void)snprintf(where, sizeof where, "--%s", name);
    const struct setting_given given = {SOURCE_FLAG, where, slice_from_string(value)};
    assert_int_equal(settings_put_named(&c->settings, slice_from_string(name), &given, &c->error),
                     ERROR_NONE);
}

static inline enum error_code configuring_file(struct configuring *c, const char *text)
{
    return settings_read_text(&c->settings, "test.conf", slice_from_string(text), &c->error);
}

// Only the settings in `wanted`.
static inline enum error_code configuring_build(struct configuring *c,
                                                const struct option_set *wanted)
{
    enum error_code code = settings_complete(&c->settings, c->environment, &c->error);
    if (code != ERROR_NONE)
        return code;
    return config_build(&c->config, &c->settings, wanted, c->environment, &c->error);
}

// All settings, signed or not.
static inline enum error_code configuring_build_all(struct configuring *c)
{
    configuring_flag(c, "insecure-no-signature", "on");
    return configuring_build(c, &options_all);
}

static inline bool configuring_warns(const struct configuring *c, const char *part)
{
    for (size_t i = 0; i < c->config.warnings.count; i++) {
        if (strstr(c->config.warnings.items[i], part) != NULL)
            return true;
    }
    return false;
}

#endif
