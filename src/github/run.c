// Decodes workflow_run payloads, and the repository in any payload.
#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/github/server.h"
#include "payloads.h"

// --- the repository that an event belongs to ------------------------------------------------------

#define OF_REPOSITORY(member) .offset = offsetof(struct github_repository, member)

static const struct field owner_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, OF_REPOSITORY(owner)},
};
static const struct field_table owner_table = FIELD_TABLE(owner_rows);

// An organization may define custom properties of any type, for example lists; one that is not a string is ignored.
static const struct field property_rows[] = {
    {FIELD_NAME("service_name"), FIELD_STRING, OF_REPOSITORY(service_name)},
};
static const struct field_table property_table = FIELD_TABLE(property_rows);

static const struct field repository_rows[] = {
    {FIELD_NAME("full_name"), FIELD_STRING, OF_REPOSITORY(full_name)},
    {FIELD_NAME("name"), FIELD_STRING, OF_REPOSITORY(name)},
    {FIELD_NAME("owner"), FIELD_OBJECT, .nested = &owner_table},
    {FIELD_NAME("html_url"), FIELD_STRING, OF_REPOSITORY(html_url)},
    {FIELD_NAME("default_branch"), FIELD_STRING, OF_REPOSITORY(default_branch)},
    {FIELD_NAME("custom_properties"), FIELD_OBJECT, .nested = &property_table},
};
static const struct field_table repository_table = FIELD_TABLE(repository_rows);

// The payload has the name twice, whole and in its two parts: each is used if the other is missing.
static enum error_code complete_names(const struct payload *payload,
                                      struct github_repository *repository)
{
    struct slice whole = repository->full_name;
    ptrdiff_t slash = slice_find(whole, SLICE("/"));
    if (slash >= 0 && repository->owner.len == 0)
        repository->owner = (struct slice){whole.data, (size_t)slash};
    if (slash >= 0 && repository->name.len == 0)
        repository->name = (struct slice){whole.data + slash + 1, whole.len - (size_t)slash - 1};
    if (whole.len > 0 || repository->owner.len == 0 || repository->name.len == 0)
        return ERROR_NONE;
    if (!arena_format(payload->arena, &repository->full_name, "%.*s/%.*s",
                      SLICE_ARGS(repository->owner), SLICE_ARGS(repository->name)))
        return error_set(payload->error, ERROR_MEMORY, "no memory for a repository's name");
    repository->full_name = utf8_cut(repository->full_name, GITHUB_TEXT_MAX);
    return ERROR_NONE;
}

enum error_code repository_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_repository *repository)
{
    enum error_code code = fields_read(payload, SLICE("repository"), envelope->repository,
                                       &repository_table, repository);
    return code == ERROR_NONE ? complete_names(payload, repository) : code;
}

// --- the server that a URL leads to ---------------------------------------------------------------

static struct slice prefix_until(struct slice text, size_t end)
{
    return (struct slice){text.data, end};
}

// The index of the first of these characters; the length if there is none.
static size_t find_any(struct slice text, struct slice characters)
{
    size_t at = 0;
    while (at < text.len && memchr(characters.data, text.data[at], characters.len) == NULL)
        at++;
    return at;
}

// RFC 3986, 3.1: a letter, then letters, digits, '+', '-', '.', then ':'. 0: no scheme.
static size_t scheme_length(struct slice url)
{
    size_t len = 0;
    while (len < url.len && (ascii_is_letter(url.data[len]) ||
                             (len > 0 && memchr("0123456789+-.", url.data[len], 13) != NULL)))
        len++;
    return len > 0 && len < url.len && url.data[len] == ':' ? len + 1 : 0;
}

// User, host and port. Browsers treat a backslash as a slash (WHATWG URL, 4.4), so it ends them, too.
static struct slice authority_of(struct slice url)
{
    struct slice rest = slice_skip(url, scheme_length(url));
    if (slice_starts_with(rest, SLICE("//"))) {
        rest = slice_skip(rest, 2);
        return prefix_until(rest, find_any(rest, SLICE("/\\?#")));
    }
    rest = prefix_until(url, find_any(url, SLICE("/\\?#")));
    return slice_find(rest, SLICE(".")) >= 0 ? rest : SLICE_EMPTY;
}

static struct slice host_of(struct slice authority)
{
    struct slice host = authority;
    for (size_t i = 0; i < authority.len; i++)
        if (authority.data[i] == '@')
            host = slice_skip(authority, i + 1);
    bool has_brackets = slice_starts_with(host, SLICE("["));
    if (has_brackets)
        host = slice_skip(host, 1);
    host = prefix_until(host, find_any(host, has_brackets ? SLICE("]") : SLICE(":")));
    if (slice_ends_with(host, SLICE(".")))
        host.len--;
    return utf8_cut(host, GITHUB_SERVER_MAX);
}

static enum error_code in_lower_case(struct slice host, struct arena *arena, struct slice *out)
{
    size_t capitals = 0;
    for (size_t i = 0; i < host.len; i++)
        capitals += host.data[i] >= 'A' && host.data[i] <= 'Z' ? 1 : 0;
    *out = host;
    if (capitals == 0)
        return ERROR_NONE;
    char *text = arena_allocate(arena, host.len);
    if (text == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *out = (struct slice){text, host.len};
    return ERROR_NONE;
}

static enum error_code server_of_host(struct slice host, struct arena *arena, struct slice *server)
{
    *server = SLICE_EMPTY;
    if (host.len == 0 || slice_equals_ignoring_case(host, GITHUB_SERVER_USUAL))
        return ERROR_NONE;
    return in_lower_case(host, arena, server);
}

enum error_code github_server_of_url(struct slice url, struct arena *arena, struct slice *server)
{
    return server_of_host(host_of(authority_of(url)), arena, server);
}

struct slice github_server_name(struct slice server)
{
    return server.len > 0 ? server : GITHUB_SERVER_USUAL;
}

enum error_code github_server_of_name(struct slice name, struct arena *arena, struct slice *server)
{
    if (slice_find(name, SLICE("/")) >= 0)
        return github_server_of_url(name, arena, server);
    return server_of_host(host_of(name), arena, server);
}

// --- workflow_run payloads ------------------------------------------------------------------------

#define AT(member) .offset = offsetof(struct github_run, member)

static const struct field base_rows[] = {
    {FIELD_NAME("ref"), FIELD_STRING, AT(pull_request_base)},
};
static const struct field_table base_table = FIELD_TABLE(base_rows);

static const struct field pull_request_rows[] = {
    {FIELD_NAME("number"), FIELD_INTEGER, AT(pull_request_number)},
    {FIELD_NAME("base"), FIELD_OBJECT, .nested = &base_table},
};
static const struct field_table pull_request_table = FIELD_TABLE(pull_request_rows);

// The first element that is an object.
static enum error_code read_pull_requests(const struct payload *payload, json_value array,
                                          void *target)
{
    const struct json_document *document = &payload->document;
    json_value first = json_first_element(document, array);

    while (first != JSON_NONE && json_type_of(document, first) != JSON_OBJECT)
        first = json_next_element(document, first);
    return fields_read(payload, SLICE_EMPTY, first, &pull_request_table, target);
}

struct reference {
    struct slice path;
    struct slice sha;
};

static const struct field reference_rows[] = {
    {FIELD_NAME("path"), FIELD_STRING, .offset = offsetof(struct reference, path)},
    {FIELD_NAME("sha"), FIELD_STRING, .offset = offsetof(struct reference, sha)},
};
static const struct field_table reference_table = FIELD_TABLE(reference_rows);

// "octo/repo/.github/workflows/x.yml@main" at commit c: "octo/repo/.github/workflows/x.yml@c".
static enum error_code join_reference(const struct payload *payload,
                                      const struct reference *reference, struct slice *out)
{
    ptrdiff_t at = slice_find(reference->path, SLICE("@"));
    size_t path_length = at >= 0 ? (size_t)at : reference->path.len;
    size_t length = path_length + 1 + reference->sha.len;

    char *text = arena_allocate(payload->arena, length);
    if (text == NULL)
        return error_set(payload->error, ERROR_MEMORY, "no memory for a referenced workflow");
    memcpy(text, reference->path.data, path_length);
    text[path_length] = '@';
    memcpy(text + path_length + 1, reference->sha.data, reference->sha.len);
    *out = utf8_cut((struct slice){.data = text, .len = length}, GITHUB_TEXT_MAX);
    return ERROR_NONE;
}

static enum error_code read_reference(const struct payload *payload, json_value element,
                                      struct slice *references, size_t *count)
{
    struct reference reference = {.path = SLICE_EMPTY, .sha = SLICE_EMPTY};

    enum error_code code = fields_read(payload, SLICE_EMPTY, element, &reference_table, &reference);
    if (code != ERROR_NONE || reference.path.len == 0 || reference.sha.len == 0)
        return code;
    return join_reference(payload, &reference, &references[(*count)++]);
}

static enum error_code read_references(const struct payload *payload, json_value array,
                                       void *target)
{
    const struct json_document *document = &payload->document;
    struct github_run *run = target;

    size_t capacity = fields_count(payload, array, JSON_OBJECT);
    if (capacity > GITHUB_REFERENCES_MAX)
        capacity = GITHUB_REFERENCES_MAX;
    if (capacity == 0)
        return ERROR_NONE;
    struct slice *references = arena_allocate_array(payload->arena, capacity, sizeof(*references));
    if (references == NULL)
        return error_set(payload->error, ERROR_MEMORY, "no memory for %zu referenced workflows",
                         capacity);
    run->referenced_workflows = references;

    json_value element = json_first_element(document, array);
    for (; element != JSON_NONE && run->referenced_workflow_count < capacity;
         element = json_next_element(document, element)) {
        enum error_code code =
            read_reference(payload, element, references, &run->referenced_workflow_count);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static const struct field actor_rows[] = {{FIELD_NAME("login"), FIELD_STRING, AT(actor)}};
static const struct field_table actor_table = FIELD_TABLE(actor_rows);

static const struct field triggering_actor_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, AT(triggering_actor)},
};
static const struct field_table triggering_actor_table = FIELD_TABLE(triggering_actor_rows);

static const struct field run_rows[] = {
    {FIELD_NAME("id"), FIELD_ID, .required = true, AT(run_id)},
    {FIELD_NAME("name"), FIELD_STRING, AT(workflow_name)},
    {FIELD_NAME("run_attempt"), FIELD_INTEGER, AT(run_attempt)},
    {FIELD_NAME("run_number"), FIELD_INTEGER, AT(run_number)},
    {FIELD_NAME("display_title"), FIELD_STRING, AT(display_title)},
    {FIELD_NAME("event"), FIELD_STRING, AT(event_name)},
    {FIELD_NAME("path"), FIELD_STRING, AT(workflow_path)},
    {FIELD_NAME("status"), FIELD_STRING, AT(status)},
    {FIELD_NAME("conclusion"), FIELD_STRING, AT(conclusion)},
    {FIELD_NAME("head_branch"), FIELD_STRING, AT(head_branch)},
    {FIELD_NAME("head_sha"), FIELD_STRING, AT(head_sha)},
    {FIELD_NAME("actor"), FIELD_OBJECT, .nested = &actor_table},
    {FIELD_NAME("triggering_actor"), FIELD_OBJECT, .nested = &triggering_actor_table},
    {FIELD_NAME("created_at"), FIELD_TIME, AT(created_at)},
    {FIELD_NAME("updated_at"), FIELD_TIME, AT(updated_at)},
    {FIELD_NAME("run_started_at"), FIELD_TIME, AT(run_started_at)},
    {FIELD_NAME("referenced_workflows"), FIELD_ARRAY, .read = read_references},
    {FIELD_NAME("pull_requests"), FIELD_ARRAY, .read = read_pull_requests},
};
static const struct field_table run_table = FIELD_TABLE(run_rows);

struct workflow {
    struct slice name;
    struct slice path;
};

static const struct field workflow_rows[] = {
    {FIELD_NAME("name"), FIELD_STRING, .offset = offsetof(struct workflow, name)},
    {FIELD_NAME("path"), FIELD_STRING, .offset = offsetof(struct workflow, path)},
};
static const struct field_table workflow_table = FIELD_TABLE(workflow_rows);

// Removes the ref from ".github/workflows/x.yml@refs/heads/main", which GitHub sends if the file is taken from
// another ref than the run's own: the workflow is the same at each ref. Searches for both extensions of workflow
// files, because '@' may be part of their names.
static struct slice without_ref(struct slice path)
{
    static const struct slice ends[] = {FIELD_NAME(".yml@"), FIELD_NAME(".yaml@")};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        ptrdiff_t at = slice_find(path, ends[i]);
        if (at >= 0)
            path.len = (size_t)at + ends[i].len - 1;
    }
    return path;
}

// `workflow_run.name` may be "" or the run-name text of this run, which then is its display_title, too;
// `workflow.name` is the workflow's own name, the same for all of its runs. If it has none, the path of its file is
// used. Without any data about the workflow, the run's name is used if it may be the workflow's.
static struct slice name_of_workflow(const struct github_run *run, struct slice run_name,
                                     const struct workflow *workflow, bool has_workflow)
{
    bool is_of_workflow = !has_workflow && !slice_equals(run_name, run->display_title);
    struct slice path = payload_name(run->workflow_path);
    if (path.len == 0)
        path = payload_name(workflow->path);
    const struct slice names[] = {payload_name(workflow->name),
                                  is_of_workflow ? run_name : SLICE_EMPTY, without_ref(path),
                                  run_name};
    size_t i = 0;
    while (i + 1 < sizeof(names) / sizeof(names[0]) && names[i].len == 0)
        i++;
    return names[i];
}

enum error_code run_read(const struct payload *payload, const struct envelope *envelope,
                         struct github_run *run)
{
    struct workflow workflow = {.name = SLICE_EMPTY, .path = SLICE_EMPTY};
    bool has_workflow = json_type_of(&payload->document, envelope->workflow) == JSON_OBJECT;

    enum error_code code =
        fields_read(payload, SLICE("workflow_run"), envelope->workflow_run, &run_table, run);
    if (code == ERROR_NONE)
        code =
            fields_read(payload, SLICE("workflow"), envelope->workflow, &workflow_table, &workflow);
    if (code != ERROR_NONE)
        return code;
    if (run->run_attempt == 0) // absent in 2021
        run->run_attempt = 1;
    // So far it holds workflow_run.name.
    run->workflow_name =
        name_of_workflow(run, payload_name(run->workflow_name), &workflow, has_workflow);
    return ERROR_NONE;
}
