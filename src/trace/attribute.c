// Filling attribute lists.
#include "ghatrace/trace/attribute.h"

#include <inttypes.h>

#define FIRST_CAPACITY 24 // a job's list has some 20

static bool make_room(struct attribute_writer *writer)
{
    struct attributes *list = writer->list;
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
    struct attribute *items = arena_allocate_array(writer->arena, capacity, sizeof *items);
    if (items == NULL)
        return false;
    if (list->count > 0)
        memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    list->capacity = capacity;
    return true;
}

void attribute_add(struct attribute_writer *writer, struct attribute attribute)
{
    if (!writer->failed && !make_room(writer))
        writer->failed = true;
    if (!writer->failed)
        writer->list->items[writer->list->count++] = attribute;
}

void attribute_add_string(struct attribute_writer *writer, const char *key, struct slice value)
{
    if (value.len > 0)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_STRING, {.string = value}});
}

void attribute_add_int(struct attribute_writer *writer, const char *key, int64_t value)
{
    if (value != 0)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_INT, {.integer = value}});
}

void attribute_add_true(struct attribute_writer *writer, const char *key, bool value)
{
    if (value)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_BOOL, {.boolean = true}});
}

void attribute_add_strings(struct attribute_writer *writer, const char *key,
                           const struct slice *items, size_t count)
{
    if (count > 0)
        attribute_add(writer,
                      (struct attribute){key, ATTRIBUTE_STRINGS, {.strings = {items, count}}});
}

void attribute_add_number_string(struct attribute_writer *writer, const char *key, int64_t value)
{
    struct slice text;
    if (value == 0)
        return;
    if (arena_format(writer->arena, &text, "%" PRId64, value))
        attribute_add_string(writer, key, text);
    else
        writer->failed = true;
}

// --- reading --------------------------------------------------------------------------------------

const struct attribute *attributes_find(const struct attributes *attributes, const char *key)
{
    for (size_t i = 0; i < attributes->count; i++)
        if (strcmp(attributes->items[i].key, key) == 0)
            return &attributes->items[i];
    return NULL;
}

static const struct attribute *find_typed(const struct attributes *attributes, const char *key,
                                          enum attribute_type type)
{
    const struct attribute *found = attributes_find(attributes, key);
    return found != NULL && found->type == type ? found : NULL;
}

struct slice attributes_get_string(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_STRING);
    return found != NULL ? found->string : SLICE_EMPTY;
}

int64_t attributes_get_int(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_INT);
    return found != NULL ? found->integer : 0;
}

bool attributes_get_bool(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_BOOL);
    return found != NULL && found->boolean;
}

void attributes_get_strings(const struct attributes *attributes, const char *key,
                            const struct slice **items, size_t *count)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_STRINGS);
    *items = found != NULL ? found->strings.items : NULL;
    *count = found != NULL ? found->strings.count : 0;
}
