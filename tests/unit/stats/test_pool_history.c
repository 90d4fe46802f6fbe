// History of a pool against the jobs themselves: each hour is what was known of its jobs 25 hours after its end.
#include "world.h"

#include <string.h>

#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/pool_waits.h"

#define JOBS 60
#define JOB_GRACE (10 * NS_PER_MINUTE)
#define VERSIONS 4 // of what is known of a job, one after the other
#define DAYS 4
#define HOURS (DAYS * 24)

struct job {
    struct job_times times[VERSIONS];
    // ascending; those that are equal to the one before are not sent
    timestamp_ns known_at[VERSIONS];
};

struct play {
    struct job jobs[JOBS];
    timestamp_ns start; // of an hour
};

static const struct job_times nothing = {.ready = TIMESTAMP_UNKNOWN};

static uint64_t random_below(uint64_t *seed, uint64_t limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % limit;
}

// Some jobs run for up to two days, and of some other times become known days later.
static void invent(struct play *play, uint64_t seed)
{
    for (int i = 0; i < JOBS; i++) {
        struct job *job = &play->jobs[i];
        duration_ns wait =
            (duration_ns)random_below(&seed, i % 4 == 0 ? 40000 : 600) * NS_PER_SECOND;
        duration_ns run =
            (duration_ns)random_below(&seed, i % 3 == 0 ? 180000 : 3000) * NS_PER_SECOND;
        struct job_times times = {.labels = SLICE("linux")};
        times.ready = play->start + (duration_ns)random_below(&seed, HOURS * 3600) * NS_PER_SECOND;
        job->times[0] = times;
        job->known_at[0] = times.ready + (duration_ns)random_below(&seed, 9) * NS_PER_SECOND;
        times.started = times.ready + wait;
        job->times[1] = times;
        job->known_at[1] = times.started + NS_PER_SECOND;
        times.ended = times.started + run;
        if (i % 5 == 0) // the events before had other times
            times.started += 7 * NS_PER_SECOND, times.ended += 7 * NS_PER_SECOND;
        job->times[2] = times;
        job->known_at[2] = times.ended + (i % 7 == 0 ? 40 * NS_PER_HOUR : NS_PER_SECOND);
        job->known_at[3] =
            job->known_at[2] + (i % 12 == 0 ? 50 : 2) * NS_PER_HOUR + 5 * NS_PER_SECOND;
        if (i % 6 == 0) {
            times.ready -= 90 * NS_PER_SECOND;
            times.ended -= (times.ended - times.started) / (2 * NS_PER_SECOND) * NS_PER_SECOND;
        } else if (i % 3 == 1) { // about when its hour becomes final
            times.ready -= 60 * NS_PER_SECOND;
            timestamp_ns learnt = times.ready + 25 * NS_PER_HOUR +
                                  (duration_ns)random_below(&seed, 3600) * NS_PER_SECOND;
            job->known_at[3] = learnt > job->known_at[2] ? learnt : job->known_at[3];
        }
        job->times[3] = times;
    }
}

// The newest that is known before a time.
static const struct job_times *known(const struct job *job, timestamp_ns before)
{
    const struct job_times *found = &nothing;
    for (int i = 0; i < VERSIONS; i++)
        found = job->known_at[i] < before ? &job->times[i] : found;
    return found;
}

static struct pool_place place_of(const struct job_times *times)
{
    struct pool_place place = {.labels = times->labels, .pool = pool_make_id(times->labels)};
    if (times->ready == TIMESTAMP_UNKNOWN || times->ended != TIMESTAMP_UNKNOWN)
        return (struct pool_place){.labels = SLICE_EMPTY};
    place.open_state.state =
        times->started == TIMESTAMP_UNKNOWN ? OPEN_JOB_QUEUED : OPEN_JOB_RUNNING;
    place.open_state.since = times->started == TIMESTAMP_UNKNOWN ? times->ready : times->started;
    return place;
}

static void learn(struct world *world, uint8_t number, const struct job_times *before,
                  const struct job_times *after)
{
    const struct store_key key = world_key(number);
    const struct pool_place left = place_of(before), entered = place_of(after);
    must(world, pool_move_job(world->stats, &key, &left, &entered, &world->error));
    struct job_times times = *after;
    must(world, pool_minutes_change(world->stats, &key, before, &times, &world->error));
}

static void learn_until(struct world *world, const struct play *play, timestamp_ns until)
{
    timestamp_ns from = world->now;
    for (world->now = from + NS_PER_SECOND; world->now <= until; world->now += NS_PER_SECOND) {
        for (int i = 0; i < JOBS; i++)
            for (int k = 0; k < VERSIONS; k++)
                if (play->jobs[i].known_at[k] == world->now) {
                    world_begin(world);
                    learn(world, (uint8_t)(i + 1), k > 0 ? &play->jobs[i].times[k - 1] : &nothing,
                          &play->jobs[i].times[k]);
                    world_commit(world);
                }
    }
    world->now = until;
}

static bool expire_rows(struct world *world, size_t most)
{
    bool has_more;
    world_begin(world);
    must(world, pool_minutes_expire(world->stats, 64, most, &has_more, &world->error));
    world_commit(world);
    return has_more;
}

static void expire(struct world *world)
{
    while (expire_rows(world, 1000))
        continue;
}

static void read_history_of(struct world *world, const char *labels,
                            const struct pool_history_span *span, struct pool_history_slots *slots,
                            struct pool_history *history)
{
    const struct pool *pool = world_find_pool(world, labels);
    assert_non_null(pool);
    must(world, pool_history_slots_of(span, world->now, slots, &world->error));
    world_read(world);
    const struct ended_reader ended = {
        world->transaction, &world->arena, {world->now, JOB_GRACE}, &world->error};
    struct pool_reader reader = {
        .transaction = world->transaction, .pool = pool, .now = world->now, .error = &world->error};
    must(world, ended_jobs_of_pool(&ended, pool, &reader.ends));
    must(world, pool_history_read(&reader, slots, &world->arena, history));
    world_end(world);
}

static void read_history(struct world *world, const struct pool_history_span *span,
                         struct pool_history_slots *slots, struct pool_history *history)
{
    read_history_of(world, "linux", span, slots, history);
}

struct truth {
    uint64_t arrivals, starts, waits;
    uint64_t queued_max, running_max, queued_seconds, running_seconds;
};

// By counting the jobs in each second.
static struct truth count_jobs(const struct play *play, timestamp_ns start, duration_ns length,
                               timestamp_ns known_before)
{
    struct truth truth = {0};
    const struct job_times *times[JOBS];
    for (int i = 0; i < JOBS; i++) {
        times[i] = known(&play->jobs[i], known_before);
        timestamp_ns ready = times[i]->ready, started = times[i]->started;
        truth.arrivals += ready >= start && ready < start + length ? 1 : 0;
        truth.starts += started >= start && started < start + length ? 1 : 0;
    }
    for (timestamp_ns at = start; at < start + length; at += NS_PER_SECOND) {
        uint64_t queued = 0, running = 0;
        for (int i = 0; i < JOBS; i++) {
            const struct job_times *of = times[i];
            if (of->ready == TIMESTAMP_UNKNOWN || at < of->ready ||
                (of->ended != TIMESTAMP_UNKNOWN && at >= of->ended))
                continue;
            bool runs = of->started != TIMESTAMP_UNKNOWN && at >= of->started;
            queued += runs ? 0 : 1;
            running += runs ? 1 : 0;
        }
        truth.queued_max = queued > truth.queued_max ? queued : truth.queued_max;
        truth.running_max = running > truth.running_max ? running : truth.running_max;
        truth.queued_seconds += queued;
        truth.running_seconds += running;
    }
    return truth;
}

static void check_slot(const struct pool_slot *slot, const struct truth *truth, duration_ns length)
{
    double seconds = (double)(length / NS_PER_SECOND);
    assert_true(slot->is_known);
    assert_int_equal(slot->arrivals, truth->arrivals);
    assert_int_equal(slot->starts, truth->starts);
    assert_int_equal(slot->waits != NULL ? slot->waits->count : 0, truth->starts);
    assert_int_equal(slot->queued_max, truth->queued_max);
    assert_int_equal(slot->running_max, truth->running_max);
    assert_int_equal(slot->queued_mean * seconds + 0.5, truth->queued_seconds);
    assert_int_equal(slot->running_mean * seconds + 0.5, truth->running_seconds);
}

// Of all slots that have ended and are known.
static void check_history(struct world *world, const struct play *play,
                          const struct pool_history_span *span)
{
    struct pool_history_slots slots;
    struct pool_history history;
    size_t checked = 0;
    read_history(world, span, &slots, &history);
    for (size_t i = 0; i < slots.count; i++) {
        timestamp_ns start = slots.first + (duration_ns)i * slots.length;
        timestamp_ns hour_end = start - start % NS_PER_HOUR + NS_PER_HOUR;
        timestamp_ns final = hour_end + POOL_MINUTES_KEPT;
        if (start + slots.length <= history.known_since || start + slots.length > world->now)
            continue;
        struct truth truth =
            count_jobs(play, start, slots.length, final < world->now + 1 ? final : world->now + 1);
        check_slot(&history.slots[i], &truth, slots.length);
        checked++;
    }
    assert_true(checked > 40);
}

// The waits that ended in one hour or a part of it, as they were known when that hour became final.
static void add_waits(const struct play *play, timestamp_ns now, timestamp_ns start,
                      timestamp_ns end, struct histogram *waits)
{
    timestamp_ns final = start - start % NS_PER_HOUR + NS_PER_HOUR + POOL_MINUTES_KEPT;
    for (int i = 0; i < JOBS; i++) {
        const struct job_times *times = known(&play->jobs[i], final < now + 1 ? final : now + 1);
        if (times->started >= start && times->started < end)
            histogram_add(waits, times->started - times->ready);
    }
}

static timestamp_ns least(timestamp_ns a, timestamp_ns b)
{
    return a < b ? a : b;
}

static uint64_t check_waits(struct world *world, const struct play *play,
                            const struct pool_history_span *span)
{
    struct pool_history_slots hours;
    struct pool_wait_slots slots;
    struct histogram waits[POOL_WAIT_SLOTS_MAX] = {{0}};
    const struct pool_id linux_pool = pool_make_id(SLICE("linux"));
    uint64_t count = 0;
    must(world, pool_history_slots_of(span, world->now, &hours, &world->error));
    pool_wait_slots_of(&hours, &slots);
    world_read(world);
    must(world, pool_waits_read(world->transaction, &linux_pool, &slots, waits, &world->error));
    world_end(world);
    for (size_t i = 0; i < slots.count; i++) {
        struct histogram wanted = {0};
        timestamp_ns at = slots.first + (duration_ns)i * slots.length;
        timestamp_ns end = least(at + slots.length, slots.end);
        for (; at < end; at = least(at - at % NS_PER_HOUR + NS_PER_HOUR, end))
            add_waits(play, world->now, at, least(at - at % NS_PER_HOUR + NS_PER_HOUR, end),
                      &wanted);
        assert_int_equal(waits[i].count, wanted.count);
        assert_memory_equal(waits[i].buckets, wanted.buckets, sizeof wanted.buckets);
        count += wanted.count;
    }
    return count;
}

// `every`: hours between two times at which minutes become hours.
static void play_and_check(struct world *world, uint64_t seed, int every)
{
    const duration_ns minute = NS_PER_MINUTE;
    const struct pool_history_span spans[] = {
        {.window = minute},           {.window = 97 * minute},    {.window = NS_PER_DAY},
        {.window = 50 * NS_PER_HOUR}, {.window = 7 * NS_PER_DAY}, {.window = 35 * NS_PER_DAY}};
    struct play *play = test_calloc(1, sizeof *play);
    uint64_t checked = 0;
    play->start = world->now - world->now % NS_PER_HOUR;
    invent(play, seed);
    world->now = play->start - 1;
    for (int hour = 1; hour <= HOURS + 60; hour++) {
        learn_until(world, play, play->start + hour * NS_PER_HOUR + 61 * NS_PER_SECOND);
        if (hour % every == 0) {
            (void)expire_rows(world, 1); // some hours are still minutes
            checked += check_waits(world, play, &spans[5]);
            expire(world);
        }
        if (hour % 29 == 0 && hour > 48) {
            check_history(world, play, &(struct pool_history_span){.window = 24 * NS_PER_HOUR});
            check_history(world, play, &(struct pool_history_span){.window = 10 * NS_PER_DAY});
            check_history(world, play,
                          &(struct pool_history_span){.from = play->start - NS_PER_DAY,
                                                      .to = world->now - 5 * NS_PER_HOUR});
            for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
                checked += check_waits(world, play, &spans[i]);
            checked += check_waits(world, play,
                                   &(struct pool_history_span){.from = play->start + 77 * minute,
                                                               .to = world->now - 333 * minute});
        }
        arena_clear(&world->arena);
    }
    assert_true(checked > 300);
    test_free(play);
}

static void hours_are_what_was_known_of_their_jobs_after_25_hours(void **state)
{
    play_and_check(*state, 1, 1);
}

static void hours_do_not_depend_on_when_they_are_made_of_minutes(void **state)
{
    play_and_check(*state, 2, 17);
}

static void hours_are_the_same_while_they_are_still_minutes(void **state)
{
    play_and_check(*state, 3, 1000);
}

// --- what is known -------------------------------------------------------------------------------

static void before_its_first_change_nothing_is_known_of_a_pool(void **state)
{
    struct world *world = *state;
    struct pool_history_slots slots;
    struct pool_history history;
    timestamp_ns ready = world->now - 90 * NS_PER_SECOND;
    const struct job_times job = {.ready = ready, .labels = SLICE("linux")};
    world_begin(world);
    learn(world, 1, &nothing, &job);
    world_commit(world);
    read_history(world, &(struct pool_history_span){.window = NS_PER_HOUR}, &slots, &history);
    assert_int_equal(history.known_since, ready - ready % NS_PER_MINUTE);
    for (size_t i = 0; i < slots.count; i++) {
        bool is_known = slots.first + (duration_ns)(i + 1) * NS_PER_MINUTE > ready;
        assert_int_equal(history.slots[i].is_known, is_known);
        assert_int_equal(history.slots[i].queued_max, is_known ? 1 : 0);
    }
    world->now += 12 * NS_PER_DAY;
    expire(world);
    read_history(world, &(struct pool_history_span){.window = 20 * NS_PER_DAY}, &slots, &history);
    assert_int_equal(history.known_since, ready - ready % NS_PER_MINUTE);
    assert_int_equal(slots.count, 480);
    for (size_t i = 0; i < slots.count; i++) {
        bool is_known = slots.first + (duration_ns)(i + 1) * NS_PER_HOUR > ready;
        assert_int_equal(history.slots[i].is_known, is_known);
        assert_int_equal(history.slots[i].queued_max, is_known ? 1 : 0);
    }
}

static void a_slot_that_has_not_ended_is_that_up_to_now(void **state)
{
    struct world *world = *state;
    struct pool_history_slots slots;
    struct pool_history history;
    world->now += NS_PER_HOUR - world->now % NS_PER_HOUR + 600 * NS_PER_SECOND - 1;
    const struct job_times job = {.ready = world->now + 1 - 300 * NS_PER_SECOND,
                                  .labels = SLICE("linux")};
    world_begin(world);
    learn(world, 1, &nothing, &job);
    world_commit(world);
    read_history(world, &(struct pool_history_span){.window = 2 * NS_PER_DAY}, &slots, &history);
    assert_int_equal(slots.length, NS_PER_HOUR);
    assert_true(history.slots[slots.count - 1].queued_mean == 0.5);
}

// Of which only its begin and its end are changes.
static void a_job_of_many_hours_is_in_each_of_them(void **state)
{
    struct world *world = *state;
    struct pool_history_slots slots;
    struct pool_history history;
    timestamp_ns start = world->now - world->now % NS_PER_HOUR;
    struct job_times job = {.ready = start, .started = start, .labels = SLICE("linux")};
    world_begin(world);
    learn(world, 1, &nothing, &job);
    world_commit(world);
    for (int hour = 1; hour <= 60; hour++) {
        world->now = start + hour * NS_PER_HOUR;
        if (hour == 50) {
            struct job_times ended = job;
            ended.ended = world->now;
            world_begin(world);
            learn(world, 1, &job, &ended);
            world_commit(world);
        }
        expire(world);
        read_history(world, &(struct pool_history_span){.window = 5 * NS_PER_DAY}, &slots,
                     &history);
        for (size_t i = 0; i < slots.count; i++) {
            timestamp_ns at = slots.first + (duration_ns)i * NS_PER_HOUR;
            bool runs = at >= start && at < start + 50 * NS_PER_HOUR;
            assert_int_equal(history.slots[i].is_known, at >= start);
            assert_int_equal(history.slots[i].running_max, runs ? 1 : 0);
            assert_true(history.slots[i].running_mean == (runs ? 1 : 0));
        }
    }
}

// It is in the hours that were final when its end became known, and in none after them.
static void
an_end_that_becomes_known_days_later_counts_from_the_first_hour_that_is_not_final(void **state)
{
    struct world *world = *state;
    struct pool_history_slots slots;
    struct pool_history history;
    timestamp_ns start = world->now - world->now % NS_PER_HOUR;
    struct job_times job = {.ready = start, .started = start, .labels = SLICE("linux")};
    struct job_times ended = job;
    ended.ended = start + 3 * NS_PER_HOUR;
    world_begin(world);
    learn(world, 1, &nothing, &job);
    world_commit(world);
    world->now = start + 80 * NS_PER_HOUR;
    for (int i = 0; i < 40; i++, world->now += NS_PER_HOUR) {
        if (i == 1) {
            world_begin(world);
            learn(world, 1, &job, &ended);
            world_commit(world);
        }
        read_history(world, &(struct pool_history_span){.from = start}, &slots, &history);
        for (size_t k = 0; k + 1 < slots.count; k++)
            assert_int_equal(history.slots[k].running_max, i == 0 || k < 81 - 25 ? 1 : 0);
        if (i % 7 == 0)
            expire(world);
    }
}

// As the engine counts a job: before it leaves its runner.
static void learn_on_runner(struct world *world, uint8_t number, const struct job_times *before,
                            const struct job_times *after)
{
    const struct store_key key = world_key(number);
    struct pool_place left = place_of(before), entered = place_of(after);
    struct job_times times = *after;
    left.use = (struct runner_use){.runner = {7}, .start = before->started};
    entered.use = (struct runner_use){.runner = {7}, .start = after->started};
    world_begin(world);
    must(world, pool_minutes_change(world->stats, &key, before, &times, &world->error));
    must(world, pool_move_job(world->stats, &key, &left, &entered, &world->error));
    world_commit(world);
}

// The first job runs in [0, 70) minutes as far as is known, the second one in [70, 80).
static void check_turns(struct world *world, timestamp_ns start, duration_ns window)
{
    struct pool_history_slots slots;
    struct pool_history history;
    read_history(world, &(struct pool_history_span){.window = window}, &slots, &history);
    for (size_t i = 0; i < slots.count; i++) {
        timestamp_ns at = slots.first + (duration_ns)i * slots.length;
        bool runs = at >= start && at < start + 80 * NS_PER_MINUTE;
        assert_int_equal(history.slots[i].running_max, runs ? 1 : 0);
        if (at >= start && slots.length == NS_PER_HOUR && at + NS_PER_HOUR < world->now)
            assert_int_equal(history.slots[i].running_mean * 60 + 0.5, at == start ? 60
                                                                       : runs      ? 20
                                                                                   : 0);
    }
    arena_clear(&world->arena);
}

// Its runner took the second job at minute 70. What becomes known of its end 50 hours later changes nothing any more.
static void check_lost_end(struct world *world, int ended_minute)
{
    timestamp_ns start = world->now - world->now % NS_PER_HOUR;
    struct job_times lost = {.ready = start, .started = start, .labels = SLICE("linux")};
    struct job_times next = lost, done, ended = lost;
    next.ready = next.started = start + 70 * NS_PER_MINUTE;
    done = next;
    done.ended = start + 80 * NS_PER_MINUTE;
    ended.ended = start + ended_minute * NS_PER_MINUTE;
    world->now = start;
    learn_on_runner(world, 1, &nothing, &lost);
    world->now = next.started;
    learn_on_runner(world, 2, &nothing, &next);
    world->now = done.ended;
    learn_on_runner(world, 2, &next, &done);
    world->now = start + 100 * NS_PER_MINUTE;
    check_turns(world, start, 99 * NS_PER_MINUTE);
    for (int hour = 2; hour <= 90; hour++) {
        world->now = start + hour * NS_PER_HOUR;
        if (hour == 50)
            learn_on_runner(world, 1, &lost, &ended);
        check_turns(world, start, 5 * NS_PER_DAY);
        if (hour % 3 == 0)
            expire(world);
        check_turns(world, start, 5 * NS_PER_DAY);
    }
}

static void a_job_whose_runner_has_taken_another_one_is_in_no_hour_after_it(void **state)
{
    check_lost_end(*state, 30);
}

static void neither_is_it_once_it_is_given_up(void **state)
{
    check_lost_end(*state, 70);
}

// The jobs of a pool that is folded were not in "(one-off)" before: hours that are final do not change.
static void a_folded_pool_goes_on_in_the_hours_that_are_not_final(void **state)
{
    struct world *world = *state;
    const struct pool_history_span days = {.window = 10 * NS_PER_DAY};
    struct pool_history_slots slots;
    struct pool_history history;
    struct job_times real = {.ready = world->now, .labels = SLICE("real")};
    struct job_times invented = {.ready = world->now + NS_PER_HOUR, .labels = SLICE("invented")};
    struct job_times busy = {.labels = SLICE("busy")};
    world_restart(world, &(struct stats_options){.max_pools = 1});
    world_begin(world);
    learn(world, 1, &nothing, &real);
    world_commit(world);
    world->now = invented.ready;
    world_begin(world);
    learn(world, 2, &nothing, &invented);
    world_commit(world);
    world->now += 3 * NS_PER_DAY;
    expire(world);
    busy.ready = busy.started = world->now;
    world_begin(world);
    learn(world, 3, &nothing, &busy);
    world_commit(world);
    assert_null(world_find_pool(world, "real"));
    for (int i = 0; i < 30; i++, world->now += NS_PER_HOUR) {
        read_history_of(world, "(one-off)", &days, &slots, &history);
        for (size_t k = 0; k < slots.count; k++) {
            timestamp_ns start = slots.first + (duration_ns)k * slots.length;
            bool is_final = start + slots.length + POOL_MINUTES_KEPT <= busy.ready;
            if (history.slots[k].is_known)
                assert_int_equal(history.slots[k].queued_max, is_final ? 1 : 2);
        }
        assert_int_equal(history.known_since, invented.ready - invented.ready % NS_PER_MINUTE);
        expire(world);
    }
}

// --- what is asked for ---------------------------------------------------------------------------

static void check_slots(const struct pool_history_span *span, timestamp_ns now, timestamp_ns first,
                        duration_ns length, size_t count)
{
    struct pool_history_slots slots;
    struct error error;
    assert_int_equal(pool_history_slots_of(span, now, &slots, &error), ERROR_NONE);
    assert_int_equal(slots.first, first);
    assert_int_equal(slots.length, length);
    assert_int_equal(slots.count, count);
}

static void a_day_is_shown_by_minute_and_what_is_longer_or_older_by_hour(void **state)
{
    const timestamp_ns m = NS_PER_MINUTE, h = NS_PER_HOUR, d = NS_PER_DAY;
    const timestamp_ns midnight = 20000 * d, now = midnight + 10 * h + 30 * m + 5 * NS_PER_SECOND;
    (void)state;
    check_slots(&(struct pool_history_span){.window = 0}, now, midnight + 9 * h + 31 * m, m, 60);
    check_slots(&(struct pool_history_span){.window = 90 * NS_PER_SECOND}, now,
                midnight + 10 * h + 29 * m, m, 2);
    check_slots(&(struct pool_history_span){.window = d}, now, midnight - d + 10 * h + 31 * m, m,
                1440);
    check_slots(&(struct pool_history_span){.window = d + m}, now, midnight - d + 10 * h, h, 25);
    check_slots(&(struct pool_history_span){.window = 35 * d}, now, midnight - 35 * d + 11 * h, h,
                840);
    check_slots(&(struct pool_history_span){.from = midnight - 7 * d, .to = midnight - 6 * d}, now,
                midnight - 7 * d, h, 24);
    check_slots(&(struct pool_history_span){.window = d, .to = midnight - 6 * d}, now,
                midnight - 7 * d, h, 24);
    check_slots(&(struct pool_history_span){.from = midnight + 1, .to = midnight + h}, now,
                midnight, m, 60);
    check_slots(&(struct pool_history_span){.from = midnight, .to = now + d}, now, midnight, m,
                631);
    check_slots(&(struct pool_history_span){.from = now - 25 * h, .to = now - 24 * h}, now,
                midnight - d + 9 * h + 30 * m, m, 61);
    check_slots(&(struct pool_history_span){.from = now - 26 * h, .to = now - 25 * h}, now,
                midnight - d + 8 * h, h, 2);
}

static void check_fewer(const struct pool_history_slots *slots, duration_ns length, size_t count)
{
    struct pool_wait_slots fewer;
    pool_wait_slots_of(slots, &fewer);
    assert_int_equal(fewer.first, slots->first);
    assert_int_equal(fewer.end, slots->first + (duration_ns)slots->count * slots->length);
    assert_int_equal(fewer.length, length);
    assert_int_equal(fewer.count, count);
}

static void waits_are_in_at_most_96_slots_of_round_lengths(void **state)
{
    const timestamp_ns m = NS_PER_MINUTE, h = NS_PER_HOUR, first = 20000 * NS_PER_DAY;
    (void)state;
    check_fewer(&(struct pool_history_slots){first, m, 1}, m, 1);
    check_fewer(&(struct pool_history_slots){first, m, 96}, m, 96);
    check_fewer(&(struct pool_history_slots){first, m, 97}, 2 * m, 49);
    check_fewer(&(struct pool_history_slots){first, m, 360}, 5 * m, 72);
    check_fewer(&(struct pool_history_slots){first, m, 1440}, 15 * m, 96);
    check_fewer(&(struct pool_history_slots){first, h, 25}, h, 25);
    check_fewer(&(struct pool_history_slots){first, h, 168}, 2 * h, 84);
    check_fewer(&(struct pool_history_slots){first, h, 842}, 12 * h, 71);
}

static void check_refused(const struct pool_history_span *span, const char *message)
{
    struct pool_history_slots slots;
    struct error error;
    const timestamp_ns now = 20000 * NS_PER_DAY;
    assert_int_equal(pool_history_slots_of(span, now, &slots, &error), ERROR_USAGE);
    assert_string_equal(error.message, message);
}

static void what_cannot_be_shown_is_refused_in_a_sentence(void **state)
{
    const timestamp_ns now = 20000 * NS_PER_DAY, h = NS_PER_HOUR;
    (void)state;
    check_refused(&(struct pool_history_span){.window = 30 * NS_PER_SECOND},
                  "window: want a time from 1m to 35d");
    check_refused(&(struct pool_history_span){.window = 36 * NS_PER_DAY},
                  "window: want a time from 1m to 35d");
    check_refused(&(struct pool_history_span){.window = h, .from = now - h},
                  "want either from or window");
    check_refused(&(struct pool_history_span){.from = now + h}, "from: is in the future");
    check_refused(&(struct pool_history_span){.from = now - h, .to = now - h},
                  "to: is not later than from");
    check_refused(&(struct pool_history_span){.from = now - 40 * NS_PER_DAY},
                  "from: there is no history from before 35 days ago");
    check_refused(&(struct pool_history_span){.window = h, .to = now - 36 * NS_PER_DAY},
                  "from: there is no history from before 35 days ago");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hours_are_what_was_known_of_their_jobs_after_25_hours),
        TEST(hours_do_not_depend_on_when_they_are_made_of_minutes),
        TEST(hours_are_the_same_while_they_are_still_minutes),
        TEST(before_its_first_change_nothing_is_known_of_a_pool),
        TEST(a_slot_that_has_not_ended_is_that_up_to_now),
        TEST(a_job_of_many_hours_is_in_each_of_them),
        TEST(an_end_that_becomes_known_days_later_counts_from_the_first_hour_that_is_not_final),
        TEST(a_job_whose_runner_has_taken_another_one_is_in_no_hour_after_it),
        TEST(neither_is_it_once_it_is_given_up),
        TEST(a_folded_pool_goes_on_in_the_hours_that_are_not_final),
        cmocka_unit_test(a_day_is_shown_by_minute_and_what_is_longer_or_older_by_hour),
        cmocka_unit_test(waits_are_in_at_most_96_slots_of_round_lengths),
        cmocka_unit_test(what_cannot_be_shown_is_refused_in_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
