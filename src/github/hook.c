// The webhook settings in a ping.
#include "payloads.h"

static json_value get_member(const struct payload *payload, json_value object, struct slice name)
{
    return json_get(&payload->document, object, name);
}

// Empty if it is not a string, or if out of memory.
static struct slice get_member_text(const struct payload *payload, json_value object,
                                    struct slice name)
{
    struct slice text;
    return json_string_start(&payload->document, get_member(payload, object, name), GITHUB_TEXT_MAX,
                             payload->arena, &text)
               ? text
               : SLICE_EMPTY;
}

static void read_events(const struct payload *payload, json_value events, struct github_hook *hook)
{
    const struct json_document *document = &payload->document;
    bool is_ticked[GITHUB_EVENT_KINDS] = {false};
    struct slice name;
    if (json_type_of(document, events) != JSON_ARRAY)
        return;
    hook->has_events = true;
    json_value element = json_first_element(document, events);
    for (; element != JSON_NONE; element = json_next_element(document, element)) {
        if (!json_string_start(document, element, GITHUB_TEXT_MAX, payload->arena, &name))
            continue;
        if (slice_equals(name, SLICE("*")))
            is_ticked[GITHUB_EVENT_JOB] = is_ticked[GITHUB_EVENT_RUN] = true;
        else
            is_ticked[github_event_type_of(name)] = true;
    }
    hook->has_jobs = is_ticked[GITHUB_EVENT_JOB];
    hook->has_runs = is_ticked[GITHUB_EVENT_RUN];
}

// "https://user:password@host/path?token=x#y" → "https://host/path".
static struct slice without_secrets(const struct payload *payload, struct slice url)
{
    ptrdiff_t start = slice_find(url, SLICE("://"));
    struct slice shown = url;
    size_t end = start < 0 ? 0 : (size_t)start + 3;
    size_t authority = end, at = end;
    while (end < url.len && url.data[end] != '?' && url.data[end] != '#')
        end++;
    shown.len = end;
    for (size_t i = authority; i < end && url.data[i] != '/'; i++)
        if (url.data[i] == '@')
            at = i + 1;
    if (at == authority || !arena_format(payload->arena, &shown, "%.*s%.*s", (int)authority,
                                         url.data, (int)(end - at), url.data + at))
        shown.len = at == authority ? end : 0;
    return shown;
}

// GitHub sends "0" and "1"; its schema also allows numbers.
static bool is_flag_set(const struct payload *payload, json_value value)
{
    struct slice text;
    int64_t number;
    if (json_int64(&payload->document, value, &number))
        return number != 0;
    return json_string_start(&payload->document, value, GITHUB_TEXT_MAX, payload->arena, &text) &&
           slice_equals(text, SLICE("1"));
}

static struct slice get_owner(const struct payload *payload)
{
    json_value repository = get_member(payload, JSON_ROOT, SLICE("repository"));
    struct slice name = get_member_text(payload, repository, SLICE("full_name"));
    return name.len > 0
               ? name
               : get_member_text(payload, get_member(payload, JSON_ROOT, SLICE("organization")),
                                 SLICE("login"));
}

void hook_read(const struct payload *payload, struct github_hook *hook)
{
    json_value value = get_member(payload, JSON_ROOT, SLICE("hook"));
    json_value config = get_member(payload, value, SLICE("config"));
    read_events(payload, get_member(payload, value, SLICE("events")), hook);
    json_value active = get_member(payload, value, SLICE("active"));
    hook->is_inactive = json_type_of(&payload->document, active) == JSON_FALSE;
    hook->is_insecure = is_flag_set(payload, get_member(payload, config, SLICE("insecure_ssl")));
    if (!json_int64(&payload->document, get_member(payload, JSON_ROOT, SLICE("hook_id")),
                    &hook->hook_id))
        hook->hook_id = 0;
    hook->type = get_member_text(payload, value, SLICE("type"));
    hook->owner = get_owner(payload);
    hook->url = without_secrets(payload, get_member_text(payload, config, SLICE("url")));
    hook->content_type = get_member_text(payload, config, SLICE("content_type"));
}
