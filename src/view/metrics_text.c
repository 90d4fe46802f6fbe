// The text of metrics.
#include "metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "ghatrace/base/hex.h"

#define NUMBER_SIZE 40

static void put(struct metrics_text *text, struct slice piece)
{
    if (text->code == ERROR_NONE)
        text->code = buffer_append_slice(text->out, piece);
}

static void put_string(struct metrics_text *text, const char *piece)
{
    put(text, slice_from_string(piece));
}

// Label values: backslash, quotation mark and line feed are escaped, all else goes out as it is, in both formats.
static void put_escaped(struct metrics_text *text, struct slice value)
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
        put(text, (struct slice){value.data + start, i - start});
        put_string(text, escape);
        start = i + 1;
    }
    put(text, (struct slice){value.data + start, value.len - start});
}

static void put_labels(struct metrics_text *text, const struct metrics_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_string(text, i > 0 ? "," : "");
        put_string(text, labels[i].name);
        put_string(text, "=\"");
        put_escaped(text, labels[i].value);
        put_string(text, "\"");
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
    put(text, (struct slice){digits + at, sizeof digits - at});
}

// Whole numbers without a point; else what reads back as the same.
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
    put_string(text, number);
}

void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {[METRICS_GAUGE] = "gauge",
                                        [METRICS_COUNTER] = "counter",
                                        [METRICS_HISTOGRAM] = "histogram",
                                        [METRICS_SUMMARY] = "summary"};
    // OpenMetrics names the family without its samples' suffix, Prometheus with it.
    bool has_suffix = type == METRICS_COUNTER && text->format == METRICS_PROMETHEUS;
    const char *suffix = has_suffix ? "_total" : "";
    const char *const pieces[] = {"# HELP ", name,   suffix, " ",         help, "\n# TYPE ",
                                  name,      suffix, " ",    types[type], "\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        put_string(text, pieces[i]);
}

void metrics_sample(struct metrics_text *text, const char *name, const char *suffix,
                    const struct metrics_label *labels, size_t count, double value)
{
    put_string(text, name);
    put_string(text, suffix);
    if (count > 0) {
        put_string(text, "{");
        put_labels(text, labels, count);
        put_string(text, "}");
    }
    put_string(text, " ");
    put_number(text, value);
    put_string(text, "\n");
}

void metrics_single(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help, double value)
{
    metrics_family(text, name, type, help);
    metrics_sample(text, name, type == METRICS_COUNTER ? "_total" : "", NULL, 0, value);
}

// --- histograms -----------------------------------------------------------------------------------

// OpenMetrics wants floats for bounds, and Prometheus keeps them as they are written.
static void put_bound(struct metrics_text *text, double bound)
{
    char number[NUMBER_SIZE];
    bool is_whole = floor(bound) == bound;
    (void)snprintf(number, sizeof number, is_whole ? "%.1f" : "%g", bound);
    put_string(text, number);
}

static void put_exemplar(struct metrics_text *text, const struct series_exemplar *exemplar)
{
    char hex[2 * TRACE_ID_SIZE + 1];
    char rest[NUMBER_SIZE * 2];
    if (exemplar->at == TIMESTAMP_UNKNOWN || text->format != METRICS_OPENMETRICS)
        return;
    hex_encode(exemplar->trace.bytes, TRACE_ID_SIZE, hex);
    (void)snprintf(rest, sizeof rest, "\"} %.3f %.3f",
                   (double)exemplar->value / (double)NS_PER_SECOND,
                   (double)exemplar->at / (double)NS_PER_SECOND);
    put_string(text, " # {trace_id=\"");
    put_string(text, hex);
    put_string(text, rest);
}

// The labels are the same on each line of a histogram: they are escaped once and copied from there. `is_open`: the
// bound follows.
static void put_line_start(struct metrics_text *text, const char *name, const char *suffix,
                           size_t labels_at, size_t labels_len, bool is_open)
{
    put_string(text, name);
    put_string(text, suffix);
    put_string(text, labels_len > 0 || is_open ? "{" : "");
    if (text->code == ERROR_NONE)
        text->code = buffer_reserve(text->out, labels_len);
    if (text->code == ERROR_NONE)
        put(text, (struct slice){text->out->data + labels_at, labels_len});
}

void metrics_put_histogram(struct metrics_text *text, const char *name,
                           const struct metrics_label *labels, size_t count,
                           const struct metrics_histogram *histogram)
{
    uint64_t sum = 0;
    size_t labels_at = 0, labels_len = 0;
    for (size_t i = 0; i <= histogram->bound_count && text->code == ERROR_NONE; i++) {
        if (i == 0) {
            put_string(text, name);
            put_string(text, "_bucket{");
            labels_at = text->out->len;
            put_labels(text, labels, count);
            labels_len = text->out->len - labels_at;
        } else {
            put_line_start(text, name, "_bucket", labels_at, labels_len, true);
        }
        put_string(text, labels_len > 0 ? ",le=\"" : "le=\"");
        if (i < histogram->bound_count)
            put_bound(text, histogram->bounds[i]);
        else
            put_string(text, "+Inf");
        put_string(text, "\"} ");
        sum += histogram->buckets[i];
        put_uint(text, sum);
        if (histogram->exemplars != NULL)
            put_exemplar(text, &histogram->exemplars[i]);
        put_string(text, "\n");
    }
    put_line_start(text, name, "_sum", labels_at, labels_len, false);
    put_string(text, labels_len > 0 ? "} " : " ");
    put_number(text, histogram->sum);
    put_string(text, "\n");
    put_line_start(text, name, "_count", labels_at, labels_len, false);
    put_string(text, labels_len > 0 ? "} " : " ");
    put_uint(text, histogram->count);
    put_string(text, "\n");
}
