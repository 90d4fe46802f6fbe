// The repository that an event belongs to.
#include "ghatrace/base/utf8.h"
#include "payloads.h"

#define AT(member) .offset = offsetof(struct github_repository, member)

static const struct field owner_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, AT(owner)},
};
static const struct field_table owner_table = FIELD_TABLE(owner_rows);

// An organization defines its custom properties as it likes, as lists of choices for instance; one that is no text is
// not meant for us.
static const struct field property_rows[] = {
    {FIELD_NAME("service_name"), FIELD_STRING, AT(service_name)},
};
static const struct field_table property_table = FIELD_TABLE(property_rows);

static const struct field repository_rows[] = {
    {FIELD_NAME("full_name"), FIELD_STRING, AT(full_name)},
    {FIELD_NAME("name"), FIELD_STRING, AT(name)},
    {FIELD_NAME("owner"), FIELD_OBJECT, .nested = &owner_table},
    {FIELD_NAME("html_url"), FIELD_STRING, AT(html_url)},
    {FIELD_NAME("default_branch"), FIELD_STRING, AT(default_branch)},
    {FIELD_NAME("custom_properties"), FIELD_OBJECT, .nested = &property_table},
};
static const struct field_table repository_table = FIELD_TABLE(repository_rows);

// The name stands in the payload twice, whole and in its two parts: where one is missing, the other tells it.
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
