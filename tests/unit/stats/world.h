// A store and a writer of figures, with a clock that the test sets. A failure in these functions fails the test.
#ifndef GHATRACE_TESTS_UNIT_STATS_WORLD_H
#define GHATRACE_TESTS_UNIT_STATS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/table.h"
#include "support/scenario.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)256 << 20)

struct world {
    struct temp_folder folder;
    struct store *store;
    struct stats *stats;
    struct store_transaction *transaction; // NULL outside of one
    struct arena arena;
    timestamp_ns now;
    struct error error;
};

static inline void must(struct world *world, enum error_code code)
{
    if (code != ERROR_NONE)
        fail_msg("%s: %s", error_code_text(code), world->error.message);
}

static inline void world_open_with(struct world *world, const struct stats_options *options)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    *world = (struct world){.now = SCENARIO_START};
    arena_init(&world->arena, 65536);
    assert_true(temp_folder_create(&world->folder));
    must(world,
         store_open(world->folder.path, STORE_DAEMON, MAP_BYTES, &world->store, &world->error));
    must(world, stats_create(options, &world->stats, &world->error));
}

// The same limit for series and pools; 0: the usual ones.
static inline void world_open(struct world *world, size_t max_sets)
{
    world_open_with(world, &(struct stats_options){.max_series = max_sets, .max_pools = max_sets});
}

// Set-up and tear-down of a test, with the world in `*state`. Tests with other options have a set-up of their own.
static inline int world_set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, 0);
    *state = world;
    return 0;
}

static inline void world_restart(struct world *world, const struct stats_options *options)
{
    stats_destroy(world->stats);
    must(world, stats_create(options, &world->stats, &world->error));
}

static inline void world_close(struct world *world)
{
    if (world->transaction != NULL)
        store_abort(world->transaction);
    stats_destroy(world->stats);
    store_close(world->store);
    arena_release(&world->arena);
    assert_true(temp_folder_remove(&world->folder));
}

static inline int world_tear_down(void **state)
{
    world_close(*state);
    test_free(*state);
    return 0;
}

static inline void world_begin(struct world *world)
{
    must(world, store_begin(world->store, true, &world->transaction, &world->error));
    stats_begin(world->stats, world->transaction, world->now);
}

static inline void world_commit(struct world *world)
{
    must(world, stats_flush(world->stats, &world->error));
    must(world, store_commit(world->transaction, &world->error));
    world->transaction = NULL;
}

// A transaction that only reads.
static inline void world_read(struct world *world)
{
    must(world, store_begin(world->store, false, &world->transaction, &world->error));
}

static inline void world_end(struct world *world)
{
    store_abort(world->transaction);
    world->transaction = NULL;
}

static inline uint64_t world_count_rows(struct world *world, enum store_table table)
{
    world_read(world);
    uint64_t count = store_table_count(world->transaction, table);
    world_end(world);
    return count;
}

// The pool of these labels, as it is stored; NULL: there is none. The arena owns it.
static inline const struct pool *world_find_pool(struct world *world, const char *labels)
{
    struct pool_id id = pool_make_id(slice_from_string(labels));
    struct pool *pools;
    size_t count;
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    world_end(world);
    for (size_t i = 0; i < count; i++)
        if (memcmp(pools[i].id.bytes, id.bytes, POOL_ID_SIZE) == 0)
            return &pools[i];
    return NULL;
}

// The latencies of a pool between two times.
static inline struct histogram world_read_latencies(struct world *world, const char *labels,
                                                    timestamp_ns from, timestamp_ns until)
{
    const struct pool *pool = world_find_pool(world, labels);
    struct histogram found = {.count = 0};
    if (pool == NULL)
        return found;
    const struct latency_query query = {from, until, pool, 1};
    world_read(world);
    must(world, latency_read(world->transaction, &query, &found, &world->error));
    world_end(world);
    return found;
}

static inline void assert_text(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    if (actual.len > 0)
        assert_memory_equal(actual.data, expected, actual.len);
}

// A number as a key of the store.
static inline struct store_key world_key(uint8_t number)
{
    struct store_key key = {.trace = {{number}}, .span = {{number}}};
    return key;
}

#endif
