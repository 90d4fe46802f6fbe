// The repository that an event belongs to.
#include "payloads.h"

static enum error_code read_service_name(const struct payload *payload,
                                         const struct field_path *path, json_value value,
                                         void *target)
{
    struct github_repository *repository = target;
    // An organization defines its custom properties as it likes, as lists of choices for instance;
    // one that is no text is not meant for us.
    if (json_type_of(&payload->document, value) != JSON_STRING)
        return ERROR_NONE;
    return fields_read_string(payload, path, value, &repository->service_name);
}

#define AT(member) .offset = offsetof(struct github_repository, member)

static const struct field owner_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, .required = true, AT(owner)},
};
static const struct field_table owner_table = FIELD_TABLE(owner_rows);

static const struct field property_rows[] = {
    {FIELD_NAME("service_name"), FIELD_CUSTOM, .read = read_service_name},
};
static const struct field_table property_table = FIELD_TABLE(property_rows);

static const struct field repository_rows[] = {
    {FIELD_NAME("full_name"), FIELD_STRING, .required = true, AT(full_name)},
    {FIELD_NAME("name"), FIELD_STRING, .required = true, AT(name)},
    {FIELD_NAME("owner"), FIELD_OBJECT, .required = true, .nested = &owner_table},
    {FIELD_NAME("html_url"), FIELD_STRING, .required = true, AT(html_url)},
    {FIELD_NAME("default_branch"), FIELD_STRING, AT(default_branch)},
    {FIELD_NAME("custom_properties"), FIELD_OBJECT, .nested = &property_table},
};
static const struct field_table repository_table = FIELD_TABLE(repository_rows);

enum error_code repository_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_repository *repository)
{
    const struct field_path path = {.name = FIELD_NAME("repository")};
    if (json_type_of(&payload->document, envelope->repository) == JSON_NULL)
        return fields_refuse(payload, &path, "missing");
    return fields_read(payload, &path, envelope->repository, &repository_table, repository);
}
