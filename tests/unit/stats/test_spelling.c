// Sets of labels in the figures: each is one pool and one series whatever its spelling, shown as it was spelled
// first; figures of version 1, which had a pool for each spelling, are converted.
#include "world.h"

#include "ghatrace/base/digest.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/rebuild.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/labels.h"
#include "support/stats_verify.h"

#define SERIES_MAX 40

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, SERIES_MAX);
    *state = world;
    return 0;
}

static void restart(struct world *world)
{
    world_restart(world,
                  &(struct stats_options){.max_series = SERIES_MAX, .max_pools = SERIES_MAX});
}

static void queue_job(struct world *world, uint8_t job, const char *labels, const char *group)
{
    static const struct pool_place nowhere;
    struct store_key key = world_key(job);
    struct pool_place place = {.open_state = {OPEN_JOB_QUEUED, scenario_at(job)},
                               .labels = slice_from_string(labels),
                               .group = slice_from_string(group)};
    place.pool = pool_make_id(place.labels);
    must(world, pool_move_job(world->stats, &key, &nowhere, &place, &world->error));
}

static struct job_sample a_job(const struct world *world, const char *repository,
                               const char *labels)
{
    return (struct job_sample){.repository = slice_from_string(repository),
                               .runner_labels = slice_from_string(labels),
                               .result = SLICE("success"),
                               .queue = {true, 3 * NS_PER_SECOND},
                               .execution = {true, NS_PER_SECOND},
                               .queue_end = world->now,
                               .end = world->now};
}

static void finish_job(struct world *world, const char *repository, const char *labels)
{
    struct job_sample measure = a_job(world, repository, labels);
    must(world, series_count_job(world->stats, &measure, &world->error));
    must(world,
         latency_count_job(world->stats, &measure, &(struct latency_wait){0}, &world->error));
}

// How often a set is shown, by pools and series: each time in this spelling.
static size_t count_shown(struct world *world, const char *spelling)
{
    struct series_id id = {{0}};
    struct series series;
    struct pool *pools;
    size_t count, found = 0;
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    for (size_t i = 0; i < count; i++) {
        if (!labels_are_same(pools[i].labels, slice_from_string(spelling)))
            continue;
        assert_text(pools[i].labels, spelling);
        found++;
    }
    while (series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error) == ERROR_NONE) {
        struct slice labels = series.labels[SERIES_RUNNER_LABELS];
        series_id_increment(&id);
        if (!labels_are_same(labels, slice_from_string(spelling)))
            continue;
        assert_text(labels, spelling);
        found++;
    }
    world_end(world);
    return found;
}

// --- one set -----------------------------------------------------------------------------------------------

static void the_first_spelling_is_shown_in_all_pools_and_series(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue_job(world, 1, "linux,x64", "");
    queue_job(world, 2, "Linux,X64", "");
    world_commit(world);
    restart(world);
    world_begin(world);
    queue_job(world, 3, "Linux,X64", "Default");
    finish_job(world, "octo/one", "LINUX,x64"); // in no group
    finish_job(world, "octo/two", "Linux,X64");
    finish_job(world, "octo/one", "X64,linux");
    world_commit(world);
    assert_int_equal(count_shown(world, "linux,x64"), 3);
    world_read(world);
    assert_int_equal(pool_count(world->transaction), 1);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 2);
    assert_int_equal(store_table_count(world->transaction, STORE_TABLE_LATENCY), 1);
    world_end(world);
}

static void an_uncommitted_spelling_is_not_the_first(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue_job(world, 1, "LINUX", "");
    world_end(world); // aborted
    world_begin(world);
    queue_job(world, 1, "linux", "");
    world_commit(world);
    assert_int_equal(count_shown(world, "linux"), 1);
}

static void one_label_with_commas_is_a_pool_of_its_own(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue_job(world, 1, "linux,x64", "");
    queue_job(world, 2, "Linux\\,x64", "");
    queue_job(world, 3, "linux\\,X64", "");
    world_commit(world);
    assert_int_equal(count_shown(world, "linux,x64"), 1);
    assert_int_equal(count_shown(world, "Linux\\,x64"), 1);
}

static void other_keeps_its_name_whatever_the_labels_of_runners(void **state)
{
    struct world *world = *state;
    struct series_id id = {{0}};
    struct series series;
    char labels[SERIES_MAX + 10][16];
    bool is_there = false;
    world_begin(world);
    queue_job(world, 1, "OTHER", "");
    finish_job(world, "octo/one", "Other");
    for (int i = 0; i < SERIES_MAX + 10; i++) {
        (void)snprintf(labels[i], sizeof labels[i], "l%d", i);
        finish_job(world, "octo/one", labels[i]);
    }
    world_commit(world);
    world_read(world);
    while (series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error) == ERROR_NONE) {
        is_there = is_there || series_is_other(&series);
        series_id_increment(&id);
    }
    world_end(world);
    assert_true(is_there);
    assert_true(count_shown(world, "other") >= 2);
}

// --- many --------------------------------------------------------------------------------------------------

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void in_any_order_of_events_each_set_is_shown_as_first_spelled(void **state)
{
    static const char *const spellings[][3] = {{"gpu,linux", "GPU,Linux", "Linux,gpu"},
                                               {"arm64", "ARM64", "Arm64"},
                                               {"a_,ab", "A_,aB", "AB,a_"}};
    static const char *const groups[] = {"", "Default", "default"};
    static const char *const repositories[] = {"octo/one", "octo/two"};
    struct world *world = *state;
    for (uint32_t round = 0; round < 60; round++) {
        const char *first[3] = {NULL};
        uint32_t seed = round;
        world_begin(world);
        for (int table = 0; table < STORE_TABLE_COUNT; table++)
            must(world,
                 store_table_clear(world->transaction, (enum store_table)table, &world->error));
        for (uint8_t job = 1; job <= 40; job++) {
            size_t set = next_random(&seed) % 3;
            const char *labels = spellings[set][next_random(&seed) % 3];
            first[set] = first[set] != NULL ? first[set] : labels;
            if (next_random(&seed) % 2 == 0)
                queue_job(world, job, labels, groups[next_random(&seed) % 3]);
            else
                finish_job(world, repositories[next_random(&seed) % 2], labels);
            if (next_random(&seed) % 8 == 0) {
                world_commit(world);
                restart(world);
                world_begin(world);
            }
        }
        world_commit(world);
        for (size_t set = 0; set < 3; set++) {
            size_t shown = first[set] != NULL ? count_shown(world, first[set]) : 0;
            assert_true(shown <= 3 && (shown > 0 || first[set] == NULL)); // a pool, 2 repositories
        }
        arena_clear(&world->arena);
    }
}

static void expire(struct world *world)
{
    world_begin(world);
    must(world, spelling_expire(world->stats, &world->error));
    world_commit(world);
}

static void spellings_of_unused_sets_are_dropped(void **state)
{
    struct world *world = *state;
    char labels[16];
    world_begin(world);
    finish_job(world, "octo/one", "Linux"); // so its pool has as many started jobs as the others
    queue_job(world, 1, "Linux", "");       // stays
    world_commit(world);
    for (int i = 0; i < 20 * SERIES_MAX; i++) {
        (void)snprintf(labels, sizeof labels, "Run-%d", i);
        world_begin(world);
        finish_job(world, "octo/one", labels);
        world_commit(world);
        world->now += NS_PER_SECOND;
        if (i % 20 == 0)
            expire(world);
        world_read(world);
        assert_true(store_table_count(world->transaction, STORE_TABLE_SPELLINGS) <=
                    4 * (SERIES_MAX + 1) + 20);
        world_end(world);
    }
    world_begin(world);
    queue_job(world, 2, "LINUX", "Default");
    finish_job(world, "octo/one", "RUN-799"); // the last of them is held by a series
    world_commit(world);
    assert_true(count_shown(world, "Linux") >= 1);
    assert_true(count_shown(world, "Run-799") >= 1);
}

// --- figures of version 1 ----------------------------------------------------------------------------------

static const char *const old_texts[] = {"X64,linux", "linux,x64", "Linux,X64", "linux,X64"};
#define OLD_TEXTS (sizeof old_texts / sizeof old_texts[0])

static struct slice hash_texts(const struct slice *texts, size_t count, bool is_closed,
                               uint8_t hash[SHA256_SIZE])
{
    char bytes[512];
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (texts[i].len > 0)
            memcpy(bytes + len, texts[i].data, texts[i].len);
        len += texts[i].len;
        if (is_closed || i + 1 < count)
            bytes[len++] = '\0';
    }
    digest_sha256((struct slice){bytes, len}, hash);
    return (struct slice){(const char *)hash, POOL_ID_SIZE};
}

// Moves the single entry of a table from its current key to its old one: `len` bytes at the end.
static void rename_only(struct world *world, enum store_table from, struct slice old_id,
                        struct slice *old_key, struct slice *value)
{
    struct store_entry entry;
    must(world, store_table_seek(world->transaction, from, SLICE_EMPTY, &entry, &world->error));
    assert_int_equal(store_table_count(world->transaction, from), 1);
    char *renamed = arena_allocate(&world->arena, entry.key.len);
    assert_non_null(renamed);
    memcpy(renamed, entry.key.data, entry.key.len);
    memcpy(renamed + entry.key.len - old_id.len, old_id.data, old_id.len);
    *old_key = (struct slice){renamed, entry.key.len};
    assert_true(arena_copy_slice(&world->arena, entry.value, value));
}

// The row of a pool of version 1 or 2, without jobs.
static struct slice old_pool(struct world *world, const char *labels, const char *group)
{
    size_t labels_len = strlen(labels), group_len = strlen(group);
    size_t len = 3 * 8 + 2 * 8 + 2 + labels_len + group_len;
    char *bytes = arena_allocate(&world->arena, len);
    assert_non_null(bytes);
    memset(bytes, 0, len);
    for (size_t i = 0; i < 8; i++)
        bytes[3 * 8 + i] = (char)((uint64_t)world->now >> (56 - 8 * i));
    bytes[3 * 8 + 2 * 8 + 1] = (char)labels_len;
    memcpy(bytes + 3 * 8 + 2 * 8 + 2, labels, labels_len);
    memcpy(bytes + 3 * 8 + 2 * 8 + 2 + labels_len, group, group_len);
    return (struct slice){bytes, len};
}

struct old_rows {
    struct slice pool_key, pool, slot_key, slot, series_key, series;
};

// What version 1 stored of one finished job.
static void make_old_rows(struct world *world, const char *labels, struct old_rows *rows)
{
    static const enum store_table tables[] = {STORE_TABLE_POOLS, STORE_TABLE_LATENCY,
                                              STORE_TABLE_JOB_SERIES, STORE_TABLE_SPELLINGS};
    uint8_t pool_hash[SHA256_SIZE], series_hash[SHA256_SIZE];
    const struct slice pool_names[] = {slice_from_string(labels), SLICE_EMPTY};
    const struct slice series_names[] = {SLICE("octo/one"), SLICE_EMPTY, SLICE_EMPTY,
                                         slice_from_string(labels), SLICE("success")};
    struct slice pool_id = hash_texts(pool_names, 2, false, pool_hash);
    world_begin(world);
    finish_job(world, "octo/one", labels);
    must(world, stats_flush(world->stats, &world->error));
    rename_only(world, STORE_TABLE_POOLS, pool_id, &rows->pool_key, &rows->pool);
    rows->pool = old_pool(world, labels, "");
    rename_only(world, STORE_TABLE_LATENCY, pool_id, &rows->slot_key, &rows->slot);
    rename_only(world, STORE_TABLE_JOB_SERIES, hash_texts(series_names, 5, true, series_hash),
                &rows->series_key, &rows->series);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        must(world, store_table_clear(world->transaction, tables[i], &world->error));
    world_commit(world);
}

static void put(struct world *world, enum store_table table, struct slice key, struct slice value)
{
    must(world, store_table_put(world->transaction, table, key, value, &world->error));
}

static void store_open_job(struct world *world, int64_t id, const struct slice *labels,
                           size_t label_count)
{
    struct job_state job = {.phase = JOB_OPEN,
                            .run_id = id,
                            .run_attempt = 1,
                            .job_id = 1000 + id,
                            .created_at = scenario_at(1),
                            .body = {.labels = labels, .label_count = label_count}};
    const struct job_key job_key = {.job_id = job.job_id};
    const struct store_key key = {.trace = trace_id_of_run(ID_SCHEME_ARC, id, 1),
                                  .span = span_id_of_job(ID_SCHEME_ARC, &job_key)};
    struct buffer bytes;
    buffer_init(&bytes, 65536);
    must(world, codec_encode_job(&job, &bytes));
    must(world, store_put_span(world->transaction, &key, buffer_slice(&bytes), &world->error));
    buffer_release(&bytes);
}

static void make_old_store(struct world *world, const struct old_rows *rows)
{
    static const struct slice two[] = {{"linux", 5}, {"X64", 3}}, one[] = {{"linux,X64", 9}};
    world_begin(world);
    for (size_t i = 0; i < OLD_TEXTS; i++) {
        put(world, STORE_TABLE_POOLS, rows[i].pool_key, rows[i].pool);
        put(world, STORE_TABLE_LATENCY, rows[i].slot_key, rows[i].slot);
        put(world, STORE_TABLE_JOB_SERIES, rows[i].series_key, rows[i].series);
        char ghost[POOL_ID_SIZE + 33] = {0};
        memcpy(ghost, rows[i].pool_key.data, POOL_ID_SIZE);
        ghost[POOL_ID_SIZE] = OPEN_JOB_QUEUED;
        put(world, STORE_TABLE_OPEN_JOBS, (struct slice){ghost, sizeof ghost}, SLICE_EMPTY);
    }
    store_open_job(world, 1, two, 2);
    store_open_job(world, 2, one, 1);
    put(world, STORE_TABLE_STATS, SLICE("version"), SLICE("\0\0\0\1"));
    world_commit(world);
}

static void upgrade(struct world *world, size_t piece)
{
    bool is_done = false;
    while (!is_done) {
        restart(world);
        world_begin(world);
        must(world, rebuild_continue(world->stats, piece, &is_done, &world->error));
        world_commit(world);
    }
}

static void check_upgraded(struct world *world)
{
    struct series_id id = {{0}};
    struct series series;
    struct histogram histograms[2] = {{0}};
    struct pool *pools;
    size_t count;
    stats_verify(world->store);
    // Of the stored spellings the first by bytes; two labels, and the one that contains a comma.
    assert_int_equal(count_shown(world, "Linux,X64"), 2);
    assert_int_equal(count_shown(world, "linux\\,X64"), 1);
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    assert_int_equal(count, 2);
    const struct latency_query query = {0, INT64_MAX, pools, count};
    must(world, latency_read(world->transaction, &query, histograms, &world->error));
    for (size_t i = 0; i < count; i++) {
        bool is_one_label = slice_find(pools[i].labels, SLICE("\\")) >= 0;
        assert_int_equal(pools[i].counts[OPEN_JOB_QUEUED], 1);
        assert_int_equal(histograms[i].count, is_one_label ? 0 : OLD_TEXTS);
    }
    must(world, series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error));
    assert_int_equal(series.count, OLD_TEXTS);
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].count, OLD_TEXTS);
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].sum.seconds, 3 * OLD_TEXTS);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 1);
    world_end(world);
}

static void spellings_of_version_1_are_added_up(void **state)
{
    struct world *world = *state;
    struct old_rows rows[OLD_TEXTS];
    for (size_t i = 0; i < OLD_TEXTS; i++)
        make_old_rows(world, old_texts[i], &rows[i]);
    make_old_store(world, rows);
    upgrade(world, 1);
    check_upgraded(world);
    upgrade(world, SIZE_MAX); // a second time there is nothing to do
    check_upgraded(world);
}

// Later counts are compared with the tables as they are now.
static void counts_after_the_upgrade_are_added(void **state)
{
    struct world *world = *state;
    struct old_rows rows[OLD_TEXTS];
    for (size_t i = 0; i < OLD_TEXTS; i++)
        make_old_rows(world, old_texts[i], &rows[i]);
    make_old_store(world, rows);
    upgrade(world, SIZE_MAX);
    world_begin(world);
    finish_job(world, "octo/one", "LINUX,x64");
    finish_job(world, "octo/two", "LINUX,x64");
    world_commit(world);
    assert_int_equal(count_shown(world, "Linux,X64"), 3);
    world_read(world);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 2);
    assert_int_equal(store_table_count(world->transaction, STORE_TABLE_LATENCY), 1);
    world_end(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_spelling_is_shown_in_all_pools_and_series),
        TEST(an_uncommitted_spelling_is_not_the_first),
        TEST(one_label_with_commas_is_a_pool_of_its_own),
        TEST(other_keeps_its_name_whatever_the_labels_of_runners),
        TEST(in_any_order_of_events_each_set_is_shown_as_first_spelled),
        TEST(spellings_of_unused_sets_are_dropped),
        TEST(spellings_of_version_1_are_added_up),
        TEST(counts_after_the_upgrade_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
