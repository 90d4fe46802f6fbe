// Incidents of pools that are over, in the terminal.
#include "past.h"

#include <stdio.h>
#include <string.h>

static void read_incident_values(struct values *values, json_value from,
                                 struct past_incident *incident)
{
    struct slice name = values_text(values, from, "pool");
    bool is_known;
    *incident =
        (struct past_incident){.name_len = name.len < PAST_NAME_MAX ? name.len : PAST_NAME_MAX,
                               .state = (enum pool_state)values_choice(
                                   values, from, "state", pool_state_names, POOL_STATES),
                               .times = (uint32_t)values_count(values, from, "times", NULL),
                               .from = values_time(values, from, "from"),
                               .until = values_time(values, from, "until"),
                               .queued = values_count(values, from, "queued_max", NULL),
                               .wait = values_seconds(values, from, "wait_seconds_max", &is_known)};
    incident->until = timestamp_later(incident->until, incident->from);
    if (incident->name_len > 0)
        memcpy(incident->name, name.data, incident->name_len);
}

const struct past_list *past_read_answer(struct values *values)
{
    const struct json_document *document = values->document;
    json_value array = json_get(document, JSON_ROOT, SLICE("past"));
    if (array == JSON_NONE || json_type_of(document, array) != JSON_ARRAY)
        return NULL;
    struct past_list *list = arena_allocate(values->arena, sizeof *list);
    if (list == NULL) {
        values->is_out_of_memory = true;
        return NULL;
    }
    list->count = 0;
    for (json_value item = json_first_element(document, array);
         item != JSON_NONE && list->count < PAST_MAX; item = json_next_element(document, item))
        read_incident_values(values, item, &list->items[list->count++]);
    return list;
}

// "Ended: gpu was in trouble, at worst dead, from 13:02 to 14:10 UTC (1h 8m): up to 16 jobs waited, the longest 1h 5m."
static bool paint_incident(struct pools_page *page, const struct past_incident *incident)
{
    char from[TIMESTAMP_TEXT_SIZE], until[TIMESTAMP_TEXT_SIZE], times[32] = "";
    char lasted[TIMESTAMP_TEXT_SIZE], wait[TIMESTAMP_TEXT_SIZE];
    struct slice name, text;
    timestamp_format_clock(incident->from, page->now, from);
    timestamp_format_clock(incident->until, page->now, until);
    duration_format_short(incident->until - incident->from, lasted);
    duration_format_short(incident->wait, wait);
    if (incident->times > 1)
        (void)snprintf(times, sizeof times, ", in %u parts", (unsigned)incident->times);
    return text_clean(page->scratch, past_name(incident), page->painter.terminal.unicode, &name) &&
           arena_format(page->scratch, &text,
                        "Ended: %.*s was in trouble, at worst %s, from %s to %s UTC (%s%s): up to "
                        "%llu job%s waited, the longest %s.",
                        SLICE_ARGS(name), past_state_word(incident->state), from, until, lasted,
                        times, (unsigned long long)incident->queued,
                        incident->queued == 1 ? "" : "s", wait) &&
           pools_paint_text(page, STYLE_GREY, text);
}

bool past_paint(struct pools_page *page, const struct past_list *past)
{
    const struct past_incident *sorted[PAST_MAX];
    struct slice text;
    size_t count = past == NULL ? 0 : past_sort(past, SLICE_EMPTY, page->now, sorted), shown = 0;
    while (shown < count && shown < PAST_SHOWN &&
           page->now - sorted[shown]->until <= PAST_SHOWN_AGE)
        shown++;
    if (shown == 0)
        return true;
    painter_newline(&page->painter);
    for (size_t i = 0; i < shown; i++)
        if (!paint_incident(page, sorted[i]))
            return false;
    if (count == shown)
        return true;
    return arena_format(page->scratch, &text, "%zu more of the last 35 days are kept.",
                        count - shown) &&
           pools_paint_text(page, STYLE_GREY, text);
}
