// The open jobs of one pool, page by page, and who has them.
/* wrap: mdb_get mdb_cursor_get */
#include "../stats/world.h"

#include <inttypes.h>

#include "../../../src/store/lmdb.h"
#include "ghatrace/base/bytes.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/view/pool_jobs.h"

#define MANY 100000

static size_t calls;

int __real_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    calls++;
    return __real_mdb_get(txn, dbi, key, data);
}

int __real_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    calls++;
    return __real_mdb_cursor_get(cursor, key, data, op);
}

// --- a pool ---------------------------------------------------------------------------------------

struct open_job {
    uint32_t number;
    enum open_job_kind state; // OPEN_JOB_NONE: it is over
    int since;                // seconds of the scenario
    const char *repository, *workflow;
};

static struct store_key key_of(uint32_t number)
{
    struct store_key key = {.trace = {{1}}};
    bytes_put_be64(key.span.bytes, number);
    return key;
}

static struct pool_place place_of(const struct open_job *job)
{
    struct pool_place place = {.labels = SLICE("gpu"),
                               .open_state = {job->state, scenario_at(job->since)}};
    place.pool = pool_make_id(place.labels);
    return place;
}

// From the state that it was put in before, if any.
static void move(struct world *world, const struct open_job *from, const struct open_job *to)
{
    static const struct pool_place nowhere;
    const struct pool_place before = from != NULL ? place_of(from) : nowhere;
    const struct pool_place after = to->state != OPEN_JOB_NONE ? place_of(to) : nowhere;
    const struct store_key key = key_of(to->number);
    must(world, pool_move_job(world->stats, &key, &before, &after, &world->error));
}

static void put(struct world *world, const struct open_job *job)
{
    const struct job_state state = {.job_id = job->number,
                                    .run_id = 7,
                                    .run_attempt = 1,
                                    .repository = {.full_name = slice_from_string(job->repository)},
                                    .body = {.workflow_name = slice_from_string(job->workflow)}};
    const struct store_key key = key_of(job->number);
    struct buffer bytes;
    buffer_init(&bytes, 65536);
    must(world, codec_encode_job(&state, &bytes));
    must(world, store_put_span(world->transaction, &key, buffer_slice(&bytes), &world->error));
    buffer_release(&bytes);
    move(world, NULL, job);
}

static void put_all(struct world *world, const struct open_job *jobs, size_t count)
{
    world_begin(world);
    for (size_t i = 0; i < count; i++)
        put(world, &jobs[i]);
    world_commit(world);
}

static void put_queued(struct world *world, size_t count)
{
    world_begin(world);
    for (size_t i = 0; i < count; i++) {
        const struct open_job job = {(uint32_t)i + 1, OPEN_JOB_QUEUED, (int)i / 3, "octo/shop",
                                     "CI"};
        put(world, &job);
    }
    world_commit(world);
}

// --- pages ----------------------------------------------------------------------------------------

struct seen {
    uint32_t numbers[64];
    size_t count;
    size_t refuse_after; // 0: none is refused
};

static enum error_code see(void *context, const struct job_state *job,
                           const struct open_job_state *open_state, const struct pool *pool,
                           bool has_ended)
{
    struct seen *seen = context;
    (void)has_ended;
    assert_int_not_equal(open_state->state, OPEN_JOB_NONE);
    assert_text(pool->labels, "gpu");
    if (seen->refuse_after > 0 && seen->count == seen->refuse_after)
        return ERROR_FULL;
    if (seen->count < sizeof seen->numbers / sizeof seen->numbers[0])
        seen->numbers[seen->count] = (uint32_t)job->job_id;
    seen->count++;
    return ERROR_NONE;
}

// One page; `*place` goes through its text, as it does between two requests.
static bool read_page(struct world *world, struct pool_jobs_query query, struct seen *seen,
                      struct pool_jobs_place *place)
{
    const struct pool *pool = world_find_pool(world, "gpu");
    const struct queue_view_visitor visitor = {see, seen};
    char text[POOL_JOBS_PLACE_TEXT + 1];
    bool has_more;
    assert_non_null(pool);
    query.pool = pool;
    query.ended_rule = (struct ended_rule){world->now, NS_PER_HOUR};
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    calls = 0;
    must(world, pool_jobs_walk(&reader, &query, &visitor, place, &has_more));
    world_end(world);
    if (has_more) {
        pool_jobs_write_place(place, text);
        *place = (struct pool_jobs_place){.state = OPEN_JOB_NONE};
        assert_true(pool_jobs_read_place(slice_from_string(text), place));
    }
    return has_more;
}

static const struct open_job some[] = {
    {1, OPEN_JOB_RUNNING, 5, "octo/shop", "CI"}, {2, OPEN_JOB_QUEUED, 30, "octo/shop", "CI"},
    {3, OPEN_JOB_WAITING, 9, "octo/shop", "CI"}, {4, OPEN_JOB_QUEUED, 20, "octo/shop", "CI"},
    {5, OPEN_JOB_QUEUED, 20, "octo/shop", "CI"}, {6, OPEN_JOB_RUNNING, 1, "octo/shop", "CI"}};
#define SOME (sizeof some / sizeof some[0])

static void assert_pages(struct world *world, enum open_job_kind state, size_t limit,
                         const char *expected)
{
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    char text[256] = "";
    bool has_more = true;
    for (size_t page = 0; has_more; page++) {
        struct seen seen = {.count = 0};
        assert_in_range(page, 0, SOME);
        has_more = read_page(world, (struct pool_jobs_query){.state = state, .limit = limit}, &seen,
                             &place);
        for (size_t i = 0; i < seen.count; i++)
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%" PRIu32 " ",
                           seen.numbers[i]);
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s", has_more ? "| " : "");
    }
    assert_string_equal(text, expected);
}

static void pages_list_each_job_once_the_oldest_of_each_state_first(void **state)
{
    struct world *world = *state;
    put_all(world, some, SOME);
    assert_pages(world, OPEN_JOB_NONE, 10, "4 5 2 3 6 1 ");
    assert_pages(world, OPEN_JOB_NONE, 6, "4 5 2 3 6 1 ");
    assert_pages(world, OPEN_JOB_NONE, 4, "4 5 2 3 | 6 1 ");
    assert_pages(world, OPEN_JOB_NONE, 1, "4 | 5 | 2 | 3 | 6 | 1 ");
    assert_pages(world, OPEN_JOB_QUEUED, 2, "4 5 | 2 ");
    assert_pages(world, OPEN_JOB_WAITING, 2, "3 ");
    assert_pages(world, OPEN_JOB_RUNNING, 1, "6 | 1 ");
}

static void
jobs_that_come_and_go_between_pages_neither_hide_nor_repeat_those_that_stay(void **state)
{
    struct world *world = *state;
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    struct seen seen = {.count = 0};
    const struct pool_jobs_query query = {.state = OPEN_JOB_QUEUED, .limit = 4};
    bool is_over[22] = {false};
    put_queued(world, 20);
    for (uint32_t page = 0; read_page(world, query, &seen, &place); page++) {
        // The oldest starts, the next one on the list is over; an older and a younger job arrive.
        const uint32_t next = seen.numbers[seen.count - 1] + 1;
        const struct open_job arrived[] = {
            {2 * page + 100, OPEN_JOB_QUEUED, 0, "octo/shop", "CI"},
            {2 * page + 101, OPEN_JOB_QUEUED, 80, "octo/shop", "CI"}};
        world_begin(world);
        move(world, &(struct open_job){page + 1, OPEN_JOB_QUEUED, (int)page / 3, "", ""},
             &(struct open_job){page + 1, OPEN_JOB_RUNNING, 90, "", ""});
        if (next <= 20) {
            move(world, &(struct open_job){next, OPEN_JOB_QUEUED, ((int)next - 1) / 3, "", ""},
                 &(struct open_job){.number = next});
            is_over[next] = true;
        }
        world_commit(world);
        put_all(world, arrived, 2);
        assert_true(page < 20);
    }
    for (uint32_t wanted = 1; wanted <= 20; wanted++) {
        size_t times = 0;
        for (size_t i = 0; i < seen.count; i++)
            times += seen.numbers[i] == wanted ? 1 : 0;
        assert_int_equal(times, is_over[wanted] ? 0 : 1);
    }
    assert_true(is_over[5] && is_over[10] && is_over[15]);
}

static void a_job_that_has_no_room_begins_the_next_page(void **state)
{
    struct world *world = *state;
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    struct seen seen = {.refuse_after = 2};
    const struct queue_view_visitor visitor = {see, &seen};
    bool has_more;
    put_all(world, some, SOME);
    const struct pool_jobs_query query = {.pool = world_find_pool(world, "gpu"), .limit = 9};
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    assert_int_equal(pool_jobs_walk(&reader, &query, &visitor, &place, &has_more), ERROR_FULL);
    world_end(world);
    seen.refuse_after = 0;
    assert_false(read_page(world, (struct pool_jobs_query){.limit = 9}, &seen, &place));
    assert_int_equal(seen.count, 6);
    assert_int_equal(seen.numbers[2], 2);
}

static void texts_that_are_no_places_are_refused(void **state)
{
    struct pool_jobs_place place = {.state = OPEN_JOB_QUEUED, .next = {.since = 1}};
    char text[POOL_JOBS_PLACE_TEXT + 2] = "";
    (void)state;
    pool_jobs_write_place(&place, text);
    assert_true(pool_jobs_read_place(slice_from_string(text), &place));
    assert_int_equal(place.next.since, 1);
    static const char firsts[] = "0489x-";
    for (size_t i = 0; firsts[i] != '\0'; i++) {
        char first = text[0];
        text[0] = firsts[i];
        assert_false(pool_jobs_read_place(slice_from_string(text), &place));
        text[0] = first;
    }
    text[1] = 'f'; // before 1970
    assert_false(pool_jobs_read_place(slice_from_string(text), &place));
    text[1] = 'g';
    assert_false(pool_jobs_read_place(slice_from_string(text), &place));
    text[1] = '0';
    assert_false(pool_jobs_read_place((struct slice){text, POOL_JOBS_PLACE_TEXT - 1}, &place));
    text[POOL_JOBS_PLACE_TEXT] = '0';
    assert_false(pool_jobs_read_place((struct slice){text, POOL_JOBS_PLACE_TEXT + 1}, &place));
    assert_false(pool_jobs_read_place(SLICE_EMPTY, &place));
}

// --- who has them ---------------------------------------------------------------------------------

static void count_users(struct world *world, struct pool_users *users)
{
    const struct ended_rule rule = {world->now, NS_PER_HOUR};
    const struct pool *pool = world_find_pool(world, "gpu");
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    calls = 0;
    must(world, pool_users_count(&reader, pool, &rule, users));
    world_end(world);
}

static void assert_user(const struct pool_user *user, const char *repository, const char *workflow,
                        uint64_t queued, uint64_t running)
{
    assert_text(user->repository, repository);
    assert_text(user->workflow, workflow);
    assert_int_equal(user->queued, queued);
    assert_int_equal(user->running, running);
}

static void jobs_are_counted_by_repository_and_by_workflow_those_with_most_first(void **state)
{
    static const struct open_job jobs[] = {{1, OPEN_JOB_QUEUED, 1, "octo/site", "CI"},
                                           {2, OPEN_JOB_QUEUED, 2, "octo/shop", "CI"},
                                           {3, OPEN_JOB_QUEUED, 3, "octo/shop", "Nightly"},
                                           {4, OPEN_JOB_QUEUED, 4, "octo/shop", "CI"},
                                           {5, OPEN_JOB_RUNNING, 5, "octo/site", "CI"},
                                           {6, OPEN_JOB_RUNNING, 6, "octo/wiki", "CI"},
                                           {7, OPEN_JOB_WAITING, 7, "octo/gate", "CI"}};
    struct world *world = *state;
    struct pool_users users;
    put_all(world, jobs, sizeof jobs / sizeof jobs[0]);
    count_users(world, &users);
    assert_int_equal(users.queued, 4);
    assert_int_equal(users.running, 2);
    assert_int_equal(users.repository_count, 3);
    assert_user(&users.repositories[0], "octo/shop", "", 3, 0);
    assert_user(&users.repositories[1], "octo/site", "", 1, 1);
    assert_user(&users.repositories[2], "octo/wiki", "", 0, 1);
    assert_int_equal(users.workflow_count, 4);
    assert_user(&users.workflows[0], "octo/shop", "CI", 2, 0);
    assert_user(&users.workflows[1], "octo/site", "CI", 1, 1);
    assert_user(&users.workflows[2], "octo/shop", "Nightly", 1, 0);
    assert_user(&users.workflows[3], "octo/wiki", "CI", 0, 1);
}

static void no_more_names_are_listed_than_the_limit_allows(void **state)
{
    struct world *world = *state;
    struct pool_users users;
    char names[POOL_USERS_MAX + 5][16];
    world_begin(world);
    for (uint32_t i = 0; i < POOL_USERS_MAX + 5; i++) {
        (void)snprintf(names[i], sizeof names[i], "octo/r%02" PRIu32, i);
        put(world, &(struct open_job){i + 1, OPEN_JOB_QUEUED, (int)i, names[i], "CI"});
    }
    world_commit(world);
    count_users(world, &users);
    assert_int_equal(users.queued, POOL_USERS_MAX + 5);
    assert_int_equal(users.repository_count, POOL_USERS_MAX);
    assert_int_equal(users.workflow_count, POOL_USERS_MAX);
    assert_user(&users.repositories[0], "octo/r00", "", 1, 0);
}

// --- large pools ----------------------------------------------------------------------------------

static void a_page_and_the_counts_read_no_more_of_a_hundred_thousand_jobs_than_of_few(void **state)
{
    struct world *world = *state;
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    struct pool_users users;
    struct seen seen = {.count = 0};
    put_queued(world, MANY);
    for (int page = 0; page < 3; page++) {
        assert_true(read_page(world, (struct pool_jobs_query){.limit = 100}, &seen, &place));
        assert_in_range(calls, 100, 500);
    }
    assert_int_equal(seen.count, 300);
    count_users(world, &users);
    assert_int_equal(users.queued, POOL_USERS_JOBS_MAX);
    assert_in_range(calls, POOL_USERS_JOBS_MAX, 5 * POOL_USERS_JOBS_MAX);
}

static void jobs_that_cannot_be_read_are_left_out_and_not_more_of_them_are_tried(void **state)
{
    struct world *world = *state;
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    struct seen seen = {.count = 0};
    world_begin(world);
    for (uint32_t i = 0; i < 1000; i++) // without states
        move(world, NULL, &(struct open_job){i + 1, OPEN_JOB_QUEUED, (int)i, "", ""});
    world_commit(world);
    assert_true(read_page(world, (struct pool_jobs_query){.limit = 10}, &seen, &place));
    assert_int_equal(seen.count, 0);
    assert_in_range(calls, 10, 50);
}

int main(void)
{
#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        POOL_TEST(pages_list_each_job_once_the_oldest_of_each_state_first),
        POOL_TEST(jobs_that_come_and_go_between_pages_neither_hide_nor_repeat_those_that_stay),
        POOL_TEST(a_job_that_has_no_room_begins_the_next_page),
        cmocka_unit_test(texts_that_are_no_places_are_refused),
        POOL_TEST(jobs_are_counted_by_repository_and_by_workflow_those_with_most_first),
        POOL_TEST(no_more_names_are_listed_than_the_limit_allows),
        POOL_TEST(a_page_and_the_counts_read_no_more_of_a_hundred_thousand_jobs_than_of_few),
        POOL_TEST(jobs_that_cannot_be_read_are_left_out_and_not_more_of_them_are_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
