// The IDs of our spans, by trace: other programs' spans must not have them.
#include <stdlib.h>

#include "forward.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/spans.h"

#define KEY_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE)
_Static_assert(sizeof(struct store_key) == KEY_SIZE, "a struct store_key is the bytes of a key");
#define LAYOUT 1 // of a value; an entry of another layout counts as damaged
#define HEADER_SIZE (1 + 8 + TRACE_ID_SIZE)
#define LIST_BYTES_MAX ((size_t)64 << 20)
#define LIST_BYTES_KEPT ((size_t)1 << 20)
// Of one trace in memory: beyond it, its run takes no spans of other programs. GitHub has some hundred jobs in a run.
#define IDS_MAX ((size_t)1 << 18)
#define SLOTS_MIN 64
#define SLOTS_MAX ((size_t)1 << 21) // of all sets: 16 MiB; a set has up to 2^20
// Sweeps over all entries within `linger`, as for notes (store/store.h).
#define SWEEPS_IN_LINGER 16
// While room is short, entries are deleted before their time, but not over and over.
#define SHORT_SWEEP_EVERY (10 * NS_PER_MINUTE)

// --- sets of IDs -----------------------------------------------------------------------------------------------

static uint64_t number_of_id(const struct span_id *id)
{
    return get_be64(id->bytes);
}

static size_t place_of(const struct id_set *set, uint64_t number)
{
    return (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (set->capacity - 1);
}

bool id_set_is_too_large(const struct id_set *set)
{
    return set->slots == NULL;
}

bool id_set_has(const struct id_set *set, const struct span_id *id)
{
    uint64_t number = number_of_id(id);
    if (set->slots == NULL)
        return true;
    for (size_t i = place_of(set, number); set->slots[i] != 0; i = (i + 1) & (set->capacity - 1))
        if (set->slots[i] == number)
            return true;
    return false;
}

static void set_free(struct id_set *set)
{
    memory_free(set->slots);
    *set = (struct id_set){.slots = NULL};
}

static void set_insert(struct id_set *set, uint64_t number)
{
    size_t i = place_of(set, number);
    while (set->slots[i] != 0 && set->slots[i] != number)
        i = (i + 1) & (set->capacity - 1);
    set->count += set->slots[i] == 0 ? 1 : 0;
    set->slots[i] = number;
}

// At most half of the slots are used.
static bool set_make_room(struct id_set *set, size_t more)
{
    struct id_set grown = *set;
    size_t wanted = 2 * (set->count + more);
    if (set->capacity >= wanted)
        return true;
    while (grown.capacity < wanted)
        grown.capacity = grown.capacity > 0 ? 2 * grown.capacity : SLOTS_MIN;
    grown.slots = memory_allocate_array(grown.capacity, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    grown.count = 0;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i] != 0)
            set_insert(&grown, set->slots[i]);
    memory_free(set->slots);
    *set = grown;
    return true;
}

// IDs as they are stored. A set that becomes too large loses them all. False if out of memory.
static bool set_add(struct id_set *set, const char *ids, size_t count)
{
    bool is_new = set->capacity == 0;
    if (!is_new && set->slots == NULL)
        return true;
    if (set->count + count > IDS_MAX) {
        memory_free(set->slots);
        set->slots = NULL;
        set->capacity = 1;
        return true;
    }
    if (!set_make_room(set, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = get_be64(ids + i * SPAN_ID_SIZE);
        if (number != 0)
            set_insert(set, number);
    }
    return true;
}

// --- the sets in memory ------------------------------------------------------------------------------------

struct forwarder *forwarder_create(uint64_t forwarded_max)
{
    struct forwarder *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->forwarded_max = forwarded_max;
    made->must_search = true;
    buffer_init(&made->list, LIST_BYTES_MAX);
    return made;
}

void forwarder_forget(struct forwarder *forwarder)
{
    forwarder->must_search = true;
    forwarder->entries_read = 0;
    for (size_t i = 0; i < SETS_MAX; i++)
        set_free(&forwarder->sets[i]);
    memset(forwarder->noted, 0, sizeof forwarder->noted);
}

void forwarder_destroy(struct forwarder *forwarder)
{
    if (forwarder == NULL)
        return;
    forwarder_forget(forwarder);
    buffer_release(&forwarder->list);
    memory_free(forwarder);
}

// --- what was passed on -------------------------------------------------------------------------------------

static uint64_t hash_span(const struct trace_id *trace, const void *id)
{
    uint64_t hash = get_be64(trace->bytes) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32 ^ get_be64(trace->bytes + 8)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 32 ^ get_be64(id)) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 32;
}

void forwarder_note_passed(struct forwarder *forwarder, const struct trace_id *trace,
                           const struct span_id *id)
{
    uint64_t hash = hash_span(trace, id->bytes);
    forwarder->passed[hash & (PASSED_MAX - 1)] = hash;
}

static bool was_passed(const struct forwarder *forwarder, const struct trace_id *trace,
                       const void *id)
{
    uint64_t hash = hash_span(trace, id);
    return forwarder->passed[hash & (PASSED_MAX - 1)] == hash;
}

static struct id_set *find_set(struct forwarder *forwarder, const struct trace_id *trace)
{
    for (size_t i = 0; i < SETS_MAX; i++) {
        struct id_set *set = &forwarder->sets[i];
        if (set->used_at != 0 && trace_id_equals(&set->trace, trace))
            return set;
    }
    return NULL;
}

bool forwarder_may_find(struct forwarder *forwarder, const struct trace_id *trace)
{
    return forwarder->entries_read < ENTRIES_READ_MAX || find_set(forwarder, trace) != NULL;
}

void forwarder_end_batch(struct forwarder *forwarder)
{
    forwarder->entries_read = 0;
}

static struct id_set *find_oldest_set(struct forwarder *forwarder, bool in_use)
{
    struct id_set *oldest = NULL;
    for (size_t i = 0; i < SETS_MAX; i++) {
        struct id_set *set = &forwarder->sets[i];
        if ((!in_use || set->used_at != 0) && (oldest == NULL || set->used_at < oldest->used_at))
            oldest = set;
    }
    return oldest;
}

static size_t count_slots(const struct forwarder *forwarder)
{
    size_t slots = 0;
    for (size_t i = 0; i < SETS_MAX; i++)
        slots += forwarder->sets[i].capacity;
    return slots;
}

// For a set of this capacity: a free one, or the one unused for longest; more are freed if all were too large.
static struct id_set *take_set(struct forwarder *forwarder, size_t capacity)
{
    struct id_set *used = find_oldest_set(forwarder, true);
    for (; used != NULL && count_slots(forwarder) + capacity > SLOTS_MAX;
         used = find_oldest_set(forwarder, true))
        set_free(used);
    struct id_set *taken = find_oldest_set(forwarder, false);
    set_free(taken);
    return taken;
}

static struct trace_id *noted_place(struct forwarder *forwarder, const struct trace_id *trace)
{
    return &forwarder->noted[get_be64(trace->bytes) & (NOTED_MAX - 1)];
}

static bool has_sound_layout(struct slice value)
{
    return value.len >= HEADER_SIZE && value.data[0] == LAYOUT &&
           (value.len - HEADER_SIZE) % SPAN_ID_SIZE == 0;
}

// Reads the entries of a trace. `*is_known`: there is one.
static enum error_code load_set(struct engine_work *work, struct id_set *set, bool *is_known)
{
    struct store_walk *walk;
    struct store_entry entry;
    const struct slice prefix = slice_of_bytes(set->trace.bytes, TRACE_ID_SIZE);
    *is_known = false;
    enum error_code code =
        store_table_walk(work->transaction, STORE_TABLE_OUR_SPANS, prefix, &walk, &work->error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, &work->error)) == ERROR_NONE &&
           slice_starts_with(entry.key, prefix)) {
        work->forwarder->entries_read++;
        if (!has_sound_layout(entry.value))
            continue;
        *is_known = true;
        if (!set_add(set, entry.value.data + HEADER_SIZE,
                     (entry.value.len - HEADER_SIZE) / SPAN_ID_SIZE)) {
            code = error_set(&work->error, ERROR_MEMORY, "IDs of a trace: out of memory");
            break;
        }
        if (set->capacity > 0 && set->slots == NULL)
            break;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code work_find_our_spans(struct engine_work *work, const struct trace_id *trace,
                                    const struct id_set **set)
{
    struct forwarder *forwarder = work->forwarder;
    struct id_set *found = find_set(forwarder, trace);
    *set = NULL;
    if (found == NULL) {
        struct id_set read = {.trace = *trace};
        bool is_known;
        enum error_code code = load_set(work, &read, &is_known);
        if (code != ERROR_NONE ||
            !is_known) { // unknown traces are not kept in memory: any number can be made up
            memory_free(read.slots);
            return code;
        }
        found = take_set(forwarder, read.capacity);
        *found = read;
    }
    found->used_at = ++forwarder->uses;
    *set = found;
    return ERROR_NONE;
}

// --- writing ---------------------------------------------------------------------------------------------------

// What IDs belong to.
struct owner {
    struct trace_id exported;
    struct store_key stored;
};

static struct slice key_of_owner(const struct owner *owner, uint8_t bytes[KEY_SIZE])
{
    memcpy(bytes, owner->exported.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, owner->stored.span.bytes, SPAN_ID_SIZE);
    return slice_of_bytes(bytes, KEY_SIZE);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SPAN_ID_SIZE);
}

// Sorts the IDs in the list and drops repeated ones. Their number.
static size_t sort_list(struct buffer *list)
{
    char *ids = list->data + HEADER_SIZE;
    size_t count = (list->len - HEADER_SIZE) / SPAN_ID_SIZE;
    size_t kept = 0;
    qsort(ids, count, SPAN_ID_SIZE, compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare_ids(ids + (kept - 1) * SPAN_ID_SIZE, ids + i * SPAN_ID_SIZE) == 0)
            continue;
        memmove(ids + kept * SPAN_ID_SIZE, ids + i * SPAN_ID_SIZE, SPAN_ID_SIZE);
        kept++;
    }
    list->len = HEADER_SIZE + kept * SPAN_ID_SIZE;
    return kept;
}

static enum error_code put_list(struct engine_work *work, const struct owner *owner)
{
    struct buffer *list = &work->forwarder->list;
    uint8_t bytes[KEY_SIZE];
    struct id_set *set = find_set(work->forwarder, &owner->exported);
    enum error_code code =
        store_table_put(work->transaction, STORE_TABLE_OUR_SPANS, key_of_owner(owner, bytes),
                        buffer_slice(list), &work->error);
    work->written_bytes += list->len;
    if (code == ERROR_NONE && set != NULL &&
        !set_add(set, list->data + HEADER_SIZE, (list->len - HEADER_SIZE) / SPAN_ID_SIZE))
        set_free(set);
    if (list->capacity > LIST_BYTES_KEPT)
        buffer_release(list);
    return code;
}

// IDs of spans, on their own or in a list of spans.
struct listed_ids {
    const void *first;
    size_t stride; // from one to the next, in bytes
    size_t count;
};

static const char *id_at(const struct listed_ids *ids, size_t index)
{
    return (const char *)ids->first + index * ids->stride;
}

// Adds IDs to the entry of a run or a job. An unchanged entry is only written if it `is_end`: its time counts from then
// on.
static enum error_code add_ids(struct engine_work *work, const struct owner *owner,
                               const struct listed_ids *ids, bool is_end)
{
    struct buffer *list = &work->forwarder->list;
    uint8_t key[KEY_SIZE];
    uint8_t header[HEADER_SIZE];
    struct slice old;
    size_t before = 0;
    enum error_code code = store_table_get(work->transaction, STORE_TABLE_OUR_SPANS,
                                           key_of_owner(owner, key), &old, &work->error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    header[0] = LAYOUT;
    put_be64(header + 1, (uint64_t)work->now);
    memcpy(header + 1 + 8, owner->stored.trace.bytes, TRACE_ID_SIZE);
    buffer_clear(list);
    bool has_old = code == ERROR_NONE && has_sound_layout(old);
    code = buffer_reserve(list, HEADER_SIZE + ids->count * SPAN_ID_SIZE + (has_old ? old.len : 0));
    if (code == ERROR_NONE)
        code = buffer_append(list, header, sizeof header);
    if (code == ERROR_NONE && has_old)
        code = buffer_append_slice(list, slice_skip(old, HEADER_SIZE));
    if (has_old)
        before = (old.len - HEADER_SIZE) / SPAN_ID_SIZE;
    for (size_t i = 0; i < ids->count && code == ERROR_NONE; i++) {
        const char *id = id_at(ids, i);
        code = buffer_append(list, id, SPAN_ID_SIZE);
        if (was_passed(work->forwarder, &owner->exported, id) &&
            (before == 0 ||
             bsearch(id, list->data + HEADER_SIZE, before, SPAN_ID_SIZE, compare_ids) == NULL))
            work->counted.forwarded_foreseen++;
    }
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "IDs of a job: %s", error_code_text(code));
    size_t after = sort_list(list);
    return has_old && after == before && !is_end ? ERROR_NONE : put_list(work, owner);
}

static void expect_held(struct forwarder *forwarder, const struct trace_id *trace)
{
    if (forwarder->expected_count < EXPECTED_MAX)
        forwarder->expected[forwarder->expected_count++] = *trace;
    else
        forwarder->must_search = true;
}

// The run's entry is made once, with its root.
enum error_code work_note_our_run(struct engine_work *work, const struct work_run *run)
{
    const struct run_state *state = &run->state;
    const enum id_scheme scheme = work->policy.scheme;
    uint8_t key[KEY_SIZE];
    struct slice found;
    if (state->phase == RUN_NEW)
        return ERROR_NONE;
    const struct owner owner = {trace_id_of_run(scheme, state->run_id, state->run_attempt),
                                {run->own_trace, run->key.span}};
    struct trace_id *noted = noted_place(work->forwarder, &owner.exported);
    if (trace_id_equals(noted, &owner.exported))
        return ERROR_NONE;
    enum error_code code = store_table_get(work->transaction, STORE_TABLE_OUR_SPANS,
                                           key_of_owner(&owner, key), &found, &work->error);
    if (code == ERROR_NOT_FOUND) {
        const struct span_id root = span_id_of_run(scheme, state->run_id, state->run_attempt);
        expect_held(work->forwarder, &owner.exported);
        code = add_ids(work, &owner, &(struct listed_ids){&root, sizeof root, 1}, false);
    }
    if (code == ERROR_NONE)
        *noted = owner.exported;
    return code;
}

enum error_code work_note_our_job(struct engine_work *work, const struct work_job *job)
{
    const struct job_state *state = &job->state;
    struct span_id *ids;
    size_t count;
    if (state->phase != JOB_OPEN && state->phase != JOB_SETTLING)
        return ERROR_NONE;
    const struct owner owner = {
        trace_id_of_run(work->policy.scheme, state->run_id, state->run_attempt),
        {job->own_trace, job->key.span}};
    enum error_code code = build_job_ids(&work->policy, state, &work->arena, &ids, &count);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "IDs of a job: %s", error_code_text(code));
    const struct listed_ids listed = {ids, sizeof *ids, count};
    return count > 0 ? add_ids(work, &owner, &listed, false) : ERROR_NONE;
}

enum error_code work_note_sent(struct engine_work *work, const struct store_key *key,
                               const struct span_batch *batch)
{
    if (batch->span_count == 0)
        return ERROR_NONE;
    const struct owner owner = {batch->spans[0].trace_id, *key};
    const struct listed_ids sent = {&batch->spans[0].span_id, sizeof batch->spans[0],
                                    batch->span_count};
    return add_ids(work, &owner, &sent, true);
}

// --- deleting -------------------------------------------------------------------------------------------------

// An entry is needed while the state of its run or job is stored, and for `keep` after its last change. A clock that
// is set may put that into the future, by as much.
static enum error_code is_owner_needed(struct engine_work *work, const struct store_entry *entry,
                                       duration_ns keep, bool *needed)
{
    struct store_key stored;
    struct slice state;
    *needed = false;
    if (entry->key.len != KEY_SIZE || !has_sound_layout(entry->value))
        return ERROR_NONE;
    timestamp_ns changed = (timestamp_ns)get_be64(entry->value.data + 1);
    *needed = changed > work->now - keep && changed - work->now < keep;
    if (*needed)
        return ERROR_NONE;
    memcpy(stored.trace.bytes, entry->value.data + 1 + 8, TRACE_ID_SIZE);
    memcpy(stored.span.bytes, entry->key.data + TRACE_ID_SIZE, SPAN_ID_SIZE);
    enum error_code code = store_get_span(work->transaction, &stored, &state, &work->error);
    *needed = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code delete_entry(struct engine_work *work, struct slice found)
{
    struct trace_id trace = {{0}};
    memcpy(trace.bytes, found.data, found.len < TRACE_ID_SIZE ? found.len : TRACE_ID_SIZE);
    struct id_set *set = find_set(work->forwarder, &trace);
    struct trace_id *noted = noted_place(work->forwarder, &trace);
    if (set != NULL)
        set_free(set);
    if (trace_id_equals(noted, &trace))
        memset(noted, 0, sizeof *noted);
    return store_table_delete(work->transaction, STORE_TABLE_OUR_SPANS, found, &work->error);
}

static bool must_sweep_our_spans(struct engine_work *work, bool is_short)
{
    struct forwarder *forwarder = work->forwarder;
    duration_ns since = work->now - forwarder->swept_at;
    duration_ns every = is_short ? SHORT_SWEEP_EVERY : work->policy.linger / SWEEPS_IN_LINGER;
    if (store_table_count(work->transaction, STORE_TABLE_OUR_SPANS) == 0)
        forwarder->is_sweeping = false;
    else if (!forwarder->is_sweeping && (forwarder->swept_at == 0 || since < 0 || since >= every)) {
        forwarder->is_sweeping = true;
        forwarder->swept_at = work->now;
        forwarder->swept = (struct store_key){.trace = {{0}}};
    }
    return forwarder->is_sweeping;
}

enum error_code work_sweep_our_spans(struct engine_work *work, size_t max, bool *has_more)
{
    struct forwarder *forwarder = work->forwarder;
    bool is_short = store_is_short(work->transaction);
    duration_ns keep = is_short ? 0 : work->policy.linger;
    *has_more = false;
    if (!must_sweep_our_spans(work, is_short))
        return ERROR_NONE;
    for (size_t i = 0; i < max; i++) {
        struct store_entry entry;
        bool needed;
        enum error_code code =
            store_table_seek(work->transaction, STORE_TABLE_OUR_SPANS,
                             slice_of_bytes(&forwarder->swept, KEY_SIZE), &entry, &work->error);
        if (code == ERROR_NOT_FOUND) {
            forwarder->is_sweeping = false;
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        size_t len = entry.key.len < KEY_SIZE ? entry.key.len : KEY_SIZE;
        forwarder->swept = (struct store_key){.trace = {{0}}};
        memcpy(&forwarder->swept, entry.key.data, len);
        code = is_owner_needed(work, &entry, keep, &needed);
        if (code == ERROR_NONE && !needed)
            code = delete_entry(work, entry.key);
        if (code != ERROR_NONE)
            return code;
        store_key_increment(&forwarder->swept);
    }
    *has_more = true;
    return ERROR_NONE;
}
