// Lists of networks, out of settings.
#include "ghatrace/app/config.h"

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

// The next word of "a, b c"; empty at the end.
static struct slice next_word(struct slice *rest)
{
    size_t start = 0;
    while (start < rest->len && is_separator(rest->data[start]))
        start++;
    size_t end = start;
    while (end < rest->len && !is_separator(rest->data[end]))
        end++;
    struct slice word = {.data = rest->data + start, .len = end - start};
    *rest = (struct slice){.data = rest->data + end, .len = rest->len - end};
    return word;
}

static size_t count_words(const struct text_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct slice rest = list->items[i];
        while (next_word(&rest).len > 0)
            count++;
    }
    return count;
}

enum error_code config_read_networks(const struct text_list *list, const char *where,
                                     struct arena *arena, struct net_network_list *networks,
                                     struct error *error)
{
    *networks = (struct net_network_list){.count = 0};
    if (list->count == 0)
        return ERROR_NONE;
    size_t count = count_words(list);
    // Said, and nobody named: it would let in everybody where few were meant.
    if (count == 0)
        return error_set(error, ERROR_USAGE, "%s: names no network", where);
    struct net_network *items = arena_allocate_array(arena, count, sizeof *items);
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct slice rest = list->items[i];
        for (struct slice word; (word = next_word(&rest)).len > 0; at++) {
            enum error_code code = net_network_parse(word, &items[at], error);
            if (code != ERROR_NONE) {
                error_wrap(error, "%s", where);
                return code;
            }
        }
    }
    *networks = (struct net_network_list){.items = items, .count = count};
    return ERROR_NONE;
}
