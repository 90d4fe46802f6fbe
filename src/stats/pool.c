// Pools of runners: their open jobs and counts.
#include "ghatrace/stats/pool.h"

#include "ghatrace/base/utf8.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/store/versions.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/spans.h"
#include "private.h"

#define UNUSED_KEPT NS_PER_DAY
#define USED_KEPT (POOL_DAYS * NS_PER_DAY)
#define LATENCY_GONE (LATENCY_KEPT + LATENCY_SLOT) // by then all rows of the slot are deleted

// --- identity --------------------------------------------------------------------------------------------

struct pool_id pool_make_id(struct slice labels)
{
    char room[LABELS_TEXT_MAX];
    struct pool_id id;
    stats_hash(labels_identity(labels.len > 0 ? labels : POOL_UNLABELED, room), id.bytes);
    return id;
}

// The first half of SHA-256 of its name: it is needed with every event.
const struct pool_id pool_one_off_id = {{0x23, 0xcd, 0xc3, 0x96, 0x3e, 0x9f, 0x52, 0x95, 0x76, 0x37,
                                         0xd9, 0x58, 0x0f, 0xa6, 0x75, 0xab}};

// Those of the last labels, by a hash of the text as it is spelled.
struct pool_id pool_id_of(struct stats *stats, struct slice labels)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); // FNV-1a
    for (size_t i = 0; i < labels.len && i < KNOWN_POOL_TEXT; i++)
        hash = (hash ^ (uint8_t)labels.data[i]) * UINT64_C(0x100000001B3);
    struct known_pool *known = &stats->known_pools[(hash ^ hash >> 32) % KNOWN_POOLS];
    if (labels.len == 0 || labels.len > KNOWN_POOL_TEXT)
        return pool_make_id(labels);
    if (known->len == labels.len && memcmp(known->labels, labels.data, labels.len) == 0)
        return known->id;
    known->id = pool_make_id(labels);
    known->len = labels.len;
    memcpy(known->labels, labels.data, labels.len);
    return known->id;
}

bool pool_id_equals(const struct pool_id *a, const struct pool_id *b)
{
    return memcmp(a->bytes, b->bytes, POOL_ID_SIZE) == 0;
}

struct slice pool_id_key(const struct pool_id *id)
{
    return slice_of_bytes(id->bytes, POOL_ID_SIZE);
}

bool pool_is_one_off(const struct pool_id *id)
{
    return pool_id_equals(id, &pool_one_off_id);
}

static struct slice pool_name_of(struct slice labels, bool is_rule, char room[LABELS_TEXT_MAX])
{
    if (labels.len == 0)
        return POOL_UNLABELED;
    return is_rule ? labels : labels_identity(labels, room);
}

struct slice pool_name(const struct pool *pool, char room[LABELS_TEXT_MAX])
{
    return pool_name_of(pool->labels, pool->is_rule, room);
}

struct slice pool_name_of_choice(const struct pool_choice *choice, char room[LABELS_TEXT_MAX])
{
    return pool_name_of(choice->shown, choice->is_rule, room);
}

void pool_id_increment(struct pool_id *id)
{
    for (int i = POOL_ID_SIZE - 1; i >= 0 && ++id->bytes[i] == 0; i--)
        ;
}

// --- rows --------------------------------------------------------------------------------------------------
// Layout, since figures 3:
//
//   3 (1 byte) ‖ 1 if a rule names it, else 0 ‖ be64 jobs waiting ‖ be64 queued ‖ be64 running ‖ be64 changed at
//   ‖ be64 last slot in `latency` ‖ be32 day ‖ be32 started jobs of it and the days before, POOL_DAYS of them
//   ‖ labels ‖ groups ‖ labels asked of a rule's pool, each text after its be16 length
//
// of figures 1 and 2, when each runner group had a pool of its own:
//
//   be64 waiting, so its first byte is 0 ‖ be64 queued ‖ be64 running ‖ be64 changed at ‖ be64 last slot
//   ‖ be16 length of the labels ‖ labels ‖ group
//
// and the id was made from the labels' identity ‖ 00 ‖ group; in figures 1, from the labels as spelled ‖ 00 ‖ group.

#define POOL_LAYOUT 3 // its first byte: the figures that began it

static void write_text(struct byte_writer *writer, struct slice text)
{
    bytes_write_be(writer, text.len, 2);
    bytes_write(writer, text.data, text.len);
}

enum error_code pool_encode(const struct pool *pool, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    bytes_write_be(&writer, POOL_LAYOUT, 1);
    bytes_write_be(&writer, pool->is_rule ? 1 : 0, 1);
    for (int state = OPEN_JOB_WAITING; state < OPEN_JOB_STATES; state++)
        bytes_write_be(&writer, pool->counts[state], 8);
    bytes_write_be(&writer, (uint64_t)pool->changed_at, 8);
    bytes_write_be(&writer, (uint64_t)pool->latency_slot, 8);
    bytes_write_be(&writer, pool->day, 4);
    for (int i = 0; i < POOL_DAYS; i++)
        bytes_write_be(&writer, pool->started[i], 4);
    write_text(&writer, pool->labels);
    write_text(&writer, pool->groups);
    write_text(&writer, pool->asked);
    return writer.code;
}

static struct pool_id hash_old_names(struct slice labels, struct slice group)
{
    char text[2 * SAMPLE_TEXT_MAX + 1];
    struct slice parts[] = {utf8_cut(labels, SAMPLE_TEXT_MAX), SLICE("\0"),
                            utf8_cut(group, SAMPLE_TEXT_MAX)};
    size_t len = 0;
    struct pool_id id;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(text + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    stats_hash(slice_of_bytes(text, len), id.bytes);
    return id;
}

// Before the first start of a daemon of this version, a tool may find pools of older ones.
static bool is_named_by(struct pool *pool, struct slice key)
{
    char room[LABELS_TEXT_MAX];
    if (key.len != POOL_ID_SIZE)
        return false;
    pool->id = pool->is_of_old_layout
                   ? hash_old_names(labels_identity(pool->labels, room), pool->groups)
                   : pool_make_id(pool->labels);
    if (memcmp(pool->id.bytes, key.data, POOL_ID_SIZE) == 0)
        return true;
    pool->id = hash_old_names(pool->labels, pool->groups);
    return pool->is_of_old_layout && memcmp(pool->id.bytes, key.data, POOL_ID_SIZE) == 0;
}

static void read_counts(struct byte_reader *reader, struct pool *pool)
{
    for (int state = OPEN_JOB_WAITING; state < OPEN_JOB_STATES; state++)
        pool->counts[state] = bytes_read_be(reader, 8);
    pool->changed_at = (timestamp_ns)bytes_read_be(reader, 8);
    pool->latency_slot = (timestamp_ns)bytes_read_be(reader, 8);
}

static struct slice read_pool_text(struct byte_reader *reader)
{
    return bytes_read(reader, bytes_read_be(reader, 2));
}

bool pool_decode(struct slice bytes, struct pool *pool)
{
    struct byte_reader reader = bytes_reader(bytes);
    *pool = (struct pool){.labels = SLICE_EMPTY};
    if (bytes.len > 0 && bytes.data[0] == 0) {
        pool->is_of_old_layout = true;
        read_counts(&reader, pool);
        pool->labels = read_pool_text(&reader);
        pool->groups = bytes_read(&reader, (size_t)(reader.end - reader.next));
        return bytes_is_done(&reader);
    }
    bool is_ours = bytes_read_be(&reader, 1) == POOL_LAYOUT;
    pool->is_rule = bytes_read_be(&reader, 1) == 1;
    read_counts(&reader, pool);
    pool->day = bytes_read_be(&reader, 4);
    for (int i = 0; i < POOL_DAYS; i++)
        pool->started[i] = (uint32_t)bytes_read_be(&reader, 4);
    pool->labels = read_pool_text(&reader);
    pool->groups = read_pool_text(&reader);
    pool->asked = read_pool_text(&reader);
    return is_ours && bytes_is_done(&reader);
}

static bool has_short_texts(const struct pool *pool)
{
    return pool->labels.len <= LABELS_TEXT_MAX && pool->groups.len <= LABELS_TEXT_MAX &&
           pool->asked.len <= LABELS_TEXT_MAX;
}

static enum error_code decode_pool(struct slice key, struct slice bytes, struct pool *pool,
                                   struct error *error)
{
    if (!pool_decode(bytes, pool) || !has_short_texts(pool) || !is_named_by(pool, key))
        return error_set(error, ERROR_CORRUPT, "a stored pool is damaged");
    return ERROR_NONE;
}

static bool keep_texts(struct arena *arena, struct pool *pool)
{
    return arena_copy_slice(arena, pool->labels, &pool->labels) &&
           arena_copy_slice(arena, pool->groups, &pool->groups) &&
           arena_copy_slice(arena, pool->asked, &pool->asked);
}

static enum error_code refuse_pool_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "load pool: out of memory");
}

static enum error_code add_pool_row(struct stats *stats, const struct pool *pool, struct row **row,
                                    struct error *error)
{
    struct pool *content = arena_allocate_array(&stats->arena, 1, sizeof *content);
    if (content == NULL)
        return refuse_pool_memory(error);
    *content = *pool;
    if (!keep_texts(&stats->arena, content))
        return refuse_pool_memory(error);
    *row = rows_add(stats, STORE_TABLE_POOLS, pool->id.bytes, POOL_ID_SIZE);
    if (*row == NULL)
        return refuse_pool_memory(error);
    (*row)->pool = content;
    return ERROR_NONE;
}

enum error_code pool_find_row(struct stats *stats, const struct pool_id *id, struct row **row,
                              struct error *error)
{
    struct slice key = pool_id_key(id);
    struct slice found;
    struct pool pool;
    *row = rows_find(stats, STORE_TABLE_POOLS, id->bytes, POOL_ID_SIZE);
    if (*row != NULL)
        return ERROR_NONE;
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_POOLS, key, &found, error);
    if (code != ERROR_NONE)
        return code;
    if (decode_pool(key, found, &pool, error) != ERROR_NONE)
        return stats_set_aside(stats, STORE_TABLE_POOLS, key, error);
    return add_pool_row(stats, &pool, row, error);
}

// --- started jobs ------------------------------------------------------------------------------------------

static uint64_t day_of(timestamp_ns at)
{
    return at > 0 ? (uint64_t)(at / NS_PER_DAY) : 0;
}

static void add_started(struct pool *pool, uint64_t day, uint32_t count)
{
    if (day > pool->day) {
        uint64_t past = day - pool->day;
        for (uint64_t i = POOL_DAYS; i-- > 0;)
            pool->started[i] = i >= past ? pool->started[i - past] : 0;
        pool->day = day;
    }
    uint64_t at = pool->day - day;
    if (at < POOL_DAYS)
        pool->started[at] +=
            count < UINT32_MAX - pool->started[at] ? count : UINT32_MAX - pool->started[at];
}

void pool_count_start(struct pool *pool, timestamp_ns end, timestamp_ns now)
{
    add_started(pool, day_of(end < now ? end : now), 1);
}

uint64_t pool_started(const struct pool *pool, timestamp_ns now)
{
    uint64_t sum = 0, today = day_of(now);
    for (uint64_t i = 0; i < POOL_DAYS; i++)
        sum += pool->day + POOL_DAYS > today + i ? pool->started[i] : 0;
    return sum;
}

uint64_t pool_open_jobs(const struct pool *pool)
{
    uint64_t sum = 0;
    for (int state = 0; state < OPEN_JOB_STATES; state++)
        sum += pool->counts[state];
    return sum;
}

// --- groups and labels that were seen ----------------------------------------------------------------------

static bool has_item(struct slice text, struct slice item)
{
    char room[LABELS_TEXT_MAX];
    struct slice rest = text, label;
    while (rest.len <= sizeof room && labels_next(&rest, room, &label))
        if (slice_equals_ignoring_case(label, item))
            return true;
    return false;
}

// Adds those that are not in it to a text of the form of labels_join(), all at once: what does not fit is tried again
// with each job. False if out of memory.
static bool add_items(struct stats *stats, struct slice *text, const struct slice *items,
                      size_t item_count)
{
    struct slice *list;
    size_t count, first = 0;
    while (first < item_count && (items[first].len == 0 || has_item(*text, items[first])))
        first++;
    if (first == item_count)
        return true;
    if (!labels_split(*text, &stats->arena, &list, &count))
        return false;
    struct slice *all =
        arena_allocate_array(&stats->arena, count + item_count - first, sizeof *all);
    if (all == NULL)
        return false;
    if (count > 0)
        memcpy(all, list, count * sizeof *list);
    for (size_t i = first; i < item_count; i++)
        if (!has_item(*text, items[i]))
            all[count++] = items[i];
    return labels_join(all, count, &stats->arena, text) &&
           arena_copy_slice(&stats->arena, *text, text);
}

static bool add_asked(struct stats *stats, struct pool *pool, struct slice asked)
{
    struct slice *labels;
    size_t count;
    if (asked.len > LABELS_TEXT_MAX || slice_equals(asked, pool->asked))
        return true;
    return labels_split(asked, &stats->arena, &labels, &count) &&
           add_items(stats, &pool->asked, labels, count);
}

static enum error_code note_detail(struct stats *stats, struct pool *pool,
                                   const struct pool_demand *demand, struct error *error)
{
    if (!add_items(stats, &pool->groups, &demand->group, 1) ||
        (pool->is_rule && !add_asked(stats, pool, demand->asked)))
        return refuse_pool_memory(error);
    return ERROR_NONE;
}

// --- creating ----------------------------------------------------------------------------------------------

// A pool that was set aside may have open jobs, which are counted in its successor.
static enum error_code recount_open_jobs(struct stats *stats, struct pool *pool,
                                         struct error *error)
{
    struct store_walk *walk;
    struct slice prefix = pool_id_key(&pool->id);
    struct store_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_JOBS, prefix, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        if (!slice_starts_with(entry.key, prefix))
            break;
        uint8_t state =
            entry.key.len == POOL_JOB_KEY_SIZE ? (uint8_t)entry.key.data[POOL_ID_SIZE] : 0;
        if (state != OPEN_JOB_NONE && state < OPEN_JOB_STATES)
            pool->counts[state]++;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// `pool` has its id and labels.
static enum error_code make_pool(struct stats *stats, struct pool *pool, struct row **row,
                                 struct error *error)
{
    enum error_code code = ERROR_NONE;
    pool->changed_at = stats->now;
    if (!pool->is_rule && !pool_is_one_off(&pool->id))
        code = spelling_choose(stats, pool->labels, &pool->labels, error);
    if (code == ERROR_NONE)
        code = recount_open_jobs(stats, pool, error);
    if (code == ERROR_NONE)
        code = add_pool_row(stats, pool, row, error);
    if (code == ERROR_NONE)
        stats->new_rows[STORE_TABLE_POOLS]++;
    return code;
}

enum error_code pool_load_one_off(struct stats *stats, struct row **row, struct error *error)
{
    struct pool pool = {.id = pool_one_off_id, .labels = POOL_ONE_OFF};
    enum error_code code = pool_find_row(stats, &pool.id, row, error);
    return code == ERROR_NOT_FOUND ? make_pool(stats, &pool, row, error) : code;
}

static enum error_code make_or_fold(struct stats *stats, const struct pool_id *id,
                                    const struct pool_demand *demand, struct row **row,
                                    struct error *error)
{
    struct pool pool = {.id = *id, .labels = demand->labels, .is_rule = demand->is_rule};
    bool has_room;
    enum error_code code = fold_make_room(stats, id, demand, &has_room, error);
    if (code != ERROR_NONE)
        return code;
    if (!has_room) {
        stats_note_folded(stats, demand->labels);
        return pool_load_one_off(stats, row, error);
    }
    pool.started[0] = fold_estimate(stats, id);
    pool.day = pool.started[0] > 0 ? day_of(stats->now) : 0;
    return make_pool(stats, &pool, row, error);
}

enum error_code pool_load_row(struct stats *stats, const struct pool_demand *demand,
                              struct row **row, struct error *error)
{
    struct pool_id id = pool_id_of(stats, demand->labels);
    enum error_code code = pool_find_row(stats, &id, row, error);
    if (code == ERROR_NOT_FOUND)
        code = make_or_fold(stats, &id, demand, row, error);
    return code == ERROR_NONE ? note_detail(stats, (*row)->pool, demand, error) : code;
}

struct pool_demand pool_demand_of(const struct stats *stats, struct slice labels,
                                  char room[LABELS_TEXT_MAX])
{
    struct pool_choice choice;
    pool_rules_choose(&stats->rules, labels, room, &choice);
    return (struct pool_demand){
        .labels = choice.shown, .asked = choice.asked, .is_rule = choice.is_rule};
}

enum error_code pool_find_counted(struct stats *stats, struct slice labels, struct row **row,
                                  struct error *error)
{
    char room[LABELS_TEXT_MAX];
    struct pool_id id = pool_id_of(stats, pool_demand_of(stats, labels, room).labels);
    enum error_code code = pool_find_row(stats, &id, row, error);
    return code == ERROR_NOT_FOUND ? pool_find_row(stats, &pool_one_off_id, row, error) : code;
}

// Adds to `into` what another pool of the same name has, but for open jobs.
static bool merge_pool(struct stats *stats, struct pool *into, const struct pool *from)
{
    char room[LABELS_TEXT_MAX];
    struct slice rest = from->groups, group;
    into->changed_at = timestamp_later(into->changed_at, from->changed_at);
    into->latency_slot = timestamp_later(into->latency_slot, from->latency_slot);
    for (uint64_t i = 0; i < POOL_DAYS && i <= from->day; i++)
        add_started(into, from->day - i, from->started[i]);
    while (labels_next(&rest, room, &group)) {
        if (!arena_copy_slice(&stats->arena, group, &group) ||
            !add_items(stats, &into->groups, &group, 1))
            return false;
    }
    return !into->is_rule || add_asked(stats, into, from->asked);
}

enum error_code pool_put_merged(struct stats *stats, struct pool *pool, struct error *error)
{
    struct slice key = pool_id_key(&pool->id);
    struct slice found;
    struct pool there;
    buffer_clear(&stats->bytes);
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_POOLS, key, &found, error);
    if (code == ERROR_NONE && decode_pool(key, found, &there, error) == ERROR_NONE &&
        !merge_pool(stats, pool, &there))
        return refuse_pool_memory(error);
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        code = pool_encode(pool, &stats->bytes);
    return code == ERROR_NONE ? store_table_put(stats->transaction, STORE_TABLE_POOLS, key,
                                                buffer_slice(&stats->bytes), error)
                              : code;
}

// --- open jobs -----------------------------------------------------------------------------------------------

static void put_job_key(uint8_t bytes[POOL_JOB_KEY_SIZE], const struct pool_id *pool,
                        enum open_job_kind state, timestamp_ns since, const struct store_key *job)
{
    memcpy(bytes, pool->bytes, POOL_ID_SIZE);
    bytes[POOL_ID_SIZE] = (uint8_t)state;
    bytes_put_be64(bytes + POOL_JOB_PREFIX_SIZE, (uint64_t)since);
    memcpy(bytes + POOL_JOB_PREFIX_SIZE + 8, job->trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + POOL_JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE, job->span.bytes, SPAN_ID_SIZE);
}

enum error_code pool_place_job(const struct pool_rules *rules, const struct job_state *job,
                               struct arena *arena, struct pool_place *place)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    struct slice labels;
    *place = (struct pool_place){.labels = SLICE_EMPTY, .use = runner_use_of(job)};
    open_job_state_of(job, &place->open_state);
    if (place->open_state.state == OPEN_JOB_NONE)
        return ERROR_NONE;
    if (!labels_join(job->body.labels, job->body.label_count, arena, &labels))
        return ERROR_MEMORY;
    pool_rules_choose(rules, labels, room, &choice);
    place->labels = choice.shown;
    place->asked = choice.asked;
    if (choice.asked.data == room && !arena_copy_slice(arena, choice.asked, &place->asked))
        return ERROR_MEMORY;
    if (choice.shown.data == room)
        place->labels = place->asked;
    place->is_rule = choice.is_rule;
    place->group = utf8_cut(job->runner_group_name, SAMPLE_TEXT_MAX);
    place->pool = pool_make_id(place->labels);
    return ERROR_NONE;
}

// Removes the job from this pool. ERROR_NOT_FOUND if it is not there.
static enum error_code leave_pool(struct stats *stats, const struct pool_id *pool,
                                  const struct open_job_state *open_state,
                                  const struct store_key *job, struct error *error)
{
    uint8_t key[POOL_JOB_KEY_SIZE];
    struct row *row;
    put_job_key(key, pool, open_state->state, open_state->since, job);
    enum error_code code = store_table_delete(stats->transaction, STORE_TABLE_OPEN_JOBS,
                                              slice_of_bytes(key, sizeof key), error);
    if (code != ERROR_NONE)
        return code;
    code = pool_find_row(stats, pool, &row, error);
    if (code == ERROR_NOT_FOUND) // it was damaged; the next job that is added counts the others
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    uint64_t *count = &row->pool->counts[open_state->state];
    *count -= *count > 0 ? 1 : 0;
    row->pool->changed_at = stats->now;
    return ERROR_NONE;
}

// When the job was added, there may have been too many pools for one of its own.
static enum error_code leave_any_pool(struct stats *stats, const struct pool_place *place,
                                      const struct store_key *job, struct error *error)
{
    enum error_code code = leave_pool(stats, &place->pool, &place->open_state, job, error);
    if (code == ERROR_NOT_FOUND)
        code = leave_pool(stats, &pool_one_off_id, &place->open_state, job, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code enter_pool(struct stats *stats, const struct pool_place *place,
                                  const struct store_key *job, struct error *error)
{
    const struct pool_demand demand = {.labels = place->labels,
                                       .asked = place->asked,
                                       .group = place->group,
                                       .is_rule = place->is_rule,
                                       .is_start = place->open_state.state == OPEN_JOB_RUNNING};
    uint8_t key[POOL_JOB_KEY_SIZE];
    struct row *row;
    enum error_code code = pool_load_row(stats, &demand, &row, error);
    if (code != ERROR_NONE)
        return code;
    bool is_folded = !pool_id_equals(&row->pool->id, &place->pool);
    if (is_folded)
        stats->folding.is_unlikely = false;
    row->pool->counts[place->open_state.state]++;
    row->pool->changed_at = stats->now;
    put_job_key(key, &row->pool->id, place->open_state.state, place->open_state.since, job);
    return store_table_put(stats->transaction, STORE_TABLE_OPEN_JOBS,
                           slice_of_bytes(key, sizeof key),
                           is_folded ? pool_id_key(&place->pool) : SLICE_EMPTY, error);
}

static bool is_same_place(const struct pool_place *a, const struct pool_place *b)
{
    return a->open_state.state == b->open_state.state &&
           a->open_state.since == b->open_state.since && pool_id_equals(&a->pool, &b->pool);
}

enum error_code pool_move_job(struct stats *stats, const struct store_key *job,
                              const struct pool_place *before, const struct pool_place *after,
                              struct error *error)
{
    if (!stats_covers(stats, job))
        return ERROR_NONE;
    enum error_code code = runners_move_job(stats, job, before, after, error);
    if (code != ERROR_NONE || is_same_place(before, after))
        return code;
    if (before->open_state.state != OPEN_JOB_NONE)
        code = leave_any_pool(stats, before, job, error);
    if (code == ERROR_NONE && after->open_state.state != OPEN_JOB_NONE)
        code = enter_pool(stats, after, job, error);
    return code;
}

enum error_code pool_is_folded(struct stats *stats, const struct store_key *job,
                               const struct pool_place *place, bool *is_folded, struct error *error)
{
    uint8_t key[POOL_JOB_KEY_SIZE];
    struct slice found;
    *is_folded = false;
    if (place->open_state.state == OPEN_JOB_NONE || stats->folding.is_unlikely)
        return ERROR_NONE;
    put_job_key(key, &pool_one_off_id, place->open_state.state, place->open_state.since, job);
    enum error_code code = store_table_get(stats->transaction, STORE_TABLE_OPEN_JOBS,
                                           slice_of_bytes(key, sizeof key), &found, error);
    *is_folded = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static bool is_of_job(struct slice key, const struct store_key *job)
{
    return key.len == POOL_JOB_KEY_SIZE &&
           memcmp(key.data + POOL_JOB_PREFIX_SIZE + 8, job->trace.bytes, TRACE_ID_SIZE) == 0 &&
           memcmp(key.data + POOL_JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE, job->span.bytes,
                  SPAN_ID_SIZE) == 0;
}

struct open_job_state pool_job_state(const uint8_t key[POOL_JOB_KEY_SIZE])
{
    uint8_t state = key[POOL_ID_SIZE];
    return (struct open_job_state){
        .state = state < OPEN_JOB_STATES ? (enum open_job_kind)state : OPEN_JOB_NONE,
        .since = (timestamp_ns)bytes_get_be64(key + POOL_JOB_PREFIX_SIZE)};
}

// Searches all open jobs, because a damaged state does not contain the job's pool.
static enum error_code find_job(struct stats *stats, const struct store_key *job,
                                uint8_t found[POOL_JOB_KEY_SIZE], struct error *error)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_JOBS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    do
        code = store_table_next(walk, &entry, error);
    while (code == ERROR_NONE && !is_of_job(entry.key, job));
    if (code == ERROR_NONE)
        memcpy(found, entry.key.data, POOL_JOB_KEY_SIZE);
    store_table_end_walk(walk);
    return code;
}

enum error_code pool_remove_unreadable_job(struct stats *stats, const struct store_key *job,
                                           bool *was_open, struct error *error)
{
    uint8_t key[POOL_JOB_KEY_SIZE];
    struct pool_id pool;
    enum error_code code = find_job(stats, job, key, error);
    *was_open = code == ERROR_NONE;
    if (code == ERROR_NONE)
        code = runners_remove_unreadable_job(stats, job, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    const struct open_job_state open_state = pool_job_state(key);
    const struct open_job_state until = {.state = open_state.state, .since = stats->now};
    memcpy(pool.bytes, key, POOL_ID_SIZE);
    code = leave_pool(stats, &pool, &open_state, job, error);
    if (code == ERROR_NONE) // its times are lost with its state
        code = pool_minutes_shift(stats, &pool, &until, -1, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- expiry --------------------------------------------------------------------------------------------------

static bool is_unused(const struct pool *pool, timestamp_ns now)
{
    duration_ns kept = pool_started(pool, now) > 0 ? USED_KEPT : UNUSED_KEPT;
    return pool_open_jobs(pool) == 0 && pool->changed_at < now - kept &&
           pool->latency_slot < now - LATENCY_GONE;
}

// Times in the future date from before the clock was set back.
static enum error_code clamp_pool_times(struct stats *stats, struct pool *pool, struct error *error)
{
    uint64_t today = day_of(stats->now);
    if (pool->changed_at <= stats->now && pool->latency_slot <= stats->now && pool->day <= today)
        return ERROR_NONE;
    pool->changed_at = pool->changed_at > stats->now ? stats->now : pool->changed_at;
    pool->latency_slot = pool->latency_slot > stats->now ? stats->now : pool->latency_slot;
    pool->day = pool->day > today ? today : pool->day;
    buffer_clear(&stats->bytes);
    enum error_code code = pool_encode(pool, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode pool: %s", error_code_text(code));
    return store_table_put(stats->transaction, STORE_TABLE_POOLS, pool_id_key(&pool->id),
                           buffer_slice(&stats->bytes), error);
}

static enum error_code drop_pool(struct stats *stats, const struct pool_id *id, struct error *error)
{
    enum error_code code = latency_drop_waits(stats, id, error);
    if (code == ERROR_NONE)
        code = pool_hours_drop(stats, id, error);
    return code == ERROR_NONE
               ? store_table_delete(stats->transaction, STORE_TABLE_POOLS, pool_id_key(id), error)
               : code;
}

enum error_code pool_expire(struct stats *stats, struct pool_id *from, size_t max, bool *is_end,
                            struct error *error)
{
    *is_end = false;
    for (size_t i = 0; i < max; i++) {
        struct pool pool;
        struct store_entry entry;
        enum error_code code = store_table_seek(stats->transaction, STORE_TABLE_POOLS,
                                                pool_id_key(from), &entry, error);
        if (code == ERROR_NONE && decode_pool(entry.key, entry.value, &pool, error) != ERROR_NONE) {
            code = stats_set_aside(stats, STORE_TABLE_POOLS, entry.key, error);
            if (code != ERROR_NOT_FOUND)
                return code;
            continue;
        }
        if (code == ERROR_NONE)
            *from = pool.id;
        if (code == ERROR_NOT_FOUND) {
            *from = (struct pool_id){{0}};
            *is_end = true;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE && is_unused(&pool, stats->now))
            code = drop_pool(stats, &pool.id, error);
        else if (code == ERROR_NONE)
            code = clamp_pool_times(stats, &pool, error);
        if (code != ERROR_NONE)
            return code;
        pool_id_increment(from);
    }
    return ERROR_NONE;
}

// --- reading ---------------------------------------------------------------------------------------------

uint64_t pool_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_POOLS);
}

enum error_code pool_seek(struct store_transaction *transaction, struct pool_id *id,
                          struct pool *pool, struct error *error)
{
    struct store_entry entry;
    enum error_code code =
        store_table_seek(transaction, STORE_TABLE_POOLS, pool_id_key(id), &entry, error);
    if (code == ERROR_NONE)
        code = decode_pool(entry.key, entry.value, pool, error);
    if (code == ERROR_NONE)
        *id = pool->id;
    return code;
}

enum error_code pool_list(struct store_transaction *transaction, struct arena *arena,
                          struct pool **pools, size_t *count, struct error *error)
{
    size_t capacity = (size_t)pool_count(transaction);
    struct pool *list = arena_allocate_array(arena, capacity + 1, sizeof *list);
    struct store_walk *walk;
    struct store_entry entry;
    *count = 0;
    *pools = list;
    if (list == NULL)
        return error_set(error, ERROR_MEMORY, "list pools: out of memory");
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_POOLS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (code == ERROR_NONE && *count < capacity) {
        code = store_table_next(walk, &entry, error);
        if (code == ERROR_NONE &&
            decode_pool(entry.key, entry.value, &list[*count], error) != ERROR_NONE) {
            store_note_unreadable(transaction);
            continue;
        }
        if (code == ERROR_NONE && !keep_texts(arena, &list[*count]))
            code = error_set(error, ERROR_MEMORY, "list pools: out of memory");
        *count += code == ERROR_NONE ? 1 : 0;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_seek_job(struct store_transaction *transaction, const struct pool_id *pool,
                              enum open_job_kind state, struct pool_job *job, struct error *error)
{
    uint8_t bytes[POOL_JOB_KEY_SIZE];
    struct store_entry entry;
    put_job_key(bytes, pool, state, job->since, &job->key);
    enum error_code code = store_table_seek(transaction, STORE_TABLE_OPEN_JOBS,
                                            slice_of_bytes(bytes, sizeof bytes), &entry, error);
    if (code != ERROR_NONE)
        return code;
    while (entry.key.len != POOL_JOB_KEY_SIZE) {
        uint8_t next[STORE_TABLE_KEY_MAX];
        size_t len = entry.key.len < sizeof next ? entry.key.len : sizeof next - 1;
        memcpy(next, entry.key.data, len);
        next[len] = 0; // right after it
        store_note_unreadable(transaction);
        code = store_table_seek(transaction, STORE_TABLE_OPEN_JOBS, slice_of_bytes(next, len + 1),
                                &entry, error);
        if (code != ERROR_NONE)
            return code;
    }
    if (memcmp(entry.key.data, bytes, POOL_JOB_PREFIX_SIZE) != 0)
        return ERROR_NOT_FOUND;
    job->since = (timestamp_ns)bytes_get_be64(entry.key.data + POOL_JOB_PREFIX_SIZE);
    memcpy(job->key.trace.bytes, entry.key.data + POOL_JOB_PREFIX_SIZE + 8, TRACE_ID_SIZE);
    memcpy(job->key.span.bytes, entry.key.data + POOL_JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE,
           SPAN_ID_SIZE);
    return ERROR_NONE;
}

void pool_job_increment(struct pool_job *job)
{
    static const struct store_key lowest;
    store_key_increment(&job->key);
    if (memcmp(&job->key, &lowest, sizeof lowest) == 0)
        job->since++;
}

// --- waits that have not ended ---------------------------------------------------------------------------------

const unsigned pool_wait_percents[POOL_WAIT_PERCENTS] = {50, 90, 99};

// How many of `count` jobs wait longer than the one of nearest rank.
static uint64_t count_longer(uint64_t count, unsigned percent)
{
    uint64_t rest = 100 - percent;
    return count / 100 * rest + count % 100 * rest / 100;
}

static void note_wait(struct pool_open_waits *waits, uint64_t count, uint64_t place,
                      timestamp_ns since)
{
    if (place == 0)
        waits->oldest = since;
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++)
        if (place == count_longer(count, pool_wait_percents[i]))
            waits->since[i] = since;
}

enum error_code pool_read_open_waits(struct store_transaction *transaction, const struct pool *pool,
                                     uint64_t *budget, struct pool_open_waits *waits,
                                     struct error *error)
{
    uint8_t prefix[POOL_JOB_PREFIX_SIZE];
    struct store_walk *walk;
    uint64_t count = pool->counts[OPEN_JOB_QUEUED];
    uint64_t last = count_longer(count, pool_wait_percents[0]); // that of the median
    *waits = (struct pool_open_waits){.oldest = TIMESTAMP_UNKNOWN};
    if (count == 0)
        return ERROR_NONE;
    memcpy(prefix, pool->id.bytes, POOL_ID_SIZE);
    prefix[POOL_ID_SIZE] = OPEN_JOB_QUEUED;
    struct slice from = slice_of_bytes(prefix, sizeof prefix);
    enum error_code code = store_table_walk(transaction, STORE_TABLE_OPEN_JOBS, from, &walk, error);
    if (code != ERROR_NONE)
        return code;
    for (uint64_t place = 0; place <= last && (*budget > 0 || place == 0);) {
        struct store_entry entry;
        code = store_table_next(walk, &entry, error);
        if (code != ERROR_NONE || !slice_starts_with(entry.key, from))
            break;
        *budget -= *budget > 0 ? 1 : 0;
        if (entry.key.len == POOL_JOB_KEY_SIZE)
            note_wait(waits, count, place++,
                      (timestamp_ns)bytes_get_be64(entry.key.data + POOL_JOB_PREFIX_SIZE));
        else
            store_note_unreadable(transaction);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
