// Jobs at the gate of an environment, and late events about them: whatever the order, the repetition and the pauses
// between deliveries, the last version of each span is the same, and each job is measured once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/base/log.h"
#include "ghatrace/stats/series.h"
#include "support/engine_bench.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define WAITING GITHUB_JOB_WAITING
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

#define EVENTS_MAX 8
#define LINES_MAX 32
// Longer than root-grace, shorter than all other waits.
#define PAUSE (11 * NS_PER_SECOND)

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

// --- jobs --------------------------------------------------------------------------------------------

static struct scenario_delivery gated(enum github_job_action action, double at)
{
    struct scenario_delivery delivery = scenario_job(1, action, at, 2, 2, -1);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

static struct scenario_delivery gated_start(double at)
{
    struct scenario_delivery delivery = scenario_job(1, IN_PROGRESS, at, 2, at, -1);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

static struct scenario_delivery gated_end(double started, double at)
{
    struct scenario_delivery delivery = scenario_job(1, COMPLETED, at, 2, started, at);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

// No runner ever took it.
static struct scenario_delivery cancelled_at(double at)
{
    struct scenario_delivery delivery = gated_end(at, at);
    scenario_set_conclusion(&delivery, "cancelled");
    scenario_set_runner(&delivery, 0, "");
    return delivery;
}

// --- the last version of each span -------------------------------------------------------------------

struct lines {
    struct slice items[LINES_MAX];
    size_t count;
};

// Of "runner.queue 2..6" the name is "runner.queue"; no name here has a digit.
static struct slice name_in(struct slice line)
{
    size_t len = 0;
    while (len < line.len && (line.data[len] < '0' || line.data[len] > '9'))
        len++;
    return (struct slice){line.data, len};
}

static void keep_last(struct lines *lines, struct slice line)
{
    size_t i = 0;
    while (i < lines->count && !slice_equals(name_in(lines->items[i]), name_in(line)))
        i++;
    assert_true(i < LINES_MAX);
    lines->items[i] = line;
    lines->count = i == lines->count ? i + 1 : lines->count;
}

static bool contains(struct slice text, const char *part)
{
    char line[256];
    assert_true(text.len < sizeof line);
    memcpy(line, text.data, text.len);
    line[text.len] = '\0';
    return strstr(line, part) != NULL;
}

// A queue that was exported and turned out not to have existed is sent again with zero length, and its job without a
// queue time: exported spans cannot be deleted.
static void drop_phases_of_zero_length(struct lines *lines)
{
    bool has_queue_time = false;
    for (size_t i = 0; i < lines->count; i++)
        has_queue_time |= contains(lines->items[i], "queue_time_ms");
    for (size_t i = 0; i < lines->count && !has_queue_time; i++) {
        long long start;
        long long end;
        if (!slice_equals(name_in(lines->items[i]), SLICE("runner.queue ")))
            continue;
        assert_int_equal(sscanf(lines->items[i].data, "runner.queue %lld..%lld", &start, &end), 2);
        assert_int_equal(start, end);
        lines->items[i--] = lines->items[--lines->count];
    }
}

static int compare_lines(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void last_versions(struct engine_bench *bench, struct buffer *last)
{
    struct buffer all;
    struct lines lines = {.count = 0};
    buffer_init(&all, 1 << 20);
    engine_bench_spans(bench, &all);
    for (const char *at = all.data; *at != '\0';) {
        const char *end = strchr(at, '\n');
        keep_last(&lines, (struct slice){at, (size_t)(end - at)});
        at = end + 1;
    }
    drop_phases_of_zero_length(&lines);
    qsort(lines.items, lines.count, sizeof lines.items[0], compare_lines);
    buffer_clear(last);
    for (size_t i = 0; i < lines.count; i++)
        assert_int_equal(buffer_append_format(last, "%.*s\n", SLICE_ARGS(lines.items[i])),
                         ERROR_NONE);
    assert_int_equal(buffer_append(last, "", 1), ERROR_NONE);
    buffer_release(&all);
}

static uint64_t measured_jobs(struct engine_bench *bench)
{
    struct store_transaction *transaction;
    struct series_id id = {{0}};
    struct series series;
    struct error error = {0};
    uint64_t sum = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    while (series_seek(transaction, SERIES_JOB, &id, &series, &error) == ERROR_NONE) {
        sum += series.count;
        series_id_increment(&id);
    }
    store_abort(transaction);
    return sum;
}

// --- in every order ----------------------------------------------------------------------------------

struct sequence {
    const char *name;
    const char *expected; // the last versions, sorted; NULL: whatever they are
    bool is_sent_twice;   // in some orders without pauses, too
    struct scenario_delivery events[EVENTS_MAX];
    size_t count;
};

struct playing {
    const struct sequence *sequence;
    size_t order[EVENTS_MAX];
    duration_ns pause; // after each delivery
    bool has_repeats;  // under other GUIDs, as from a second hook
    uint32_t seed;
    struct buffer figures; // of the first order without pauses
    struct buffer text;
};

static void deliver_all(struct playing *playing, struct engine_bench *bench)
{
    const struct sequence *sequence = playing->sequence;
    for (size_t i = 0; i < sequence->count; i++) {
        engine_bench_accept(bench, &sequence->events[playing->order[i]]);
        engine_bench_advance(bench, playing->pause);
        if (playing->has_repeats && next_random(&playing->seed) % 3 == 0) {
            size_t again = playing->order[next_random(&playing->seed) % (i + 1)];
            struct scenario_delivery other = sequence->events[again];
            other.digest[13] = (uint8_t)(1 + i);
            engine_bench_accept(bench, &other);
            engine_bench_advance(bench, playing->pause);
        }
        if (playing->has_repeats && next_random(&playing->seed) % 5 == 0)
            engine_bench_restart(bench);
    }
    engine_bench_advance(bench, NS_PER_MINUTE);
}

static void fail_in_order(const struct playing *playing, const char *what)
{
    print_message("%s, %s, in the order", playing->sequence->name,
                  playing->pause > 0 ? "with pauses" : "without pauses");
    for (size_t i = 0; i < playing->sequence->count; i++)
        print_message(" %zu", playing->order[i]);
    fail_msg(": %s\n%s", what, playing->text.data);
}

static void play(struct playing *playing)
{
    struct engine_bench bench;
    struct buffer figures;
    engine_bench_open(&bench);
    buffer_init(&figures, 1 << 20);
    bench.now = scenario_at(100000); // after everything, so that all GUID times are used
    deliver_all(playing, &bench);
    stats_verify(bench.store);
    last_versions(&bench, &playing->text);
    const char *expected = playing->sequence->expected;
    if (expected != NULL && strcmp(playing->text.data, expected) != 0)
        fail_in_order(playing, "other spans");
    if (measured_jobs(&bench) != 1)
        fail_in_order(playing, "not measured once");
    stats_write(bench.store, &figures);
    if (playing->figures.len == 0)
        assert_int_equal(buffer_append_slice(&playing->figures, buffer_slice(&figures)),
                         ERROR_NONE);
    // The figures of a job that is sent again are those of the first time.
    if (playing->pause == 0 && !playing->sequence->is_sent_twice &&
        !slice_equals(buffer_slice(&figures), buffer_slice(&playing->figures)))
        fail_in_order(playing, "other figures");
    buffer_release(&figures);
    engine_bench_close(&bench);
}

static bool next_permutation(size_t *order, size_t count)
{
    size_t i = count - 1;
    while (i > 0 && order[i - 1] >= order[i])
        i--;
    if (i == 0)
        return false;
    size_t j = count - 1;
    while (order[j] <= order[i - 1])
        j--;
    size_t swapped = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swapped;
    for (size_t low = i, high = count - 1; low < high; low++, high--) {
        swapped = order[low];
        order[low] = order[high];
        order[high] = swapped;
    }
    return true;
}

#define WITH_PAUSES 1
#define WITH_REPEATS 2
#define WAYS 4

static void play_from(const struct sequence *sequence, int first_way, int last_way)
{
    struct playing playing = {.sequence = sequence, .seed = 5};
    buffer_init(&playing.figures, 1 << 20);
    buffer_init(&playing.text, 1 << 20);
    for (int way = first_way; way <= last_way; way++) {
        playing.pause = (way & WITH_PAUSES) != 0 ? PAUSE : 0;
        playing.has_repeats = (way & WITH_REPEATS) != 0;
        for (size_t i = 0; i < sequence->count; i++)
            playing.order[i] = i;
        do
            play(&playing);
        while (next_permutation(playing.order, sequence->count));
    }
    buffer_release(&playing.figures);
    buffer_release(&playing.text);
}

static void play_in_every_order(const struct sequence *sequence)
{
    play_from(sequence, 0, WAYS - 1);
}

static void add(struct sequence *sequence, struct scenario_delivery delivery)
{
    assert_true(sequence->count < EVENTS_MAX);
    sequence->events[sequence->count++] = delivery;
}

static void a_job_cancelled_at_its_gate_was_all_waiting_in_every_order(void **state)
{
    struct sequence sequence = {.name = "cancelled at the gate",
                                .expected = "job build 2..2585 cancellation\n"
                                            "job.waiting 2..2585\n"
                                            "workflow RUN CI 0..2587 cancellation\n"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, cancelled_at(2585));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 2587, "cancelled"));
    play_in_every_order(&sequence);
}

static void a_released_job_cancelled_in_the_queue_waited_and_queued_in_every_order(void **state)
{
    struct sequence sequence = {.name = "released, then cancelled",
                                .expected = "job build 2..90 cancellation queue_time_ms=59750\n"
                                            "job.waiting 2..30.25\n"
                                            "runner.queue 30.25..90\n"
                                            "workflow RUN CI 0..92 cancellation\n"};
    (void)state;
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, gated(QUEUED, 30.25));
    add(&sequence, cancelled_at(90));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    play_in_every_order(&sequence);
}

static void a_released_job_that_ran_is_split_alike_in_every_order(void **state)
{
    struct sequence sequence = {.name = "released and ran",
                                .expected = "job build 2..60 success queue_time_ms=14750\n"
                                            "job.waiting 2..30.25\n"
                                            "runner.execution 45..60 success\n"
                                            "runner.queue 30.25..45\n"};
    (void)state;
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, gated(QUEUED, 30.25));
    add(&sequence, gated_start(45));
    add(&sequence, gated_end(45, 60));
    play_in_every_order(&sequence);
}

// 5,040 orders; those without pauses are tested elsewhere.
static void a_released_job_and_its_run_are_alike_in_every_order_with_pauses(void **state)
{
    struct sequence sequence = {.name = "released and ran, with its run",
                                .expected = "job build 2..60 success queue_time_ms=14750\n"
                                            "job.waiting 2..30.25\n"
                                            "runner.execution 45..60 success\n"
                                            "runner.queue 30.25..45\n"
                                            "workflow RUN CI 0..62 success\n"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, gated(QUEUED, 30.25));
    add(&sequence, gated_start(45));
    add(&sequence, gated_end(45, 60));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_from(&sequence, WITH_PAUSES, WITH_PAUSES);
}

static void a_deployment_without_a_gate_has_a_queue_in_every_order(void **state)
{
    struct sequence sequence = {.name = "no gate",
                                .expected = "job build 2..60 success queue_time_ms=4000\n"
                                            "runner.execution 6..60 success\n"
                                            "runner.queue 2..6\n"
                                            "workflow RUN CI 0..62 success\n"};
    (void)state;
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(QUEUED, 3.5)); // twice even if nothing is gated (cdk-github-runners#380)
    add(&sequence, gated_start(6));
    add(&sequence, gated_end(6, 60));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_in_every_order(&sequence);
}

static void payloads_from_before_2023_are_named_and_timed_in_every_order(void **state)
{
    struct sequence sequence = {.name = "old",
                                .expected = "job build 10..59 success queue_time_ms=46000\n"
                                            "runner.execution 56..59 success\n"
                                            "runner.queue 10..56\n"
                                            "workflow RUN CI 0..101 success\n"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_job(1, QUEUED, 10, -1, 10, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 56, -1, 56, -1));
    add(&sequence, scenario_job(1, COMPLETED, 59, -1, 56, 59));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 101, "success"));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_make_old(&sequence.events[i]);
    play_in_every_order(&sequence);
}

// If the end of a job does not mention that it deploys: it never had a runner, so there may have been events before.
static void an_end_without_a_deployment_is_completed_by_earlier_events(void **state)
{
    struct sequence sequence = {.name = "no deployment in the end",
                                .is_sent_twice = true,
                                .expected = "job build 2..90 cancellation\n"
                                            "job.waiting 2..90\n"
                                            "workflow RUN CI 0..92 cancellation\n"};
    struct scenario_delivery cancelled = cancelled_at(90);
    (void)state;
    scenario_set_deployment(&cancelled, 0, "");
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, cancelled);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    play_in_every_order(&sequence);
}

// If no body mentions that it deploys: it never had a runner, so there may have been a gate.
static void a_gate_known_only_from_waiting_is_known_in_every_order(void **state)
{
    struct sequence sequence = {.name = "cancelled at a gate without a deployment",
                                .is_sent_twice = true,
                                .expected = "job build 2..90 cancellation\n"
                                            "job.waiting 2..90\n"
                                            "workflow RUN CI 0..92 cancellation\n"};
    (void)state;
    add(&sequence, gated(QUEUED, 2.5));
    add(&sequence, gated(WAITING, 3.25));
    add(&sequence, cancelled_at(90));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    for (size_t i = 0; i < 3; i++)
        scenario_set_deployment(&sequence.events[i], 0, "");
    play_in_every_order(&sequence);
}

static void a_runner_missing_in_the_end_is_known_in_every_order(void **state)
{
    struct sequence sequence = {.name = "no runner in the end",
                                .is_sent_twice = true,
                                .expected = "job build 2..90 cancellation queue_time_ms=4000\n"
                                            "runner.execution 6..90 cancellation\n"
                                            "runner.queue 2..6\n"
                                            "workflow RUN CI 0..92 cancellation\n"};
    struct scenario_delivery cancelled = scenario_job(1, COMPLETED, 90, 2, 6, 90);
    (void)state;
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    add(&sequence, cancelled);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    play_in_every_order(&sequence);
}

// --- random life cycles ------------------------------------------------------------------------------

// With a gate or without, released or not; then it runs, is cancelled, refused or skipped.
static void make_random_sequence(struct sequence *sequence, uint32_t *seed)
{
    static const char *const conclusions[] = {"cancelled", "failure", "skipped", "success"};
    uint32_t gate = next_random(seed) % 3;
    const char *conclusion = conclusions[next_random(seed) % (gate == 1 ? 3 : 4)];
    double at = 2.5 + next_random(seed) % 4 * 0.125;
    sequence->count = 0;
    add(sequence, gated(QUEUED, at));
    if (gate > 0)
        add(sequence, gated(WAITING, at += 0.5 + next_random(seed) % 3));
    if (gate != 1)
        add(sequence, gated(QUEUED, at += 1 + next_random(seed) % 100));
    double started = (double)(int)at + 2 + next_random(seed) % 20;
    struct scenario_delivery end = gated_end(started, started + next_random(seed) % 50);
    if (strcmp(conclusion, "success") == 0) {
        add(sequence, gated_start(started));
    } else {
        scenario_set_conclusion(&end, conclusion);
        scenario_set_runner(&end, 0, "");
        end.event.job.started_at = end.event.job.completed_at;
    }
    add(sequence, end);
    add(sequence, scenario_run(GITHUB_RUN_COMPLETED, started + 60, conclusion));
}

static void shuffle(struct playing *playing)
{
    for (size_t i = playing->sequence->count - 1; i > 0; i--) {
        size_t j = next_random(&playing->seed) % (i + 1);
        size_t swapped = playing->order[i];
        playing->order[i] = playing->order[j];
        playing->order[j] = swapped;
    }
}

static void play_in_some_orders(struct sequence *sequence, uint32_t seed)
{
    struct playing playing = {.sequence = sequence, .seed = seed};
    char expected[1024];
    buffer_init(&playing.figures, 1 << 20);
    buffer_init(&playing.text, 1 << 20);
    for (size_t i = 0; i < sequence->count; i++)
        playing.order[i] = i;
    sequence->expected = NULL; // it is the result of the natural order
    play(&playing);
    assert_true(playing.text.len > 1 && playing.text.len < sizeof expected);
    memcpy(expected, playing.text.data, playing.text.len);
    sequence->expected = expected;
    for (int i = 0; i < 12; i++) {
        shuffle(&playing);
        playing.pause = i % 2 == 0 ? 0 : PAUSE;
        playing.has_repeats = i % 4 >= 2;
        play(&playing);
    }
    buffer_release(&playing.figures);
    buffer_release(&playing.text);
}

static void random_life_cycles_end_alike_in_any_order(void **state)
{
    struct sequence sequence = {.name = "random"};
    uint32_t seed = 20260903;
    (void)state;
    for (int i = 0; i < 150; i++) {
        make_random_sequence(&sequence, &seed);
        play_in_some_orders(&sequence, next_random(&seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_cancelled_at_its_gate_was_all_waiting_in_every_order),
        cmocka_unit_test(a_released_job_cancelled_in_the_queue_waited_and_queued_in_every_order),
        cmocka_unit_test(a_released_job_that_ran_is_split_alike_in_every_order),
        cmocka_unit_test(a_released_job_and_its_run_are_alike_in_every_order_with_pauses),
        cmocka_unit_test(a_deployment_without_a_gate_has_a_queue_in_every_order),
        cmocka_unit_test(payloads_from_before_2023_are_named_and_timed_in_every_order),
        cmocka_unit_test(an_end_without_a_deployment_is_completed_by_earlier_events),
        cmocka_unit_test(a_gate_known_only_from_waiting_is_known_in_every_order),
        cmocka_unit_test(a_runner_missing_in_the_end_is_known_in_every_order),
        cmocka_unit_test(random_life_cycles_end_alike_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
