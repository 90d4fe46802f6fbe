// Counting jobs, runs and steps into the series of their labels.
#include "ghatrace/tally/series.h"

#include "ghatrace/tally/spelling.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

const unsigned series_bounds[SERIES_BOUNDS] = {1,   2,   5,    10,   15,   30,   60,    120,
                                               300, 600, 1200, 1800, 3600, 7200, 14400, 21600};

static const struct series_form {
    const char *name;
    enum store_table table;
    size_t labels;
    size_t histograms;
} forms[SERIES_KINDS] = {
    [SERIES_JOB] = {"job", STORE_TABLE_JOB_SERIES, 5, 4},
    [SERIES_RUN] = {"run", STORE_TABLE_RUN_SERIES, 3, 1},
    [SERIES_STEP] = {"step", STORE_TABLE_STEP_SERIES, 4, 0},
};

enum store_table series_table(enum series_kind kind)
{
    return forms[kind].table;
}

const char *series_kind_name(enum series_kind kind)
{
    return forms[kind].name;
}

size_t series_label_count(enum series_kind kind)
{
    return forms[kind].labels;
}

size_t series_histogram_count(enum series_kind kind)
{
    return forms[kind].histograms;
}

// --- identity --------------------------------------------------------------------------------------------

struct series_id series_make_id(enum series_kind kind, const struct slice *labels)
{
    char text[SERIES_LABELS_MAX * (MEASURE_TEXT_MAX + 1)];
    char room[LABELS_TEXT_MAX];
    struct series_id id;
    size_t len = 0;
    for (size_t i = 0; i < series_label_count(kind); i++) {
        bool is_set = kind == SERIES_JOB && i == SERIES_JOB_LABELS;
        struct slice part = is_set ? labels_identity(labels[i], room) : labels[i];
        if (part.len > 0)
            memcpy(text + len, part.data, part.len);
        len += part.len;
        text[len++] = '\0';
    }
    tally_hash(slice_of_bytes(text, len), id.bytes);
    return id;
}

static void name_other(struct slice labels[SERIES_LABELS_MAX], size_t count)
{
    for (size_t i = 0; i < count; i++)
        labels[i] = TALLY_OTHER;
}

bool series_is_other(const struct series *series)
{
    for (size_t i = 0; i < series_label_count(series->kind); i++) {
        if (!slice_equals(series->labels[i], TALLY_OTHER))
            return false;
    }
    return true;
}

void series_id_increment(struct series_id *id)
{
    for (int i = (int)sizeof id->bytes - 1; i >= 0 && ++id->bytes[i] == 0; i--)
        ;
}

// --- rows --------------------------------------------------------------------------------------------------

struct series_row *series_allocate_row(struct tally *tally, enum series_kind kind)
{
    size_t histograms = series_histogram_count(kind);
    struct series_row *row = arena_allocate_array(&tally->arena, 1, sizeof *row);
    if (row == NULL)
        return NULL;
    row->kind = kind;
    row->histograms = arena_allocate_array(&tally->arena, histograms + 1, sizeof *row->histograms);
    return row->histograms != NULL ? row : NULL;
}

static bool keep_labels(struct arena *arena, struct series_row *row)
{
    for (size_t i = 0; i < series_label_count(row->kind); i++) {
        if (!arena_copy_slice(arena, row->labels[i], &row->labels[i]))
            return false;
    }
    return true;
}

static enum error_code refuse_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "count figures: out of memory");
}

// The row of an id, from this transaction or from the store. ERROR_NOT_FOUND.
static enum error_code find_row(struct tally *tally, enum series_kind kind,
                                const struct series_id *id, struct series_row **content,
                                struct error *error)
{
    enum store_table table = series_table(kind);
    struct slice key = slice_of_bytes(id->bytes, sizeof id->bytes);
    struct slice value;
    struct row *row = rows_find(tally, table, id->bytes, sizeof id->bytes);
    if (row != NULL) {
        *content = row->series;
        return ERROR_NONE;
    }
    enum error_code code = store_table_get(tally->transaction, table, key, &value, error);
    if (code != ERROR_NONE)
        return code;
    *content = series_allocate_row(tally, kind);
    if (*content == NULL)
        return refuse_memory(error);
    if (!series_decode(value, *content))
        return tally_set_aside(tally, table, key, error);
    row = keep_labels(&tally->arena, *content) ? rows_add(tally, table, id->bytes, sizeof id->bytes)
                                               : NULL;
    if (row == NULL)
        return refuse_memory(error);
    row->series = *content;
    return ERROR_NONE;
}

static enum error_code make_row(struct tally *tally, enum series_kind kind,
                                const struct series_id *id, const struct slice *labels,
                                struct series_row **content, struct error *error)
{
    *content = series_allocate_row(tally, kind);
    if (*content == NULL)
        return refuse_memory(error);
    memcpy((*content)->labels, labels, series_label_count(kind) * sizeof *labels);
    if (kind == SERIES_JOB) {
        struct slice *shown = &(*content)->labels[SERIES_JOB_LABELS];
        enum error_code code = spelling_choose(tally, *shown, shown, error);
        if (code != ERROR_NONE)
            return code;
    }
    struct row *row = keep_labels(&tally->arena, *content)
                          ? rows_add(tally, series_table(kind), id->bytes, sizeof id->bytes)
                          : NULL;
    if (row == NULL)
        return refuse_memory(error);
    row->series = *content;
    tally->new_rows[series_table(kind)]++;
    return ERROR_NONE;
}

static enum error_code load_other(struct tally *tally, enum series_kind kind,
                                  struct series_row **row, struct error *error)
{
    size_t count = series_label_count(kind);
    struct slice others[SERIES_LABELS_MAX];
    name_other(others, count);
    struct series_id id = series_make_id(kind, others);
    enum error_code code = find_row(tally, kind, &id, row, error);
    if (code == ERROR_NOT_FOUND)
        code = make_row(tally, kind, &id, others, row, error);
    return code;
}

// All but "other".
static uint64_t count_own(const struct tally *tally, enum series_kind kind)
{
    enum store_table table = series_table(kind);
    return store_table_count(tally->transaction, table) + tally->new_rows[table] - 1;
}

// There are as many as there may be: one leaves, or two where there were to be fewer since. `*has_room`: a new one may
// be made.
static enum error_code make_room(struct tally *tally, enum series_kind kind,
                                 struct series_row *other, bool *has_room, struct error *error)
{
    enum error_code code = ERROR_NONE;
    bool is_done = true, has_evicted = false;
    uint64_t own = count_own(tally, kind);
    for (int i = 0; i < 2 && own >= tally->max_series && is_done && code == ERROR_NONE; i++) {
        code = series_evict(tally, kind, other, &is_done, error);
        own = count_own(tally, kind);
        has_evicted |= is_done;
    }
    *has_room = own < tally->max_series && (has_evicted || !store_is_tight(tally->transaction));
    return code;
}

// The row of these labels, or that of "other" where there are too many.
static enum error_code load_row(struct tally *tally, enum series_kind kind,
                                const struct slice *labels, struct series_row **row,
                                struct error *error)
{
    size_t count = series_label_count(kind);
    struct series_id id = series_make_id(kind, labels);
    bool has_room = rows_may_grow(tally, series_table(kind));
    enum error_code code = find_row(tally, kind, &id, row, error);
    if (code == ERROR_NOT_FOUND && !has_room) {
        code = load_other(tally, kind, row, error);
        if (code == ERROR_NONE)
            code = make_room(tally, kind, *row, &has_room, error);
        if (code == ERROR_NONE && !has_room)
            tally_note_overflow(tally, series_kind_name(kind), labels, count);
        code = code == ERROR_NONE && has_room ? ERROR_NOT_FOUND : code;
    }
    if (code == ERROR_NOT_FOUND)
        code = make_row(tally, kind, &id, labels, row, error);
    if (code == ERROR_NONE)
        (*row)->used_at = tally->now;
    return code;
}

// --- counting --------------------------------------------------------------------------------------------

void series_add_sum(struct series_sum *sum, const struct series_sum *from)
{
    uint64_t nanoseconds = (uint64_t)sum->nanoseconds + from->nanoseconds;
    sum->seconds += from->seconds + nanoseconds / (uint64_t)NS_PER_SECOND;
    sum->nanoseconds = (uint32_t)(nanoseconds % (uint64_t)NS_PER_SECOND);
}

static void add_to_sum(struct series_sum *sum, duration_ns value)
{
    const struct series_sum one = {.seconds = (uint64_t)(value / NS_PER_SECOND),
                                   .nanoseconds = (uint32_t)(value % NS_PER_SECOND)};
    series_add_sum(sum, &one);
}

static size_t bucket_of(duration_ns value)
{
    size_t bucket = 0;
    while (bucket < SERIES_BOUNDS && value > series_bounds[bucket] * NS_PER_SECOND)
        bucket++;
    return bucket;
}

// Where two ended at once, something else decides: whatever the order in which they came, the same one stays.
bool series_is_newer(const struct series_exemplar *a, const struct series_exemplar *b)
{
    if (a->at != b->at)
        return a->at > b->at;
    int order = memcmp(a->trace.bytes, b->trace.bytes, TRACE_ID_SIZE);
    return order != 0 ? order > 0 : a->value > b->value;
}

static void observe(struct series_histogram *histogram, duration_ns value, timestamp_ns at,
                    const struct trace_id *trace)
{
    struct series_exemplar exemplar = {.at = at, .value = value, .trace = *trace};
    size_t bucket = bucket_of(value);
    histogram->count++;
    histogram->buckets[bucket]++;
    add_to_sum(&histogram->sum, value);
    if (series_is_newer(&exemplar, &histogram->exemplars[bucket]))
        histogram->exemplars[bucket] = exemplar;
}

// A label without a value is none at all to Prometheus: workflows that nobody named are told as such.
static struct slice workflow_label(struct slice workflow)
{
    return workflow.len > 0 ? workflow : SLICE("unknown");
}

static enum error_code count_step(struct tally *tally, const struct job_measure *job,
                                  const struct measure_step *step, struct error *error)
{
    const struct slice labels[] = {
        [SERIES_STEP_REPOSITORY] = job->repository,
        [SERIES_STEP_WORKFLOW] = workflow_label(job->workflow),
        [SERIES_STEP_NAME] = step->name,
        [SERIES_STEP_RESULT] = step->result,
    };
    struct series_row *row;
    enum error_code code = load_row(tally, SERIES_STEP, labels, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count++;
    add_to_sum(&row->sum, step->length);
    return ERROR_NONE;
}

enum error_code series_count_job(struct tally *tally, const struct job_measure *measure,
                                 struct error *error)
{
    const struct slice labels[] = {
        [SERIES_JOB_REPOSITORY] = measure->repository,
        [SERIES_JOB_WORKFLOW] = workflow_label(measure->workflow),
        [SERIES_JOB_GROUP] = measure->runner_group,
        [SERIES_JOB_LABELS] = measure->runner_labels,
        [SERIES_JOB_RESULT] = measure->result,
    };
    const struct measure_span *const spans[] = {
        [SERIES_JOB_WAITING] = &measure->waiting,
        [SERIES_JOB_QUEUE] = &measure->queue,
        [SERIES_JOB_STARTUP] = &measure->startup,
        [SERIES_JOB_EXECUTION] = &measure->execution,
    };
    struct series_row *row;
    enum error_code code = load_row(tally, SERIES_JOB, labels, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count++;
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        if (spans[i]->exists)
            observe(&row->histograms[i], spans[i]->length, measure->end, &measure->trace);
    }
    for (size_t i = 0; i < measure->step_count && code == ERROR_NONE; i++)
        code = count_step(tally, measure, &measure->steps[i], error);
    return code;
}

enum error_code series_count_run(struct tally *tally, const struct run_measure *measure,
                                 struct error *error)
{
    const struct slice labels[] = {
        [SERIES_RUN_REPOSITORY] = measure->repository,
        [SERIES_RUN_WORKFLOW] = workflow_label(measure->workflow),
        [SERIES_RUN_RESULT] = measure->result,
    };
    struct series_row *row;
    if (measure->is_incomplete)
        return ERROR_NONE;
    enum error_code code = load_row(tally, SERIES_RUN, labels, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count++;
    observe(&row->histograms[0], measure->end - measure->start, measure->end, &measure->trace);
    return ERROR_NONE;
}

// --- reading ---------------------------------------------------------------------------------------------

uint64_t series_count(struct store_transaction *transaction, enum series_kind kind)
{
    return store_table_count(transaction, series_table(kind));
}

enum error_code series_seek(struct store_transaction *transaction, enum series_kind kind,
                            struct series_id *id, struct series *series, struct error *error)
{
    struct slice key = SLICE_EMPTY;
    struct slice value = SLICE_EMPTY;
    uint8_t next[STORE_TABLE_KEY_MAX];
    size_t next_len = sizeof id->bytes;
    struct series_row row;
    memcpy(next, id->bytes, sizeof id->bytes);
    for (;;) {
        enum error_code code = store_table_seek(
            transaction, series_table(kind), slice_of_bytes(next, next_len), &key, &value, error);
        if (code != ERROR_NONE)
            return code;
        *series = (struct series){.kind = kind};
        row = (struct series_row){.kind = kind, .histograms = series->histograms};
        if (key.len == sizeof id->bytes && series_decode(value, &row))
            break;
        store_note_unreadable(transaction);
        next_len = key.len < sizeof next ? key.len : sizeof next - 1;
        memcpy(next, key.data, next_len);
        next[next_len++] = 0; // right after it
    }
    memcpy(id->bytes, key.data, sizeof id->bytes);
    series->id = *id;
    memcpy(series->labels, row.labels, sizeof series->labels);
    series->count = row.count;
    series->sum = row.sum;
    return ERROR_NONE;
}
