// A pool's jobs are read in slices from the history and the open jobs, and replayed.
/* wrap: store_begin store_abort */
#include "unit/stats/world.h"

#include <time.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/job_history.h"
#include "ghatrace/view/whatif_view.h"

enum error_code __real_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
void __real_store_abort(struct store_transaction *transaction);
void __wrap_store_abort(struct store_transaction *transaction);

static timestamp_ns begun; // by the thread's CPU time, since other processes may hold up this one
static duration_ns longest;
static size_t slices, open_slices;

static timestamp_ns cpu_time(void)
{
    struct timespec time;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
    return (timestamp_ns)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error)
{
    enum error_code code = __real_store_begin(store, is_write, transaction, error);
    begun = cpu_time();
    slices += code == ERROR_NONE ? 1 : 0;
    open_slices += code == ERROR_NONE ? 1 : 0;
    return code;
}

void __wrap_store_abort(struct store_transaction *transaction)
{
    duration_ns held = cpu_time() - begun;
    longest = held > longest ? held : longest;
    open_slices--;
    __real_store_abort(transaction);
}

// A job of a number, in the present transaction.
static void add(struct world *world, uint32_t job, const char *labels, uint32_t runner,
                double ready, double started, double ended)
{
    struct store_key key = {.trace = {{1}}};
    const struct job_occupancy occupancy = {.exists = true,
                                            .labels = slice_from_string(labels),
                                            .ready = scenario_at(ready),
                                            .started = scenario_at(started),
                                            .ended = scenario_at(ended),
                                            .runner = runner};
    memcpy(key.span.bytes, &job, sizeof job);
    must(world, job_history_add(world->stats, &key, &occupancy, &world->error));
}

static struct whatif_answer ask(struct world *world, const char *labels, double from, double until)
{
    const struct whatif_question question = {.pool = slice_from_string(labels),
                                             .has_runners = true,
                                             .runners = 1,
                                             .target = NS_PER_MINUTE,
                                             .window = {scenario_at(from), scenario_at(until)}};
    struct whatif_answer answer;
    must(world, whatif_view_load(world->store, &question, &world->arena, &answer, &world->error));
    return answer;
}

static void no_transaction_is_held_for_long(void **state)
{
    struct world *world = *state;
    const uint32_t jobs = 300000;
    for (uint32_t i = 0; i < jobs; i++) {
        if (i % 10000 == 0)
            world_begin(world);
        add(world, i, i % 3 == 0 ? "gpu" : "linux", i % 50 + 1, i, i + 5, i + 20);
        if (i % 10000 == 9999)
            world_commit(world);
    }
    slices = open_slices = 0;
    longest = 0;
    struct whatif_answer answer = ask(world, "GPU", 1, 1e6);
    print_message("%zu transactions, the longest of %d us\n", slices, (int)(longest / NS_PER_US));
    assert_int_equal(open_slices, 0);
    assert_true(slices > 1);
    assert_true(longest < 100 * NS_PER_MS);
    assert_int_equal(answer.jobs, jobs / 3 - 1); // the first was ready before
    assert_int_equal(answer.recorded.p99, 5 * NS_PER_SECOND);
    assert_int_equal(answer.fit.observed, 5);
    assert_int_equal(answer.shared_count, 1);
    assert_int_equal(answer.shared[0].jobs, jobs / 3 * 2);
}

static void of_a_job_that_was_corrected_the_last_record_counts(void **state)
{
    struct world *world = *state;
    world_begin(world);
    add(world, 7, "gpu", 0, 0, 40, 60);
    add(world, 8, "gpu", 0, 10, 20, 60);
    add(world, 7, "gpu", 0, 0, 1, 90);
    world_commit(world);
    struct whatif_answer answer = ask(world, "gpu", 0, 100);
    assert_int_equal(answer.jobs, 2);
    assert_int_equal(answer.recorded.p50, NS_PER_SECOND);
    assert_int_equal(answer.recorded.p90, 10 * NS_PER_SECOND);
    assert_int_equal(answer.replayed.p90, 79 * NS_PER_SECOND);
}

static void the_window_begins_with_a_history_from_which_jobs_were_dropped(void **state)
{
    struct world *world = *state;
    bool has_more;
    world_begin(world);
    for (uint32_t i = 0; i < 3000; i++)
        add(world, i, "gpu", 0, i, i + 1, i + 10);
    world_commit(world);
    struct whatif_answer answer = ask(world, "gpu", 0, 4000);
    assert_int_equal(answer.jobs, 3000);
    assert_int_equal(answer.kept_since, scenario_at(10));
    assert_int_equal(answer.question.window.from, scenario_at(0));
    world_begin(world);
    must(world, job_history_expire(world->stats, 1000, 63, &has_more, &world->error));
    world_commit(world);
    answer = ask(world, "gpu", 0, 4000);
    assert_int_equal(answer.kept_since, scenario_at(73));
    assert_int_equal(answer.question.window.from, scenario_at(73));
    assert_int_equal(answer.jobs, 3000 - 73);
    assert_int_equal(answer.fit.observed, 9);
}

static void pools_that_had_the_same_runners_are_listed_the_busiest_first(void **state)
{
    struct world *world = *state;
    world_begin(world);
    add(world, 1, "gpu", 1, 0, 1, 10);
    add(world, 2, "gpu", 2, 0, 1, 10);
    add(world, 3, "gpu", 0, 0, 1, 10); // not known
    add(world, 4, "few", 1, 10, 11, 20);
    add(world, 5, "many", 2, 10, 11, 20);
    add(world, 6, "many", 1, 20, 21, 30);
    add(world, 7, "other", 3, 10, 11, 20);
    add(world, 8, "hosted", 0, 10, 11, 20);
    add(world, 9, "before", 1, -50, -40, -30);
    world_commit(world);
    struct whatif_answer answer = ask(world, "gpu", 0, 100);
    assert_int_equal(answer.shared_count, 2);
    struct pool_id many = pool_make_id(SLICE("many"));
    assert_int_equal(answer.shared[0].pool, job_history_pool(&many));
    assert_int_equal(answer.shared[0].jobs, 2);
    assert_int_equal(answer.shared[0].name.len, 0); // no such pool is listed
    assert_int_equal(answer.shared[1].jobs, 1);
}

static void what_cannot_be_read_is_left_out_and_counted(void **state)
{
    struct world *world = *state;
    world_begin(world);
    add(world, 1, "gpu", 1, 0, 1, 10);
    world_commit(world);
    world_begin(world);
    must(world,
         store_table_put(world->transaction, STORE_TABLE_JOB_HISTORY,
                         (struct slice){"\0\0\0\0\0\0\1\0", 8}, SLICE("damaged"), &world->error));
    world_commit(world);
    struct whatif_answer answer = ask(world, "gpu", 0, 100);
    assert_int_equal(answer.jobs, 1);
    assert_true(answer.unreadable > 0);
}

static void an_unknown_pool_has_no_answer(void **state)
{
    struct world *world = *state;
    struct whatif_answer answer = ask(world, "gpu", 0, 100);
    assert_false(answer.is_known);
    assert_int_equal(answer.near_count, 0);
    answer = ask(world, ",,", 0, 100);
    assert_false(answer.is_known);
}

// An open job, in the present transaction.
static void queue(struct world *world, uint8_t job, struct slice name, bool is_rule)
{
    const struct pool_place before = {.labels = SLICE_EMPTY};
    const struct pool_place after = {.open_state = {OPEN_JOB_QUEUED, scenario_at(job)},
                                     .pool = pool_make_id(name),
                                     .labels = name,
                                     .is_rule = is_rule};
    struct store_key key = world_key(job);
    must(world, pool_move_job(world->stats, &key, &before, &after, &world->error));
}

static void assert_found(struct world *world, const char *asked, const char *name, uint64_t jobs)
{
    struct whatif_answer answer = ask(world, asked, 0, 100);
    assert_true(answer.is_known);
    assert_text(answer.name, name);
    assert_int_equal(answer.jobs, jobs);
}

static void a_pool_is_found_by_its_name_in_any_case_and_order(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue(world, 1, SLICE("Linux,X64"), false);
    queue(world, 2, SLICE("GPU"), true);
    queue(world, 3, SLICE("a\\,b"), false);
    queue(world, 4, SLICE_EMPTY, false);
    add(world, 5, "X64,linux", 0, 1, 2, 3);
    add(world, 6, "gpu", 0, 1, 2, 3);
    add(world, 7, "Dropped,set", 0, 1, 2, 3);
    world_commit(world);
    assert_found(world, "x64,LINUX", "linux,x64", 2);
    assert_found(world, "gpu", "GPU", 2);
    assert_found(world, "A\\,B", "a\\,b", 1);
    assert_found(world, "(none)", "(none)", 1);
    assert_found(world, ",,", "(none)", 1);
    assert_found(world, "set,dropped", "dropped,set", 1);
    assert_false(ask(world, "a,b", 0, 100).is_known);
}

static void names_near_an_unknown_one_are_those_of_pools(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue(world, 1, SLICE("Linux,X64"), false);
    queue(world, 2, SLICE("GPU"), true);
    queue(world, 3, SLICE("GPU"), true);
    queue(world, 4, POOL_ONE_OFF, false);
    queue(world, 5, POOL_ONE_OFF, false);
    queue(world, 6, POOL_ONE_OFF, false);
    world_commit(world);
    struct whatif_answer answer = ask(world, "gp", 0, 100);
    assert_false(answer.is_known);
    assert_true(answer.is_similar);
    assert_int_equal(answer.near_count, 1);
    assert_text(answer.near[0], "GPU");
    answer = ask(world, "x64,arm", 0, 100);
    assert_int_equal(answer.near_count, 1);
    assert_text(answer.near[0], "linux,x64");
    answer = ask(world, "something", 0, 100);
    assert_false(answer.is_similar);
    assert_int_equal(answer.near_count, 2);
    assert_text(answer.near[0], "GPU"); // has more open jobs
}

static void the_pool_of_folded_sets_is_refused(void **state)
{
    const struct whatif_question question = {.pool = SLICE("(One-Off)"),
                                             .window = {scenario_at(0), scenario_at(100)}};
    struct world *world = *state;
    struct whatif_answer answer;
    world_begin(world);
    queue(world, 1, POOL_ONE_OFF, false);
    world_commit(world);
    assert_int_equal(
        whatif_view_load(world->store, &question, &world->arena, &answer, &world->error),
        ERROR_INVALID);
    assert_non_null(strstr(world->error.message, "\"(one-off)\" is a mixture"));
}

static void each_failing_allocation_is_reported(void **state)
{
    struct world *world = *state;
    world_begin(world);
    add(world, 1, "gpu", 1, 0, 1, 10);
    world_commit(world);
    open_slices = 0;
    for (long skip = 0;; skip++) {
        const struct whatif_question question = {.pool = SLICE("gpu"),
                                                 .window = {scenario_at(0), scenario_at(100)}};
        struct whatif_answer answer;
        memory_fail_after(skip);
        enum error_code code =
            whatif_view_load(world->store, &question, &world->arena, &answer, &world->error);
        long used = memory_count_allocations();
        memory_fail_after(-1);
        assert_int_equal(open_slices, 0);
        if (used <= skip) {
            assert_int_equal(code, ERROR_NONE);
            return;
        }
        assert_int_equal(code, ERROR_MEMORY);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(no_transaction_is_held_for_long),
        TEST(of_a_job_that_was_corrected_the_last_record_counts),
        TEST(the_window_begins_with_a_history_from_which_jobs_were_dropped),
        TEST(pools_that_had_the_same_runners_are_listed_the_busiest_first),
        TEST(what_cannot_be_read_is_left_out_and_counted),
        TEST(an_unknown_pool_has_no_answer),
        TEST(a_pool_is_found_by_its_name_in_any_case_and_order),
        TEST(names_near_an_unknown_one_are_those_of_pools),
        TEST(the_pool_of_folded_sets_is_refused),
        TEST(each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
