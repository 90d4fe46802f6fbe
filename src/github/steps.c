// The steps of a job, in the order of their numbers.
#include <inttypes.h>
#include <string.h>

#include "payloads.h"

static const struct field step_rows[] = {
    {FIELD_NAME("name"), FIELD_STRING, .offset = offsetof(struct github_step, name)},
    {FIELD_NAME("number"), FIELD_INTEGER, .offset = offsetof(struct github_step, number)},
    {FIELD_NAME("status"), FIELD_STRING, .offset = offsetof(struct github_step, status)},
    {FIELD_NAME("conclusion"), FIELD_STRING, .offset = offsetof(struct github_step, conclusion)},
    {FIELD_NAME("started_at"), FIELD_TIME, .offset = offsetof(struct github_step, started_at)},
    {FIELD_NAME("completed_at"), FIELD_TIME, .offset = offsetof(struct github_step, completed_at)},
};
static const struct field_table step_table = FIELD_TABLE(step_rows);

// One without a name is told by its number: its time is known all the same.
static enum error_code complete_step(const struct payload *payload, size_t index,
                                     struct github_step *step)
{
    if (step->number == 0) // `number` is not documented: be ready to do without
        step->number = (int64_t)index + 1;
    if (step->name.len == 0 &&
        !arena_format(payload->arena, &step->name, "step %" PRId64, step->number))
        return error_set(payload->error, ERROR_MEMORY, "no memory for the name of a step");
    return ERROR_NONE;
}

static enum error_code read_steps(const struct payload *payload, json_value array,
                                  struct github_step *steps, size_t *count)
{
    const struct json_document *document = &payload->document;
    json_value element = json_first_element(document, array);

    for (size_t index = 0; element != JSON_NONE; index++) {
        if (json_type_of(document, element) == JSON_OBJECT) {
            struct github_step *step = &steps[(*count)++];
            enum error_code code = fields_read(payload, SLICE_EMPTY, element, &step_table, step);
            if (code == ERROR_NONE)
                code = complete_step(payload, index, step);
            if (code != ERROR_NONE)
                return code;
        }
        element = json_next_element(document, element);
    }
    return ERROR_NONE;
}

static void merge(const struct github_step *left, size_t left_count,
                  const struct github_step *right, size_t right_count, struct github_step *out)
{
    while (left_count > 0 || right_count > 0) {
        bool take_left = right_count == 0 || (left_count > 0 && left->number <= right->number);
        *out++ = take_left ? *left++ : *right++;
        if (take_left)
            left_count--;
        else
            right_count--;
    }
}

static bool is_sorted(const struct github_step *steps, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (steps[i - 1].number > steps[i].number)
            return false;
    return true;
}

// Merge sort from runs of 1 upwards: stable, which qsort is not, and never quadratic. `spare` has
// room for as many. Returns which of the two holds the result.
static struct github_step *sort_steps(struct github_step *steps, struct github_step *spare,
                                      size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t left = count - start < width ? count - start : width;
            size_t rest = count - start - left;
            size_t right = rest < width ? rest : width;
            merge(steps + start, left, steps + start + left, right, spare + start);
        }
        struct github_step *sorted = spare;
        spare = steps;
        steps = sorted;
    }
    return steps;
}

enum error_code steps_read(const struct payload *payload, json_value array, void *target)
{
    struct github_job *job = target;

    size_t capacity = fields_count(payload, array, JSON_OBJECT);
    if (capacity == 0)
        return ERROR_NONE;
    struct github_step *steps = arena_allocate_array(payload->arena, capacity, sizeof(*steps));
    if (steps == NULL)
        goto refused;
    enum error_code code = read_steps(payload, array, steps, &job->step_count);
    if (code != ERROR_NONE)
        return code;
    if (!is_sorted(steps, job->step_count)) {
        struct github_step *spare = arena_allocate_array(payload->arena, capacity, sizeof(*spare));
        if (spare == NULL)
            goto refused;
        steps = sort_steps(steps, spare, job->step_count);
    }
    job->steps = steps;
    return ERROR_NONE;

refused:
    return error_set(payload->error, ERROR_MEMORY, "no memory for %zu steps", capacity);
}
