// What was set, where: the raw texts of all settings from flags, environment and file, before anybody
// asks whether they make sense.
//
// A flag beats the environment, which beats the file, whatever order they are read in. A setting
// that may be given several times is a list; the stronger source replaces the weaker's whole list.
#ifndef GHATRACE_APP_SETTINGS_H
#define GHATRACE_APP_SETTINGS_H

#include "ghatrace/app/options.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"

enum setting_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct setting_value {
    const char *text;
    const char *where; // for messages: "--db", "GHATRACE_DB", "ghatrace.conf:3: db"
    struct setting_value *next;
};

struct setting {
    enum setting_source source; // SOURCE_DEFAULT: not set
    struct setting_value *first, *last;
};

struct settings {
    struct arena *arena; // not owned; holds all texts
    struct setting items[OPTIONS_COUNT];
};

void settings_init(struct settings *settings, struct arena *arena);

// Sets one. `where` and `text` are copied. ERROR_USAGE: the file says it twice. ERROR_MEMORY.
enum error_code settings_put(struct settings *settings, enum option_id id,
                             enum setting_source source, const char *where, struct slice text,
                             struct error *error) MUST_CHECK;
// By name, as flags, variables and files do. ERROR_USAGE: no such setting, with the nearest name.
enum error_code settings_put_named(struct settings *settings, struct slice name,
                                   enum setting_source source, const char *where, struct slice text,
                                   struct error *error) MUST_CHECK;

// All GHATRACE_* of an environment ("NAME=value", NULL at the end). An empty value counts as not
// set, as it does for OpenTelemetry's variables; what an orchestrator makes of a service's name is passed over
// (app/injected.h). ERROR_USAGE: an unknown one. ERROR_MEMORY.
enum error_code settings_read_environment(struct settings *settings, char *const *environment,
                                          struct error *error) MUST_CHECK;
// "name = value" lines; lines that start with '#' or ';' are comments, and so is what follows a ';'
// after a blank. ERROR_USAGE with file and line; ERROR_IO: it cannot be read; ERROR_MEMORY.
enum error_code settings_read_file(struct settings *settings, const char *path,
                                   struct error *error) MUST_CHECK;
// The same from memory; `path` is for messages.
enum error_code settings_read_text(struct settings *settings, const char *path, struct slice text,
                                   struct error *error) MUST_CHECK;

// The file named by `config` (if it is), then the environment's; flags are in already.
enum error_code settings_complete(struct settings *settings, char *const *environment,
                                  struct error *error) MUST_CHECK;

// "flag", "environment", "file", "default".
const char *setting_source_text(enum setting_source source);

#endif
