// What a client accepts: lists of values with weights.
#include "ghatrace/http/accept.h"

static struct slice take_up_to(struct slice *text, struct slice separator)
{
    ptrdiff_t end = slice_find(*text, separator);
    size_t len = end < 0 ? text->len : (size_t)end;
    size_t taken = end < 0 ? text->len : len + 1;
    struct slice part = slice_trim((struct slice){text->data, len});
    *text = (struct slice){text->data + taken, text->len - taken};
    return part;
}

struct slice http_list_next(struct slice *list)
{
    return take_up_to(list, SLICE(","));
}

struct slice http_parameter_next(struct slice *element)
{
    return take_up_to(element, SLICE(";"));
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

bool http_weight_read(struct slice parameter, int *weight)
{
    if (parameter.len < 2 ||
        !slice_equals_ignoring_case((struct slice){parameter.data, 2}, SLICE("q=")))
        return false;
    *weight = read_weight((struct slice){parameter.data + 2, parameter.len - 2});
    return true;
}

// Weights by coding; -1: not named.
struct codings {
    int gzip, identity, any;
};

static void read_accepted(struct slice element, struct codings *codings)
{
    struct slice coding = http_parameter_next(&element);
    int weight = 1000;
    while (element.len > 0)
        (void)http_weight_read(http_parameter_next(&element), &weight);
    // RFC 9110 8.4.1.3: x-gzip is the same.
    if (slice_equals_ignoring_case(coding, SLICE("gzip")) ||
        slice_equals_ignoring_case(coding, SLICE("x-gzip")))
        codings->gzip = weight;
    else if (slice_equals_ignoring_case(coding, SLICE("identity")))
        codings->identity = weight;
    else if (slice_equals(coding, SLICE("*")))
        codings->any = weight;
}

bool http_head_accepts_gzip(const struct http_head *head)
{
    struct codings codings = {-1, -1, -1};
    for (size_t i = 0; i < head->header_count; i++) {
        struct slice list = head->headers[i].value;
        if (!slice_equals_ignoring_case(head->headers[i].name, SLICE("Accept-Encoding")))
            continue;
        while (list.len > 0)
            read_accepted(http_list_next(&list), &codings);
    }
    int gzip = codings.gzip >= 0 ? codings.gzip : codings.any;
    return gzip > 0 && gzip >= codings.identity;
}
