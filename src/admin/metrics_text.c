// The text of metrics.
#include "metrics_text.h"

#include <math.h>
#include <stdio.h>

#include "ghatrace/base/digest.h"

#define NUMBER_SIZE 40

static void put_metrics(struct metrics_text *text, struct slice piece)
{
    if (text->code == ERROR_NONE)
        text->code = buffer_append_slice(text->out, piece);
}

static void put_chars(struct metrics_text *text, const char *piece)
{
    put_metrics(text, slice_from_string(piece));
}

// Label values: backslash, quotation mark and line feed are escaped, everything else is unchanged, in both formats.
static void put_label_value(struct metrics_text *text, struct slice value)
{
    size_t start = 0;
    if (value.len == 0)
        return;
    for (size_t i = 0; i < value.len; i++) {
        const char *escape = value.data[i] == '\\'   ? "\\\\"
                             : value.data[i] == '"'  ? "\\\""
                             : value.data[i] == '\n' ? "\\n"
                                                     : NULL;
        if (escape == NULL)
            continue;
        put_metrics(text, (struct slice){value.data + start, i - start});
        put_chars(text, escape);
        start = i + 1;
    }
    put_metrics(text, (struct slice){value.data + start, value.len - start});
}

static void put_labels(struct metrics_text *text, struct metrics_labels labels)
{
    for (size_t i = 0; i < labels.count; i++) {
        put_chars(text, i > 0 ? "," : "");
        put_chars(text, labels.items[i].name);
        put_chars(text, "=\"");
        put_label_value(text, labels.items[i].value);
        put_chars(text, "\"");
    }
}

static void put_uint(struct metrics_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_metrics(text, (struct slice){digits + at, sizeof digits - at});
}

// Integers without a decimal point; other numbers so that parsing them gives the same value.
static void put_number(struct metrics_text *text, double value)
{
    char number[NUMBER_SIZE];
    if (value >= 0 && value < 1e15 && floor(value) == value) {
        put_uint(text, (uint64_t)value);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(number, sizeof number, "%.*g", digits, value);
        double back;
        if (sscanf(number, "%lf", &back) == 1 && !(back < value) && !(back > value))
            break;
    }
    put_chars(text, number);
}

void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {[METRICS_GAUGE] = "gauge",
                                        [METRICS_COUNTER] = "counter",
                                        [METRICS_HISTOGRAM] = "histogram",
                                        [METRICS_SUMMARY] = "summary"};
    // OpenMetrics names the family without the suffix of its samples, Prometheus with it.
    bool has_suffix = type == METRICS_COUNTER && text->format == METRICS_PROMETHEUS;
    const char *suffix = has_suffix ? "_total" : "";
    const char *const pieces[] = {"# HELP ", name,   suffix, " ",         help, "\n# TYPE ",
                                  name,      suffix, " ",    types[type], "\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        put_chars(text, pieces[i]);
}

void metrics_sample(struct metrics_text *text, const char *name, const char *suffix,
                    struct metrics_labels labels, double value)
{
    put_chars(text, name);
    put_chars(text, suffix);
    if (labels.count > 0) {
        put_chars(text, "{");
        put_labels(text, labels);
        put_chars(text, "}");
    }
    put_chars(text, " ");
    put_number(text, value);
    put_chars(text, "\n");
}

void metrics_single(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help, double value)
{
    metrics_family(text, name, type, help);
    metrics_sample(text, name, type == METRICS_COUNTER ? "_total" : "", metrics_no_labels, value);
}

// --- histograms -----------------------------------------------------------------------------------

// OpenMetrics requires floats for bounds; Prometheus stores bounds as they are written.
static void put_bound(struct metrics_text *text, double bound)
{
    char number[NUMBER_SIZE];
    bool is_whole = floor(bound) == bound;
    (void)snprintf(number, sizeof number, is_whole ? "%.1f" : "%.10g", bound);
    put_chars(text, number);
}

static void put_exemplar(struct metrics_text *text, const struct series_exemplar *exemplar)
{
    char hex[2 * TRACE_ID_SIZE + 1];
    char rest[NUMBER_SIZE * 2];
    if (exemplar->at == TIMESTAMP_UNKNOWN || text->format != METRICS_OPENMETRICS)
        return;
    hex_encode(exemplar->trace.bytes, TRACE_ID_SIZE, hex);
    (void)snprintf(rest, sizeof rest, "\"} %.3f %.3f", metrics_seconds(exemplar->value),
                   metrics_seconds(exemplar->at));
    put_chars(text, " # {trace_id=\"");
    put_chars(text, hex);
    put_chars(text, rest);
}

// The labels are the same on each line of a histogram: they are escaped once and copied.
struct histogram_lines {
    struct metrics_text *text;
    const char *name;
    size_t labels_at, labels_len; // in the output
};

// `is_open`: the bound follows.
static void put_line_start(const struct histogram_lines *lines, const char *suffix, bool is_open)
{
    struct metrics_text *text = lines->text;
    put_chars(text, lines->name);
    put_chars(text, suffix);
    put_chars(text, lines->labels_len > 0 || is_open ? "{" : "");
    if (text->code == ERROR_NONE)
        text->code = buffer_reserve(text->out, lines->labels_len);
    if (text->code == ERROR_NONE)
        put_metrics(text, (struct slice){text->out->data + lines->labels_at, lines->labels_len});
}

static void put_first_line_start(struct histogram_lines *lines, struct metrics_labels labels)
{
    struct metrics_text *text = lines->text;
    put_chars(text, lines->name);
    put_chars(text, "_bucket{");
    lines->labels_at = text->out->len;
    put_labels(text, labels);
    lines->labels_len = text->out->len - lines->labels_at;
}

void metrics_put_histogram(struct metrics_text *text, const char *name,
                           struct metrics_labels labels, const struct metrics_histogram *histogram)
{
    struct histogram_lines lines = {.text = text, .name = name};
    uint64_t sum = 0;
    for (size_t i = 0; i <= histogram->bound_count && text->code == ERROR_NONE; i++) {
        if (i == 0)
            put_first_line_start(&lines, labels);
        else
            put_line_start(&lines, "_bucket", true);
        put_chars(text, lines.labels_len > 0 ? ",le=\"" : "le=\"");
        if (i < histogram->bound_count)
            put_bound(text, histogram->bounds[i]);
        else
            put_chars(text, "+Inf");
        put_chars(text, "\"} ");
        sum += histogram->buckets[i];
        put_uint(text, sum);
        if (histogram->exemplars != NULL)
            put_exemplar(text, &histogram->exemplars[i]);
        put_chars(text, "\n");
    }
    put_line_start(&lines, "_sum", false);
    put_chars(text, lines.labels_len > 0 ? "} " : " ");
    put_number(text, histogram->sum);
    put_chars(text, "\n");
    put_line_start(&lines, "_count", false);
    put_chars(text, lines.labels_len > 0 ? "} " : " ");
    put_uint(text, histogram->count);
    put_chars(text, "\n");
}

void metrics_finish(struct metrics_text *text)
{
    if (text->format == METRICS_OPENMETRICS)
        put_chars(text, "# EOF\n");
}
