// Decodes one delivery: which kind of event it is, and whether it is supported.
#include "ghatrace/github/event.h"

#include <string.h>

#include "ghatrace/github/server.h"
#include "payloads.h"

struct kind {
    struct slice name; // NUL-terminated
    enum github_event_use use;
    enum error_code (*decode)(const struct payload *payload, const struct envelope *envelope,
                              struct github_event *event);
};

#define KIND(kind, name, use, decode) [kind] = {FIELD_NAME(name), use, decode},
static const struct kind kinds[GITHUB_EVENT_KINDS] = {GITHUB_EVENT_LIST(KIND)};

const char *github_event_name(enum github_event_kind type)
{
    return kinds[type].name.data;
}

enum github_event_kind github_event_type_of(struct slice name)
{
    enum github_event_kind type = GITHUB_EVENT_JOB;
    while (type < GITHUB_EVENT_IGNORED && !slice_equals(name, kinds[type].name))
        type++;
    return type;
}

enum github_event_use github_event_use_of(enum github_event_kind kind)
{
    return kinds[kind].use;
}

// --- for the decoders ---------------------------------------------------------------------------------

int payload_find_action(const struct action_name *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals(names[i].name, name))
            return names[i].action;
    return -1;
}

enum error_code payload_ignore(struct github_event *event, const char *reason)
{
    *event = (struct github_event){
        .kind = GITHUB_EVENT_IGNORED, .type = event->type, .ignored_because = reason};
    return ERROR_NONE;
}

// The event's subject is null: there is nothing to do, and a redelivery would not change that.
static enum error_code ignore_null(struct github_event *event, const char *reason)
{
    enum error_code code = payload_ignore(event, reason);
    event->is_malformed = true;
    return code;
}

struct slice payload_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > ' ')
            return text;
    return SLICE_EMPTY;
}

static bool is_null(const struct payload *payload, json_value value)
{
    return value != JSON_NONE && json_type_of(&payload->document, value) == JSON_NULL;
}

enum error_code payload_check_subject(const struct payload *payload,
                                      const struct envelope *envelope, const char *if_null,
                                      struct github_event *event)
{
    json_value subject = envelope->subject;
    if (is_null(payload, subject))
        return ignore_null(event, if_null);
    if (json_type_of(&payload->document, subject) != JSON_OBJECT)
        return fields_refuse(payload, SLICE_EMPTY, kinds[event->type].name,
                             subject == JSON_NONE ? "missing" : "not an object");
    if (is_null(payload, envelope->repository))
        return ignore_null(event, "repository is null");
    return ERROR_NONE;
}

enum error_code other_decode(const struct payload *payload, const struct envelope *envelope,
                             struct github_event *event)
{
    (void)payload;
    (void)envelope;
    return payload_ignore(event, "event type not used");
}

// --- any event ----------------------------------------------------------------------------------------

#define AT(member) .offset = offsetof(struct envelope, member)

// For all members but `action` only the position is noted: whether they are read depends on the action.
static enum error_code read_envelope(const struct payload *payload, struct slice subject,
                                     struct envelope *envelope)
{
    const struct field rows[] = {
        {FIELD_NAME("action"), FIELD_STRING, .required = true, AT(action)},
        {subject, FIELD_VALUE, AT(subject)},
        {FIELD_NAME("workflow"), FIELD_VALUE, AT(workflow)},
        {FIELD_NAME("repository"), FIELD_VALUE, AT(repository)},
        {FIELD_NAME("deployment"), FIELD_VALUE, AT(deployment)},
    };
    const struct field_table table = FIELD_TABLE(rows);
    return fields_read(payload, SLICE_EMPTY, JSON_ROOT, &table, envelope);
}

static enum error_code decode_body(struct slice event_type, struct slice body, struct arena *arena,
                                   struct github_event *event, struct error *error)
{
    struct payload payload = {.arena = arena, .error = error};
    struct envelope envelope = {.action = SLICE_EMPTY,
                                .subject = JSON_NONE,
                                .workflow = JSON_NONE,
                                .repository = JSON_NONE,
                                .deployment = JSON_NONE};
    memset(event, 0, sizeof(*event));
    event->kind = GITHUB_EVENT_IGNORED;
    event->type = github_event_type_of(event_type);
    const struct kind *kind = &kinds[event->type];
    bool is_stored = kind->use == GITHUB_EVENT_USE_STORE;
    enum error_code code = json_parse(body, arena, &payload.document, error);
    if (code != ERROR_NONE)
        return code;
    if (json_type_of(&payload.document, JSON_ROOT) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID, "payload: not a JSON object");
    if (is_stored) // other kinds need none
        code = read_envelope(&payload, kind->name, &envelope);
    if (code == ERROR_NONE)
        code = kind->decode(&payload, &envelope, event);
    if (code == ERROR_NONE && is_stored &&
        github_server_of_url(event->repository.html_url, arena, &event->server) != ERROR_NONE)
        code = error_set(error, ERROR_MEMORY, "no memory for the name of a server");
    return code;
}

enum error_code github_event_decode(struct slice event_type, struct slice body, struct arena *arena,
                                    struct github_event *event, struct error *error)
{
    arena_set_limit(arena, GITHUB_EVENT_MEMORY_MAX);
    enum error_code code = decode_body(event_type, body, arena, event, error);
    if (code == ERROR_MEMORY && arena->is_over_limit)
        code = error_set(error, ERROR_TOO_LARGE, "payload: takes more than %zu MiB when decoded",
                         GITHUB_EVENT_MEMORY_MAX >> 20);
    arena_lift_limit(arena);
    return code;
}
