// Settings: what they are called, and where their values come from.
#ifndef GHATRACE_APP_SETTINGS_H
#define GHATRACE_APP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// --- options --------------------------------------------------------------------------------------
// settings_list.h lists them: it feeds the command line, the environment, the file, the defaults, the
// help and `ghatrace check`. A test compares conf/ghatrace.conf and the README with it.

enum option_type {
    OPTION_TEXT,     // taken as it is: const char *
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
    OPTIONS_COUNT, // last: how many there are
};

struct option {
    const char *name; // "webhook-path": --webhook-path, GHATRACE_WEBHOOK_PATH, webhook-path = …
    enum option_type type;
    size_t field;        // where in struct config it goes
    const char *preset;  // the default, written as a user would; NULL: there is none
    const char *values;  // for the help: "HOST:PORT", "arc|collector|runner"
    const char *help;    // one line
    int64_t least, most; // for counts, sizes and durations
    const char
        *why_most; // for the words about more than `most`: what more of it does. NULL: nothing
    const char *unpreset; // for the help where preset is NULL: what happens then
    bool may_be_empty;    // "" is a value
};

extern const struct option options[OPTIONS_COUNT];

// A set of settings, one bit each.
typedef uint64_t option_set;
#define OPTION_BIT(id) ((option_set)1 << (id))
#define OPTIONS_ALL (((option_set)1 << OPTIONS_COUNT) - 1)

// By name; -1 when there is none.
int option_find(struct slice name);

// The name that is fewest edits away from `name` (Levenshtein), among those that `is_candidate`
// gives by position; NULL when none is near enough to be meant.
const char *option_nearest(struct slice name, const char *(*candidate)(void *context, size_t i),
                           size_t count, void *context);
// The same among all settings.
const char *option_nearest_setting(struct slice name);

// Position of `text` in "a|b|c", without regard to case; -1 when it is none of them.
int option_choice_find(const char *values, struct slice text);
// The word at a position of "a|b|c"; empty when there is none.
struct slice option_choice_word(const char *values, size_t position);

// --- settings -------------------------------------------------------------------------------------
// What was set, where: the raw texts of all settings from flags, environment and file, before anybody
// asks whether they make sense.
//
// A flag beats the environment, which beats the file, whatever order they are read in. A setting
// that may be given several times is a list; the stronger source replaces the weaker's whole list.

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
