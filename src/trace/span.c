// Comparing spans.
#include "ghatrace/trace/span.h"

static bool are_texts_equal(const struct attribute *a, const struct attribute *b)
{
    if (a->strings.count != b->strings.count)
        return false;
    for (size_t i = 0; i < a->strings.count; i++) {
        if (!slice_equals(a->strings.items[i], b->strings.items[i]))
            return false;
    }
    return true;
}

static bool is_same_attribute(const struct attribute *a, const struct attribute *b)
{
    if (a->type != b->type || strcmp(a->key, b->key) != 0)
        return false;
    switch (a->type) {
    case ATTRIBUTE_STRING:
        return slice_equals(a->string, b->string);
    case ATTRIBUTE_INT:
        return a->integer == b->integer;
    case ATTRIBUTE_BOOL:
        return a->boolean == b->boolean;
    case ATTRIBUTE_STRINGS:
        return are_texts_equal(a, b);
    }
    return false;
}

static bool are_attributes_equal(const struct attributes *a, const struct attributes *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!is_same_attribute(&a->items[i], &b->items[i]))
            return false;
    }
    return true;
}

static bool are_ids_equal(const struct span *a, const struct span *b)
{
    return memcmp(&a->trace_id, &b->trace_id, sizeof a->trace_id) == 0 &&
           memcmp(&a->span_id, &b->span_id, sizeof a->span_id) == 0 &&
           a->has_parent == b->has_parent &&
           (!a->has_parent || memcmp(&a->parent_id, &b->parent_id, sizeof a->parent_id) == 0) &&
           a->has_link == b->has_link &&
           (!a->has_link ||
            (memcmp(&a->link_trace_id, &b->link_trace_id, sizeof a->link_trace_id) == 0 &&
             memcmp(&a->link_span_id, &b->link_span_id, sizeof a->link_span_id) == 0));
}

static bool is_same_span(const struct span *a, const struct span *b)
{
    return are_ids_equal(a, b) && slice_equals(a->name, b->name) && a->kind == b->kind &&
           a->start == b->start && a->end == b->end && a->status == b->status &&
           slice_equals(a->status_message, b->status_message) &&
           are_attributes_equal(&a->attributes, &b->attributes);
}

bool span_batches_are_equal(const struct span_batch *a, const struct span_batch *b)
{
    if (a->span_count != b->span_count || !are_attributes_equal(&a->resource, &b->resource))
        return false;
    for (size_t i = 0; i < a->span_count; i++) {
        if (!is_same_span(&a->spans[i], &b->spans[i]))
            return false;
    }
    return true;
}
