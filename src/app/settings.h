// Settings: their names, and the sources of their values.
#ifndef GHATRACE_APP_SETTINGS_H
#define GHATRACE_APP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// --- options --------------------------------------------------------------------------------------
// settings_list.h lists them: it defines the command line, the environment, the file, the defaults, the help and the
// output of `ghatrace check`. A test compares conf/ghatrace.conf and the README with it.

enum option_type {
    OPTION_TEXT,     // used unchanged: const char *
    OPTION_SWITCH,   // on or off: bool
    OPTION_COUNT,    // a whole number: uint64_t
    OPTION_SIZE,     // bytes, with B KiB MiB GiB: uint64_t
    OPTION_DURATION, // with ns s m h d and the like: duration_ns
    OPTION_CHOICE,   // one of `values`, separated by '|': unsigned or an enum, the position in it
    OPTION_LIST,     // may be given several times: struct text_list
};

enum option_id {
#define SETTING(id, ...) OPTION_ID_##id,
#include "settings_list.h"
#undef SETTING
    OPTIONS_COUNT, // last: the number of options
};

struct option {
    const char *name; // "webhook-path": --webhook-path, GHATRACE_WEBHOOK_PATH, webhook-path = …
    enum option_type type;
    size_t field;        // offset in struct config
    const char *preset;  // the default, written as a user would; NULL: there is none
    const char *values;  // for the help: "HOST:PORT", "arc|collector|runner"
    const char *help;    // one line
    int64_t least, most; // for counts, sizes and durations
    // for the message about a value above `most`: what a larger one does. NULL: none
    const char *why_most;
    const char *unpreset; // for the help if preset is NULL: what happens then
    bool may_be_empty;    // "" is a value
};

extern const struct option options[OPTIONS_COUNT];

// A set of settings, by id: `OPTION_SET([OPTION_ID_DB] = true, [OPTION_ID_CONFIG] = true)` is a pointer to a constant
// one. A NULL pointer is the empty set.
struct option_set {
    bool has[OPTIONS_COUNT];
};
#define OPTION_SET(...) (&(const struct option_set){{__VA_ARGS__}})
extern const struct option_set options_all;

bool option_set_has(const struct option_set *set, size_t id);

// Finds an option by name; -1 if there is none.
int option_find(struct slice name);

// The name with the smallest edit distance from `name` (Levenshtein) among those that `is_candidate` returns by
// position; NULL if none is close enough.
const char *option_nearest(struct slice name, const char *(*candidate)(void *context, size_t i),
                           size_t count, void *context);
// The same among all settings.
const char *option_nearest_setting(struct slice name);

// Position of `text` in "a|b|c", ignoring case; -1 if it is not in the list.
int option_choice_find(const char *values, struct slice text);
// The word at a position of "a|b|c"; empty when there is none.
struct slice option_choice_word(const char *values, size_t position);

// --- settings -------------------------------------------------------------------------------------
// The raw texts of all settings from flags, environment and file, with their sources, before they are validated.
//
// A flag takes precedence over the environment, which takes precedence over the file, in whatever order they are
// read. A setting that may be given several times is a list; the stronger source replaces the weaker one's whole
// list.

// SOURCE_SEARCH: of `config`, a file that was found where it usually is.
enum setting_source { SOURCE_DEFAULT, SOURCE_SEARCH, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

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
    const char *system_file; // for settings_complete(); NULL: none
};

#define SETTINGS_SYSTEM_FILE "/etc/ghatrace/ghatrace.conf"

void settings_init(struct settings *settings, struct arena *arena);

// A value as a source gives it. Both texts are copied when it is put.
struct setting_given {
    enum setting_source source;
    const char *where; // as in struct setting_value
    struct slice text;
};

// Sets one. ERROR_USAGE: the file contains it twice. ERROR_MEMORY.
enum error_code settings_put(struct settings *settings, enum option_id id,
                             const struct setting_given *given, struct error *error) MUST_CHECK;
// By name, for flags, variables and files. ERROR_USAGE: no such setting; the message has the nearest name.
enum error_code settings_put_named(struct settings *settings, struct slice name,
                                   const struct setting_given *given,
                                   struct error *error) MUST_CHECK;

// Reads all GHATRACE_* variables of an environment ("NAME=value", NULL at the end). An empty value counts as not set,
// as for OpenTelemetry's variables; variables that an orchestrator derives from a service's name are skipped
// (variable_is_injected()). ERROR_USAGE: an unknown one. ERROR_MEMORY.
enum error_code settings_read_environment(struct settings *settings, char *const *environment,
                                          struct error *error) MUST_CHECK;
// Reads "name = value" lines; lines that start with '#' or ';' are comments, and so is text from a ';' that follows a
// blank. ERROR_USAGE with file and line; ERROR_IO: it cannot be read; ERROR_MEMORY.
enum error_code settings_read_file(struct settings *settings, const char *path,
                                   struct error *error) MUST_CHECK;
// The same from memory; `path` is for messages.
enum error_code settings_read_text(struct settings *settings, const char *path, struct slice text,
                                   struct error *error) MUST_CHECK;

// Reads the environment, then the file named by `config`; flags were set before. If that names none, the first of these
// is read that exists, and `config` is set to it: ghatrace/ghatrace.conf in $XDG_CONFIG_HOME (if that is not set,
// $HOME/.config: XDG Base Directory Specification 0.8), and `system_file`. If it is empty, no file is read.
enum error_code settings_complete(struct settings *settings, char *const *environment,
                                  struct error *error) MUST_CHECK;

// "flag", "environment", "file", "default path", "default".
const char *setting_source_text(enum setting_source source);

// --- variables that an orchestrator adds ---------------------------------------------------------
// Variables that an orchestrator adds to every process near a service, named after the service. A service called
// `ghatrace`, or `ghatrace-admin`, yields names that look like our settings but are not. Pure.

// True if `entry` ("NAME=value") of `environment` is one of these: name and value must both have the form:
//
// Kubernetes (kubelet, pkg/kubelet/envvars), for services in the pod's namespace, upper case, '-' as '_':
//   X_SERVICE_HOST=IP   X_SERVICE_PORT=NUMBER   X_SERVICE_PORT_{PORT NAME}=NUMBER
//   X_PORT=tcp://IP:NUMBER   X_PORT_{n}_{TCP|UDP|SCTP}=tcp://IP:n   and to the latter _PROTO, _PORT, _ADDR
// Docker's links ("legacy container links"): the last two, and
//   X_PORT_{n}_{TCP|UDP|SCTP}_START, _END, _PORT_START, _PORT_END for ranges of ports
//   X_NAME=/{container}/{x}   X_ENV_{any name}=..., where X_NAME is there, too
//
// where X is GHATRACE or begins with GHATRACE_. So `GHATRACE_PORT=8080`, which was meant as a setting, is not.
bool variable_is_injected(const char *entry, char *const *environment);

#endif
