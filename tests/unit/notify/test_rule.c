// What is sent of one trouble to one receiver.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/notify/rule.h"

#define MINUTE NS_PER_MINUTE
#define START (1000 * NS_PER_HOUR)

static const struct notice_times times = {.hold = 5 * MINUTE, .age_max = NOTICE_AGE_MAX};

struct world {
    struct notice_state state;
    timestamp_ns now;
};

static struct world new_world(void)
{
    return (struct world){.now = START};
}

static enum notice_event look(struct world *world, enum notice_presence presence)
{
    const struct notice_observation seen = {presence, world->now - 20 * MINUTE, world->now};
    return notice_advance(&world->state, &seen, &times);
}

static enum notice_event answer(struct world *world, enum notice_result result)
{
    assert_true(notice_is_pending(&world->state));
    world->state.is_in_flight = true;
    return notice_settle(&world->state, result);
}

// A trouble whose begin was sent.
static struct world new_begun(void)
{
    struct world world = new_world();
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_BEGIN_DUE);
    assert_int_equal(world.state.began_at, START - 20 * MINUTE);
    assert_int_equal(answer(&world, NOTICE_SENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_BEGUN);
    return world;
}

static void a_begin_is_sent_once_and_its_end_after_the_hold(void **state)
{
    struct world world = new_begun();
    (void)state;
    for (int i = 0; i < 100; i++, world.now += MINUTE)
        (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(world.state.phase, NOTICE_BEGUN);
    timestamp_ns over = world.now;
    for (int i = 0; i < 5; i++, world.now += MINUTE) {
        (void)look(&world, NOTICE_ABSENT);
        assert_int_equal(world.state.phase, NOTICE_HELD);
    }
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(world.state.phase, NOTICE_END_DUE);
    assert_int_equal(world.state.ended_at, over);
    assert_int_equal(answer(&world, NOTICE_SENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_NONE);
}

static void a_begin_that_was_not_sent_is_dropped_when_the_trouble_is_over(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(answer(&world, NOTICE_NOT_SENT), NOTICE_NO_EVENT);
    assert_int_equal(look(&world, NOTICE_ABSENT), NOTICE_FOLDED);
    assert_int_equal(world.state.phase, NOTICE_NONE);
}

static void an_end_that_was_not_sent_is_dropped_when_the_trouble_is_back(void **state)
{
    struct world world = new_begun();
    (void)state;
    (void)look(&world, NOTICE_ABSENT);
    world.now += 4 * MINUTE;
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_FOLDED); // within the hold
    assert_int_equal(world.state.phase, NOTICE_BEGUN);
    assert_int_equal(world.state.ended_at, TIMESTAMP_UNKNOWN);
    (void)look(&world, NOTICE_ABSENT);
    world.now += 5 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(world.state.phase, NOTICE_END_DUE);
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_FOLDED);
    assert_int_equal(world.state.phase, NOTICE_BEGUN);
}

static void what_is_in_flight_waits_for_its_answer(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_PRESENT);
    world.state.is_in_flight = true;
    assert_int_equal(look(&world, NOTICE_ABSENT), NOTICE_NO_EVENT);
    assert_int_equal(notice_settle(&world.state, NOTICE_SENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_BEGUN); // so its end is sent, too
    (void)look(&world, NOTICE_ABSENT);
    world.now += 5 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    world.state.is_in_flight = true;
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_NO_EVENT);
    assert_int_equal(notice_settle(&world.state, NOTICE_SENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_NONE);
    (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(world.state.phase, NOTICE_BEGIN_DUE);
}

static void what_is_pending_for_a_day_is_dropped(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_PRESENT);
    world.now += NS_PER_DAY - 1;
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_NO_EVENT);
    world.now += 1;
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_TOO_OLD);
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_NO_EVENT); // and not begun again
    assert_false(notice_is_pending(&world.state));
    assert_int_equal(look(&world, NOTICE_ABSENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_NONE);

    world = new_begun();
    (void)look(&world, NOTICE_ABSENT);
    world.now += 5 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    world.now += NS_PER_DAY;
    assert_int_equal(look(&world, NOTICE_ABSENT), NOTICE_TOO_OLD);
    assert_int_equal(world.state.phase, NOTICE_NONE);
}

static void what_is_refused_five_times_is_dropped(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_PRESENT);
    for (int i = 0; i < NOTICE_TRIES_MAX - 1; i++) {
        assert_int_equal(answer(&world, NOTICE_NOT_TAKEN), NOTICE_NO_EVENT);
        assert_int_equal(answer(&world, NOTICE_NOT_SENT), NOTICE_NO_EVENT); // does not count
    }
    assert_int_equal(answer(&world, NOTICE_NOT_TAKEN), NOTICE_REFUSED);
    assert_int_equal(world.state.phase, NOTICE_DROPPED);
}

static void a_trouble_that_another_one_takes_over_begins_no_notice_and_ends_none(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_LASTING);
    assert_int_equal(world.state.phase, NOTICE_NONE);
    (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(look(&world, NOTICE_LASTING), NOTICE_FOLDED);
    assert_int_equal(world.state.phase, NOTICE_NONE);
    world = new_begun();
    for (int i = 0; i < 20; i++, world.now += MINUTE)
        assert_int_equal(look(&world, NOTICE_LASTING), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_BEGUN);
}

static void a_clock_that_is_set_back_delays_nothing_for_longer_than_the_hold(void **state)
{
    struct world world = new_begun();
    (void)state;
    (void)look(&world, NOTICE_ABSENT);
    world.now -= 100 * NS_PER_HOUR;
    (void)look(&world, NOTICE_ABSENT);
    world.now += 5 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(world.state.phase, NOTICE_END_DUE);
}

static void a_begin_that_may_have_been_received_is_sent_again_and_then_its_end(void **state)
{
    struct world world = new_world();
    (void)state;
    (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(answer(&world, NOTICE_UNKNOWN), NOTICE_NO_EVENT);
    assert_int_equal(answer(&world, NOTICE_NOT_SENT),
                     NOTICE_NO_EVENT); // the first may still have been
    timestamp_ns over = world.now;
    assert_int_equal(look(&world, NOTICE_ABSENT), NOTICE_NO_EVENT);
    world.now += 10 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(world.state.phase, NOTICE_BEGIN_DUE);
    assert_int_equal(answer(&world, NOTICE_SENT), NOTICE_NO_EVENT);
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(world.state.phase, NOTICE_END_DUE); // it has been over for long
    assert_int_equal(world.state.ended_at, over);
}

static void an_end_that_may_have_been_received_is_sent_again_and_then_a_begin(void **state)
{
    struct world world = new_begun();
    (void)state;
    (void)look(&world, NOTICE_ABSENT);
    world.now += 5 * MINUTE;
    (void)look(&world, NOTICE_ABSENT);
    assert_int_equal(answer(&world, NOTICE_UNKNOWN), NOTICE_NO_EVENT);
    assert_int_equal(look(&world, NOTICE_PRESENT), NOTICE_NO_EVENT);
    assert_int_equal(world.state.phase, NOTICE_END_DUE);
    (void)answer(&world, NOTICE_SENT);
    (void)look(&world, NOTICE_PRESENT);
    assert_int_equal(world.state.phase, NOTICE_BEGIN_DUE);
}

// --- any history ----------------------------------------------------------------------------------

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

// What a receiver got.
struct history {
    bool has_begin; // the last that it got was a begin, and it was not dropped afterwards
    int begins, ends;
    enum notice_phase last; // what it got last, and since when that was pending
    timestamp_ns last_due_at;
};

// The receiver gets what is in flight, unless it has it already: begins and ends alternate.
static void receive(struct world *world, struct history *history)
{
    bool is_begin = world->state.phase == NOTICE_BEGIN_DUE;
    if (history->last == world->state.phase && history->last_due_at == world->state.due_at)
        return;
    history->last = world->state.phase;
    history->last_due_at = world->state.due_at;
    assert_int_equal(history->has_begin, !is_begin);
    history->has_begin = is_begin;
    history->begins += is_begin ? 1 : 0;
    history->ends += is_begin ? 0 : 1;
    if (!is_begin)
        assert_true(world->now - world->state.ended_at >= times.hold);
}

// What follows a begin or an end that was dropped is a begin.
static void note_event(struct history *history, enum notice_event event)
{
    if (event == NOTICE_TOO_OLD || event == NOTICE_REFUSED)
        history->has_begin = false;
}

static void end_request(struct world *world, struct history *history)
{
    enum notice_result result = (enum notice_result)draw(4);
    if (result == NOTICE_SENT || (result == NOTICE_UNKNOWN && draw(2) == 0))
        receive(world, history);
    note_event(history, notice_settle(&world->state, result));
}

static void step(struct world *world, struct history *history, enum notice_presence presence)
{
    note_event(history, look(world, presence));
    if (world->state.is_in_flight && draw(2) == 0)
        end_request(world, history);
    else if (notice_is_pending(&world->state) && draw(2) == 0)
        world->state.is_in_flight = true;
    if (world->state.is_in_flight && draw(20) == 0) { // a crash, after the request or before it
        if (draw(2) == 0)
            receive(world, history);
        world->state.is_in_flight = false;
        world->state.is_unsure = true;
    }
    world->now += (duration_ns)draw(3) * MINUTE + 1;
}

static void begins_and_ends_alternate_whatever_happens(void **state)
{
    int begins = 0, ends = 0;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct world world = new_world();
        struct history history = {.has_begin = false};
        enum notice_presence presence = NOTICE_ABSENT;
        for (int i = 0; i < 300; i++) {
            if (draw(4) == 0)
                presence = (enum notice_presence)draw(3);
            step(&world, &history, presence);
        }
        // Then there is no trouble, and what is pending is accepted.
        for (int i = 0; i < 20; i++, world.now += MINUTE) {
            (void)look(&world, NOTICE_ABSENT);
            if (!notice_is_pending(&world.state))
                continue;
            world.state.is_in_flight = true;
            receive(&world, &history);
            (void)notice_settle(&world.state, NOTICE_SENT);
        }
        assert_false(history.has_begin);
        assert_int_equal(world.state.phase, NOTICE_NONE);
        begins += history.begins;
        ends += history.ends;
    }
    assert_true(begins > 2000 && ends > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_begin_is_sent_once_and_its_end_after_the_hold),
        cmocka_unit_test(a_begin_that_was_not_sent_is_dropped_when_the_trouble_is_over),
        cmocka_unit_test(an_end_that_was_not_sent_is_dropped_when_the_trouble_is_back),
        cmocka_unit_test(what_is_in_flight_waits_for_its_answer),
        cmocka_unit_test(what_is_pending_for_a_day_is_dropped),
        cmocka_unit_test(what_is_refused_five_times_is_dropped),
        cmocka_unit_test(a_trouble_that_another_one_takes_over_begins_no_notice_and_ends_none),
        cmocka_unit_test(a_clock_that_is_set_back_delays_nothing_for_longer_than_the_hold),
        cmocka_unit_test(a_begin_that_may_have_been_received_is_sent_again_and_then_its_end),
        cmocka_unit_test(an_end_that_may_have_been_received_is_sent_again_and_then_a_begin),
        cmocka_unit_test(begins_and_ends_alternate_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
