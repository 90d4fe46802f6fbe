// Ceilings by rules of the settings, and inferred ones.
#include "ceilings.h"

#include "ghatrace/base/memory.h"
#include "ghatrace/trace/labels.h"

#define LABELS_MAX 64       // of a pool that rules see
#define GROUPS_TRIED_MAX 64 // runner groups for which a ceiling is looked for

static enum error_code refuse_ceiling_memory(const struct pools_work *work)
{
    return error_set(work->reader->error, ERROR_MEMORY, "find ceilings: out of memory");
}

// --- the sum of several pools ---------------------------------------------------------------------

struct second {
    int32_t queued, running;
};

static void add_curve(struct second *seconds, size_t count, const struct pool_curve *curve,
                      struct pool_curve *sum)
{
    sum->queued += curve->queued;
    sum->running += curve->running;
    for (size_t i = 0; i < curve->count; i++) {
        const struct pool_change *change = &curve->changes[i];
        if (change->at < sum->from)
            continue;
        size_t at = (size_t)((change->at - sum->from) / NS_PER_SECOND);
        at = at < count ? at : count - 1;
        seconds[at].queued += change->queued;
        seconds[at].running += change->running;
    }
}

static bool put_sum(const struct second *seconds, size_t count, struct arena *arena,
                    struct pool_curve *sum)
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++)
        changed += seconds[i].queued != 0 || seconds[i].running != 0 ? 1 : 0;
    struct pool_change *changes = arena_allocate_array(arena, changed + 1, sizeof *changes);
    if (changes == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (seconds[i].queued != 0 || seconds[i].running != 0)
            changes[sum->count++] = (struct pool_change){
                sum->from + (timestamp_ns)i * NS_PER_SECOND, seconds[i].queued, seconds[i].running};
    sum->changes = changes;
    return true;
}

static enum error_code read_members(struct pools_work *work, size_t ceiling, enum past_span span)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < work->view->count && code == ERROR_NONE; i++)
        if (work->view->pools[work->order[i]].ceiling_number == ceiling)
            code = pools_work_read(work, work->order[i], span);
    return code;
}

// Of the pools of a ceiling, by its place. The sum is in the scratch memory.
static enum error_code sum_up_pools(struct pools_work *work, size_t ceiling, enum past_span span,
                                    struct pool_curve *sum)
{
    enum error_code code = read_members(work, ceiling, span);
    if (code != ERROR_NONE)
        return code;
    *sum = (struct pool_curve){.from = pools_work_from(work, span), .now = work->now};
    size_t count = (size_t)((work->now - sum->from) / NS_PER_SECOND) + 1;
    struct second *seconds = memory_allocate_array(count, sizeof *seconds);
    if (seconds == NULL)
        return refuse_ceiling_memory(work);
    for (size_t i = 0; i < work->view->count; i++) {
        if (work->view->pools[i].ceiling_number != ceiling)
            continue;
        const struct pool_curve curve = pools_work_curve(work, i);
        add_curve(seconds, count, &curve, sum);
    }
    bool is_put = put_sum(seconds, count, &work->scratch, sum);
    memory_free(seconds);
    return is_put ? ERROR_NONE : refuse_ceiling_memory(work);
}

// --- members --------------------------------------------------------------------------------------

static bool has_label(struct slice joined, const struct ceiling_rule *rule)
{
    char room[LABELS_MAX][LABELS_TEXT_MAX];
    struct slice labels[LABELS_MAX];
    size_t count = 0;
    while (count < LABELS_MAX && joined.len <= LABELS_TEXT_MAX &&
           labels_next(&joined, room[count], &labels[count]))
        count++;
    return runner_globs_select(&rule->globs, labels, count, SLICE_EMPTY);
}

const struct ceiling_rule *ceiling_rules_find(const struct ceiling_rules *rules,
                                              struct slice labels)
{
    for (size_t i = 0; i < rules->count; i++)
        if (has_label(labels, &rules->rules[i]))
            return &rules->rules[i];
    return NULL;
}

static size_t number_of(const struct ceiling_rules *rules, const struct pool *pool)
{
    struct slice labels = pool->is_rule ? pool->asked : pool->labels;
    const struct ceiling_rule *rule =
        pool_is_one_off(&pool->id) ? NULL : ceiling_rules_find(rules, labels);
    return rule != NULL ? (size_t)(rule - rules->rules) : POOLS_VIEW_NO_CEILING;
}

struct members {
    size_t count, waiting;
};

static struct members count_members(const struct pools_work *work, size_t ceiling)
{
    struct members members = {0, 0};
    for (size_t i = 0; i < work->view->count; i++) {
        if (work->view->pools[i].ceiling_number != ceiling)
            continue;
        members.count++;
        members.waiting += pools_work_waits(work, i) ? 1 : 0;
    }
    return members;
}

// Adds up what the pools have, and keeps their names.
static enum error_code fill_ceiling(struct pools_work *work, size_t number)
{
    struct pools_view_ceiling *ceiling = &work->view->ceilings[number];
    struct members members = count_members(work, number);
    struct slice *names =
        arena_allocate_array(work->reader->arena, members.count + 1, sizeof *names);
    if (names == NULL)
        return refuse_ceiling_memory(work);
    for (size_t i = 0; i < work->view->count; i++) {
        const struct pools_view_pool *row = &work->view->pools[i];
        if (row->ceiling_number != number)
            continue;
        names[ceiling->pool_count++] = row->name;
        ceiling->running += row->running;
        ceiling->queued += row->pool.counts[OPEN_JOB_QUEUED];
    }
    ceiling->pools = names;
    return ERROR_NONE;
}

// --- by rules -------------------------------------------------------------------------------------

static enum error_code find_reached(struct pools_work *work, size_t number, enum past_span span)
{
    struct pools_view_ceiling *ceiling = &work->view->ceilings[number];
    struct pool_curve sum;
    arena_clear(&work->scratch);
    enum error_code code = sum_up_pools(work, number, span, &sum);
    if (code == ERROR_NONE)
        ceiling->since = pool_curve_reached_since(&sum, (int64_t)ceiling->limit, POOL_REACHED_GAP);
    return code;
}

static enum error_code find_by_rule(struct pools_work *work, size_t number)
{
    const struct ceiling_rule *rule = &work->settings->ceilings.rules[number];
    struct pools_view_ceiling *ceiling = &work->view->ceilings[number];
    *ceiling = (struct pools_view_ceiling){
        .name = rule->name, .limit = rule->limit, .since = TIMESTAMP_UNKNOWN};
    enum error_code code = fill_ceiling(work, number);
    if (code != ERROR_NONE || count_members(work, number).waiting == 0)
        return code;
    code = find_reached(work, number, PAST_RECENT);
    if (code == ERROR_NONE && ceiling->since == pools_work_from(work, PAST_RECENT))
        code = find_reached(work, number, PAST_DAY);
    return code;
}

// --- inferred ones --------------------------------------------------------------------------------

// Labels of runners that an operator registers do not tell runners apart: one may have those of several pools.
static bool is_self_hosted(const struct pool *pool)
{
    char room[LABELS_TEXT_MAX];
    struct slice rest = pool->is_rule ? pool->asked : pool->labels, label;
    while (rest.len <= sizeof room && labels_next(&rest, room, &label))
        if (slice_equals_ignoring_case(label, SLICE("self-hosted")))
            return true;
    return false;
}

static bool may_share(const struct pools_view_pool *row)
{
    return row->ceiling_number == POOLS_VIEW_NO_CEILING && row->pool.groups.len > 0 &&
           !pool_is_one_off(&row->pool.id) && !is_self_hosted(&row->pool);
}

// Takes the pools of one runner group together, as if they had this ceiling.
static void take_group(struct pools_work *work, struct slice groups, size_t number)
{
    for (size_t i = 0; i < work->view->count; i++) {
        struct pools_view_pool *row = &work->view->pools[i];
        if (slice_equals(row->pool.groups, groups) && may_share(row))
            row->ceiling_number = number;
    }
}

static void give_up_group(struct pools_work *work, size_t number)
{
    for (size_t i = 0; i < work->view->count; i++)
        if (work->view->pools[i].ceiling_number == number)
            work->view->pools[i].ceiling_number = POOLS_VIEW_NO_CEILING;
}

static enum error_code infer(struct pools_work *work, size_t number, enum past_span span,
                             bool *is_found)
{
    struct pools_view_ceiling *ceiling = &work->view->ceilings[number];
    struct pool_curve sum;
    int64_t limit;
    size_t count = 0;
    arena_clear(&work->scratch);
    struct pool_curve *curves =
        arena_allocate_array(&work->scratch, work->view->count + 1, sizeof *curves);
    if (curves == NULL)
        return refuse_ceiling_memory(work);
    enum error_code code = sum_up_pools(work, number, span, &sum);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < work->view->count; i++)
        if (work->view->pools[i].ceiling_number == number)
            curves[count++] = pools_work_curve(work, i);
    *is_found = ceiling_infer(&sum, curves, count, &limit, &ceiling->since);
    ceiling->limit = (uint64_t)limit;
    return ERROR_NONE;
}

// The next place in the list of ceilings is that of this group, if it has one.
static enum error_code try_group(struct pools_work *work, struct slice groups)
{
    size_t number = work->view->ceiling_count;
    struct pools_view_ceiling *ceiling = &work->view->ceilings[number];
    bool is_found = false;
    enum error_code code = ERROR_NONE;
    *ceiling = (struct pools_view_ceiling){.is_inferred = true};
    take_group(work, groups, number);
    if (count_members(work, number).waiting > 0)
        code = infer(work, number, PAST_RECENT, &is_found);
    if (code == ERROR_NONE && is_found)
        code = infer(work, number, PAST_DAY, &is_found);
    if (code != ERROR_NONE || !is_found) {
        give_up_group(work, number);
        return code;
    }
    work->view->ceiling_count++;
    return arena_format(work->reader->arena, &ceiling->name, "(%.*s)", SLICE_ARGS(groups))
               ? fill_ceiling(work, number)
               : refuse_ceiling_memory(work);
}

// A group is tried at the first of its pools that wait.
static bool was_tried(const struct pools_work *work, size_t pool)
{
    const struct pools_view_pool *rows = work->view->pools;
    for (size_t i = 0; i < pool; i++)
        if (pools_work_waits(work, i) && slice_equals(rows[i].pool.groups, rows[pool].pool.groups))
            return true;
    return false;
}

static enum error_code find_inferred(struct pools_work *work)
{
    size_t most = work->settings->ceilings.count + POOLS_VIEW_INFERRED_MAX;
    size_t tried = 0;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < work->view->count && code == ERROR_NONE; i++) {
        const struct pools_view_pool *row = &work->view->pools[i];
        if (tried == GROUPS_TRIED_MAX || work->view->ceiling_count == most)
            break;
        if (!pools_work_waits(work, i) || !may_share(row) || was_tried(work, i))
            continue;
        tried++;
        code = try_group(work, row->pool.groups);
    }
    return code;
}

enum error_code ceilings_find(struct pools_work *work)
{
    const struct ceiling_rules *rules = &work->settings->ceilings;
    struct pools_view *view = work->view;
    enum error_code code = ERROR_NONE;
    view->ceilings = arena_allocate_array(
        work->reader->arena, rules->count + POOLS_VIEW_INFERRED_MAX + 1, sizeof *view->ceilings);
    if (view->ceilings == NULL)
        return refuse_ceiling_memory(work);
    for (size_t i = 0; i < view->count; i++)
        view->pools[i].ceiling_number = number_of(rules, &view->pools[i].pool);
    for (; view->ceiling_count < rules->count && code == ERROR_NONE; view->ceiling_count++)
        code = find_by_rule(work, view->ceiling_count);
    return code == ERROR_NONE ? find_inferred(work) : code;
}
