// Which labels and bounds the histograms of jobs, runs and steps have: metrics-labels and metrics-bounds.
#include <stdio.h>

#include "config.h"

// --- metrics-labels -------------------------------------------------------------------------------
// "KIND: LABEL LABEL", several separated by ';'; "KIND: off" counts nothing of it.

static enum error_code refuse_kind(struct slice text, const char *where, struct error *error)
{
    return error_set(
        error, ERROR_USAGE,
        "%s: \"%.*s\" does not begin with job:, run: or step:, followed by labels or off", where,
        SLICE_ARGS(text));
}

// The reason is worth a sentence where it is not that the label has no sense.
static enum error_code refuse_label(enum series_kind kind, struct slice word, const char *where,
                                    struct error *error)
{
    bool is_event = kind == SERIES_JOB && slice_equals(word, SLICE("event"));
    char known[200];
    size_t len = 0;
    known[0] = '\0';
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((series_labels_allowed(kind) & SERIES_HAS(i)) != 0)
            len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", len > 0 ? ", " : "",
                                    series_label_names[i]);
    return error_set(
        error, ERROR_USAGE, "%s: \"%.*s\" is no label of %ss%s; they have %s", where,
        SLICE_ARGS(word), series_kind_name(kind),
        is_event ? ": a job's event is known only by its run, which may come later" : "", known);
}

static bool find_label(enum series_kind kind, struct slice word, unsigned *label)
{
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if (slice_equals(word, slice_from_string(series_label_names[i]))) {
            *label = SERIES_HAS(i);
            return (series_labels_allowed(kind) & *label) != 0;
        }
    return false;
}

static enum error_code read_labels_of(enum series_kind kind, struct slice words, const char *where,
                                      unsigned *labels, struct error *error)
{
    struct slice rest = words;
    bool is_off = slice_equals(config_next_word(&rest), SLICE("off"));
    if (is_off && config_next_word(&rest).len == 0) {
        *labels = SERIES_LABELS_OFF;
        return ERROR_NONE;
    }
    *labels = 0;
    for (struct slice word; (word = config_next_word(&words)).len > 0;) {
        unsigned label;
        if (!find_label(kind, word, &label))
            return refuse_label(kind, word, where, error);
        *labels |= label;
    }
    return *labels != 0
               ? ERROR_NONE
               : error_set(error, ERROR_USAGE, "%s: no label of %ss is named: write some, or off",
                           where, series_kind_name(kind));
}

static bool find_series_kind(struct slice name, enum series_kind *kind)
{
    for (int i = 0; i < SERIES_KINDS; i++)
        if (slice_equals(name, slice_from_string(series_kind_name((enum series_kind)i)))) {
            *kind = (enum series_kind)i;
            return true;
        }
    return false;
}

static enum error_code read_kind(struct slice text, const char *where,
                                 struct series_options *series, struct error *error)
{
    ptrdiff_t colon = slice_find(text, SLICE(":"));
    enum series_kind kind;
    if (colon < 0 || !find_series_kind(slice_trim((struct slice){text.data, (size_t)colon}), &kind))
        return refuse_kind(slice_trim(text), where, error);
    return read_labels_of(kind, slice_skip(text, (size_t)colon + 1), where, &series->labels[kind],
                          error);
}

// Kinds that it does not name are left unchanged.
static enum error_code read_all_labels(const char *value, const char *where,
                                       struct series_options *series, struct error *error)
{
    struct slice rest = slice_from_string(value);
    enum error_code code = ERROR_NONE;
    while (rest.len > 0 && code == ERROR_NONE) {
        struct slice text = config_next_rule(&rest);
        if (slice_trim(text).len > 0)
            code = read_kind(text, where, series, error);
    }
    return code;
}

// --- metrics-bounds -------------------------------------------------------------------------------

#define BOUND_LEAST NS_PER_MS
#define BOUND_MOST (35 * NS_PER_DAY)

static bool parse_bound(struct slice word, duration_ns *bound)
{
    long long seconds;
    if (slice_parse_int64(word, &seconds)) {
        *bound = seconds > 0 && seconds <= BOUND_MOST / NS_PER_SECOND ? seconds * NS_PER_SECOND : 0;
        return true;
    }
    return duration_parse(word, bound);
}

static enum error_code parse_bounds(const char *value, const char *where,
                                    struct series_bounds *bounds, struct error *error)
{
    struct slice rest = slice_from_string(value);
    bounds->count = 0;
    for (struct slice word; (word = config_next_word(&rest)).len > 0;) {
        duration_ns last = bounds->count > 0 ? bounds->at[bounds->count - 1] : 0, bound;
        if (bounds->count == SERIES_BOUNDS_MAX)
            return error_set(error, ERROR_USAGE, "%s: there are more than %d bounds", where,
                             SERIES_BOUNDS_MAX);
        if (!parse_bound(word, &bound) || bound < BOUND_LEAST || bound > BOUND_MOST ||
            bound % NS_PER_MS != 0)
            return error_set(
                error, ERROR_USAGE,
                "%s: \"%.*s\" is not a time from 1ms to 35d: write seconds, or a number "
                "and ms, s, m, h or d",
                where, SLICE_ARGS(word));
        if (bound <= last)
            return error_set(error, ERROR_USAGE,
                             "%s: \"%.*s\" is not more than the bound before it", where,
                             SLICE_ARGS(word));
        bounds->at[bounds->count++] = bound;
    }
    return bounds->count > 0 ? ERROR_NONE
                             : error_set(error, ERROR_USAGE, "%s: names no bound", where);
}

enum error_code config_read_series(struct config *config, const struct config_series_sources *from,
                                   struct error *error)
{
    struct series_options *series = &config->engine.series;
    enum error_code code = read_all_labels(from->preset_labels, from->labels, series, error);
    if (code == ERROR_NONE)
        code = read_all_labels(config->metrics_labels, from->labels, series, error);
    return code == ERROR_NONE
               ? parse_bounds(config->metrics_bounds, from->bounds, &series->bounds, error)
               : code;
}
