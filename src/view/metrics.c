// GET /metrics: the format, and the families one after the other.
#include "ghatrace/view/metrics.h"

#include "metrics_text.h"

// "application/openmetrics-text" of "application/openmetrics-text; version=1.0.0; q=0.5".
static struct slice take_element(struct slice *list)
{
    ptrdiff_t comma = slice_find(*list, SLICE(","));
    size_t len = comma < 0 ? list->len : (size_t)comma;
    size_t taken = comma < 0 ? list->len : len + 1;
    struct slice element = slice_trim((struct slice){list->data, len});
    *list = (struct slice){list->data + taken, list->len - taken};
    return element;
}

static struct slice take_parameter(struct slice *element)
{
    ptrdiff_t semicolon = slice_find(*element, SLICE(";"));
    size_t len = semicolon < 0 ? element->len : (size_t)semicolon;
    size_t taken = semicolon < 0 ? element->len : len + 1;
    struct slice parameter = slice_trim((struct slice){element->data, len});
    *element = (struct slice){element->data + taken, element->len - taken};
    return parameter;
}

// "0.75" as 750; RFC 9110 12.4.2: at most three decimals.
static int read_weight(struct slice text)
{
    int weight = 0, digits = 0;
    bool is_fraction = false;
    for (size_t i = 0; i < text.len && digits < 3; i++) {
        if (text.data[i] == '.' && !is_fraction) {
            is_fraction = true;
        } else if (text.data[i] >= '0' && text.data[i] <= '9') {
            weight = weight * 10 + (text.data[i] - '0');
            digits += is_fraction ? 1 : 0;
            if (weight > 1000)
                return 1000;
        } else {
            return 0;
        }
    }
    for (; digits < 3; digits++)
        weight *= 10;
    return weight < 1000 ? weight : 1000;
}

static bool is_openmetrics(struct slice type)
{
    return slice_equals_ignoring_case(type, SLICE("application/openmetrics-text"));
}

static bool is_text(struct slice type)
{
    return slice_equals_ignoring_case(type, SLICE("text/plain")) ||
           slice_equals_ignoring_case(type, SLICE("text/*")) || slice_equals(type, SLICE("*/*"));
}

enum metrics_format metrics_format_of(struct slice accept)
{
    int openmetrics = 0, text = 0;
    while (accept.len > 0) {
        struct slice element = take_element(&accept);
        struct slice type = take_parameter(&element);
        int weight = 1000;
        bool is_ours = true;
        while (element.len > 0) {
            struct slice parameter = take_parameter(&element);
            if (slice_starts_with(parameter, SLICE("q=")))
                weight = read_weight((struct slice){parameter.data + 2, parameter.len - 2});
            else if (slice_starts_with(parameter, SLICE("version=")) && is_openmetrics(type))
                is_ours = slice_equals(parameter, SLICE("version=1.0.0")) ||
                          slice_equals(parameter, SLICE("version=0.0.1"));
        }
        if (is_openmetrics(type) && is_ours && weight > openmetrics)
            openmetrics = weight;
        else if (is_text(type) && weight > text)
            text = weight;
    }
    return openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

enum error_code metrics_render(const struct view_sources *sources, enum metrics_format format,
                               timestamp_ns now, struct buffer *out, struct error *error)
{
    struct metrics_text text = {.out = out, .format = format};
    enum error_code code = metrics_put_queue(&text, sources, now, error);
    if (code == ERROR_NONE)
        code = metrics_put_series(&text, sources, error);
    if (code == ERROR_NONE)
        code = metrics_put_health(&text, sources, now, error);
    if (code != ERROR_NONE)
        return code;
    metrics_put_process(&text);
    if (format == METRICS_OPENMETRICS && text.code == ERROR_NONE)
        text.code = buffer_append_string(out, "# EOF\n");
    if (text.code != ERROR_NONE)
        error_set(error, text.code, "write metrics: %s", error_code_text(text.code));
    return text.code;
}
