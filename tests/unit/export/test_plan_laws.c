// The laws of exporting, over thousands of scripted endpoints: what an endpoint is able to accept arrives; nothing is
// lost; a record becomes a dead letter only by the rule; requests stay bounded while nothing is accepted. (The last three are
// checked at each step by plan_world.h.) All of them over both protocols' statuses. And whatever it answers to records of
// other programs, ours are sent and settled as without them.
#include "plan_world.h"

#include <stdio.h>

#define SCRIPTS 3000 // over each protocol; PLAN_SCRIPTS=30000 for more
#define WINDOWS_MAX 3

static const struct manner manners[] = {
    {.transport = EXPORT_BROKEN},
    {.transport = EXPORT_TIMED_OUT, .delay = 10 * NS_PER_SECOND},
    {.transport = EXPORT_BROKEN, .delay = 500 * NS_PER_MS},
    {.status = 503},
    {.status = 503, .retry_after = 2 * NS_PER_SECOND},
    {.status = 500},
    {.status = 502},
    {.status = 429},
    {.status = 429, .retry_after = 20 * NS_PER_SECOND},
    {.status = 403},
    {.status = 401},
    {.status = 404},
    {.status = 400, .content_type = "text/plain"},
    {.status = 302},
    {.status = 418},
    {.status = 200, .content_type = "text/html"},
    {.status = 413},
    {.status = 422},
    {.status = 400, .has_status_message = true},
    {.transport = EXPORT_NO_CONNECTION},
};
#define MANNERS (sizeof manners / sizeof manners[0])
#define FIRST_ABOUT_DATA 16
#define NO_CONNECTION (MANNERS - 1)

struct outage_window {
    timestamp_ns from, to;
    const struct manner *manner;
};

// An endpoint: which records it never accepts, how large a request may be, when it accepts nothing, how often it fails.
struct endpoint {
    bool is_poison[RECORDS_MAX + 1];
    const struct manner *poison;
    size_t bytes_max, records_max; // 0: no limit
    const struct manner *oversize;
    size_t bytes_per_second; // 0: any; with a time-out of 2 s
    struct outage_window windows[WINDOWS_MAX];
    size_t window_count;
    unsigned failing_percent;
    bool alternates;
    const struct manner *failure;
    uint64_t asked;
    // To records of other programs: `forwarded` to those that are poison, or to all.
    const struct manner *forwarded;
    bool refuses_all_forwarded;
    unsigned forwarded_failing_percent; // with `failure`
};

static const struct manner too_slow = {.transport = EXPORT_TIMED_OUT, .delay = 2 * NS_PER_SECOND};

static const struct manner *answer_forwarded(struct sim *sim, const struct endpoint *endpoint,
                                             const struct plan_request *request)
{
    if (endpoint->forwarded_failing_percent > 0 &&
        backoff_random(&sim->forwarded_random) % 100 < endpoint->forwarded_failing_percent)
        return endpoint->failure;
    for (size_t i = 0; i < request->count; i++) {
        if (endpoint->refuses_all_forwarded || endpoint->is_poison[request->sequences[i]])
            return endpoint->forwarded;
    }
    return NULL;
}

static const struct manner *run_endpoint(struct sim *sim, const struct plan_request *request)
{
    struct endpoint *endpoint = sim->script_context;
    const struct manner *outage = NULL;
    for (size_t i = 0; i < endpoint->window_count; i++) {
        if (endpoint->windows[i].from <= sim->now && sim->now < endpoint->windows[i].to &&
            outage == NULL)
            outage = endpoint->windows[i].manner;
    }
    if (sim->records[request->sequences[0]].is_forwarded)
        return outage != NULL ? outage : answer_forwarded(sim, endpoint, request);
    uint64_t asked = endpoint->asked++;
    if (outage != NULL)
        return outage;
    if (endpoint->failing_percent > 0 && sim_below(sim, 100) < endpoint->failing_percent)
        return endpoint->failure;
    if (endpoint->alternates && asked % 2 == 0)
        return endpoint->failure;
    if ((endpoint->bytes_max > 0 && request->bytes > endpoint->bytes_max) ||
        (endpoint->records_max > 0 && request->count > endpoint->records_max))
        return endpoint->oversize;
    if (endpoint->bytes_per_second > 0 && request->bytes > 2 * endpoint->bytes_per_second)
        return &too_slow;
    for (size_t i = 0; i < request->count; i++) {
        if (endpoint->is_poison[request->sequences[i]])
            return endpoint->poison;
    }
    return NULL;
}

static const struct manner *choose(struct sim *sim, size_t from, size_t to)
{
    return &manners[from + sim_below(sim, to - from)];
}

static void choose_poison(struct sim *sim, struct endpoint *endpoint)
{
    uint64_t n = sim->last;
    endpoint->poison = choose(sim, 0, NO_CONNECTION);
    switch (sim_below(sim, 8)) {
    case 0: // at the head
        endpoint->is_poison[1] = true;
        break;
    case 1: // at the end
        endpoint->is_poison[n] = true;
        break;
    case 2: { // two side by side
        uint64_t at = 1 + sim_below(sim, n);
        endpoint->is_poison[at] = true;
        endpoint->is_poison[at < n ? at + 1 : at] = true;
        break;
    }
    case 3: // all but one
        for (uint64_t i = 1; i <= n; i++)
            endpoint->is_poison[i] = true;
        endpoint->is_poison[1 + sim_below(sim, n)] = false;
        break;
    case 4: // a tenth
        for (uint64_t i = 1; i <= n; i++)
            endpoint->is_poison[i] = sim_below(sim, 10) == 0;
        break;
    case 5: // half
        for (uint64_t i = 1; i <= n; i++)
            endpoint->is_poison[i] = sim_below(sim, 2) == 0;
        break;
    default: // a few
        for (unsigned i = 0; i < 3; i++)
            endpoint->is_poison[1 + sim_below(sim, n)] = true;
        break;
    }
}

static void choose_limits(struct sim *sim, struct endpoint *endpoint, uint32_t largest)
{
    endpoint->oversize = choose(sim, 0, NO_CONNECTION);
    switch (sim_below(sim, 4)) {
    case 0:
        endpoint->records_max = 1;
        break;
    case 1:
        endpoint->records_max = 1 + sim_below(sim, 100);
        break;
    case 2:
        endpoint->bytes_per_second = largest / 2 + 1 + sim_below(sim, 500000);
        break;
    default:
        endpoint->bytes_max = largest + sim_below(sim, 1 << 20);
        break;
    }
}

static void choose_windows(struct sim *sim, struct endpoint *endpoint)
{
    endpoint->window_count = 1 + sim_below(sim, WINDOWS_MAX);
    timestamp_ns at = sim->now;
    for (size_t i = 0; i < endpoint->window_count; i++) {
        at += (duration_ns)sim_below(sim, 60) * 100 * NS_PER_MS;
        endpoint->windows[i].from = at;
        at += (duration_ns)(1 + sim_below(sim, 3000)) * 100 * NS_PER_MS;
        endpoint->windows[i].to = at;
        endpoint->windows[i].manner = choose(sim, 0, MANNERS);
    }
}

static bool has_all_that_can_be_sent(struct sim *sim)
{
    const struct endpoint *endpoint = sim->script_context;
    for (uint64_t i = 1; i <= sim->last; i++) {
        enum whereabouts place = sim->records[i].place;
        if (!endpoint->is_poison[i] && !sim->records[i].is_forwarded && place != SENT &&
            place != DEAD)
            return false;
    }
    return true;
}

static uint32_t fill_outbox(struct sim *sim)
{
    static const size_t counts[] = {1, 2, 5, 60, 200, 1500};
    size_t most = counts[sim_below(sim, sizeof counts / sizeof counts[0])];
    size_t count = 1 + sim_below(sim, most);
    bool trickles = sim_below(sim, 3) == 0;
    uint32_t largest = 0;
    timestamp_ns at = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t size = (uint32_t)(100 + sim_below(sim, sim_below(sim, 10) == 0 ? 100000 : 5000));
        if (trickles && i > count / 2)
            at = (at > 0 ? at : sim->now) + (duration_ns)sim_below(sim, 2000) * NS_PER_MS;
        sim_add(sim, size, at);
        largest = size > largest ? size : largest;
    }
    return largest;
}

static bool is_grpc; // the protocol of this round of tests

static uint32_t make_script(struct sim *sim, struct endpoint *endpoint, uint64_t seed)
{
    static const size_t records_max[] = {1, 7, 64, 512};
    static const size_t bytes_max[] = {20000, 1 << 20, 4 << 20};
    sim_init(sim, seed);
    sim->is_grpc = is_grpc;
    memset(endpoint, 0, sizeof *endpoint);
    sim->options.in_flight_max = 1 + sim_below(sim, IN_FLIGHT_MAX);
    sim->options.records_max = records_max[sim_below(sim, 4)];
    sim->options.bytes_max = bytes_max[sim_below(sim, 3)];
    sim->keeps_connections = sim_below(sim, 4) > 0;
    sim->settle_time_max = sim_below(sim, 3) == 0 ? 0 : 100 * NS_PER_MS;
    sim->script = run_endpoint;
    sim->script_context = endpoint;
    uint32_t largest = fill_outbox(sim);
    return largest;
}

static void choose_troubles(struct sim *sim, struct endpoint *endpoint, uint32_t largest)
{
    if (sim_below(sim, 2) == 0)
        choose_poison(sim, endpoint);
    if (sim_below(sim, 2) == 0)
        choose_limits(sim, endpoint, largest);
    if (sim_below(sim, 2) == 0)
        choose_windows(sim, endpoint);
    if (sim_below(sim, 4) == 0)
        endpoint->failing_percent = (unsigned)(1 + sim_below(sim, 50));
    endpoint->alternates = sim_below(sim, 8) == 0;
    endpoint->failure = choose(sim, 0, MANNERS);
}

static void run_script(struct sim *sim, struct endpoint *endpoint, uint64_t seed)
{
    choose_troubles(sim, endpoint, make_script(sim, endpoint, seed));
    sim_start(sim);

    timestamp_ns start = sim->now;
    if (!sim_run(sim, start + TIME_LIMIT, has_all_that_can_be_sent))
        fail_msg("seed %llu: %u records of %llu still wait, %zu in quarantine",
                 (unsigned long long)seed, sim_count(sim, IN_OUTBOX), (unsigned long long)sim->last,
                 sim->plan.quarantine.count);
    // Where nothing but poison is ever about the data, nothing else is dead.
    bool is_exact = endpoint->failure < &manners[FIRST_ABOUT_DATA] ||
                    (endpoint->failing_percent == 0 && !endpoint->alternates);
    for (size_t i = 0; i < endpoint->window_count; i++)
        is_exact &= endpoint->windows[i].manner < &manners[FIRST_ABOUT_DATA] ||
                    endpoint->windows[i].manner == &manners[NO_CONNECTION];
    for (uint64_t i = 1; is_exact && i <= sim->last; i++)
        sim_check(sim, sim->records[i].place != DEAD || endpoint->is_poison[i]);
    sim_end(sim);
}

static void what_an_endpoint_can_accept_arrives_and_nothing_is_lost(void **state)
{
    static struct sim sim;
    static struct endpoint endpoint;
    const char *only = getenv("PLAN_SEED");
    (void)state;
    if (only != NULL) {
        run_script(&sim, &endpoint, strtoull(only, NULL, 10));
        return;
    }
    const char *count = getenv("PLAN_SCRIPTS");
    uint64_t scripts = count != NULL ? strtoull(count, NULL, 10) : SCRIPTS;
    timestamp_ns longest = 0;
    uint64_t slowest = 0;
    for (uint64_t seed = 1; seed <= scripts; seed++) {
        run_script(&sim, &endpoint, seed);
        if (sim.now > longest) {
            longest = sim.now;
            slowest = seed;
        }
    }
    printf("the slowest of %llu scripts, seed %llu, took %lld simulated minutes\n",
           (unsigned long long)scripts, (unsigned long long)slowest,
           (long long)(longest / NS_PER_MINUTE));
}

// --- records of other programs ----------------------------------------------------------------

// Makes a part of the records those of other programs.
static void give_some_away(struct sim *sim, struct endpoint *endpoint)
{
    unsigned percent = (unsigned)(5 + sim_below(sim, 90));
    for (uint64_t i = 1; i <= sim->last; i++) {
        sim->records[i].is_forwarded = sim_below(sim, 100) < percent;
        if (sim->records[i].is_forwarded)
            endpoint->is_poison[i] = sim_below(sim, 4) == 0;
    }
    endpoint->forwarded = choose(sim, 0, MANNERS);
    endpoint->refuses_all_forwarded = sim_below(sim, 2) == 0;
    endpoint->forwarded_failing_percent = sim_below(sim, 3) == 0 ? 40 : 0;
}

static void whatever_is_answered_to_other_programs_ours_are_sent_as_without_them(void **state)
{
    static struct sim without, with;
    static struct endpoint endpoint;
    const char *only = getenv("PLAN_SEED");
    const char *count = getenv("PLAN_SCRIPTS");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t scripts = only != NULL    ? first
                       : count != NULL ? strtoull(count, NULL, 10)
                                       : SCRIPTS / 2;
    uint64_t requests = 0;
    (void)state;
    for (uint64_t seed = first; seed <= scripts; seed++) {
        uint32_t largest = make_script(&without, &endpoint, seed);
        choose_troubles(&without, &endpoint, largest);
        give_some_away(&without, &endpoint);
        static struct endpoint again;
        again = endpoint;
        with = without;
        with.script_context = &again;
        with.has_forwarded = true;
        sim_start(&without);
        (void)sim_run(&without, without.now + NS_PER_HOUR, NULL);
        sim_start(&with);
        (void)sim_run(&with, with.now + NS_PER_HOUR, NULL);
        sim_check(&with, with.requests == without.requests);
        for (uint64_t i = 1; i <= with.last; i++) {
            const struct sim_record *a = &without.records[i], *b = &with.records[i];
            sim_check(&with, a->is_forwarded || (a->place == b->place && a->done_at == b->done_at &&
                                                 a->times_sent == b->times_sent));
        }
        sim_check(&with, with.plan.quarantine.count == without.plan.quarantine.count);
        requests += with.forwarded_requests;
        sim_end(&without);
        sim_end(&with);
    }
    assert_true(requests > scripts - first);
}

static struct sim scene;
static struct endpoint stage;

// So many of theirs, and one of ours each second from the first one on.
static void set_scene_of_both(unsigned theirs, unsigned ours)
{
    sim_init(&scene, 1);
    scene.is_grpc = is_grpc;
    scene.has_forwarded = true;
    memset(&stage, 0, sizeof stage);
    sim_add_many(&scene, theirs, 1000);
    for (uint64_t i = 1; i <= theirs; i++)
        scene.records[i].is_forwarded = true;
    for (unsigned i = 0; i < ours; i++)
        sim_add(&scene, 1000, scene.now + i * NS_PER_SECOND);
    scene.script = run_endpoint;
    scene.script_context = &stage;
}

static unsigned count_forwarded(enum whereabouts place)
{
    unsigned count = 0;
    for (uint64_t i = 1; i <= scene.last; i++)
        count += scene.records[i].is_forwarded && scene.records[i].place == place;
    return count;
}

static const struct manner hangs = {.transport = EXPORT_TIMED_OUT, .delay = 10 * NS_PER_SECOND};
static const struct manner refuses = {.status = 400, .has_status_message = true};
static const struct manner fails = {.status = 500};
static const struct manner cuts = {.transport = EXPORT_BROKEN};

static void what_is_poison_of_other_programs_is_found_and_the_rest_arrives(void **state)
{
    static const struct manner *const all[] = {&refuses, &fails, &cuts, &hangs};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        set_scene_of_both(500, 3000 / 2);
        stage.forwarded = all[i];
        for (uint64_t k = 10; k <= 500; k += 50)
            stage.is_poison[k] = true;
        sim_start(&scene);
        (void)sim_run(&scene, scene.now + 30 * NS_PER_MINUTE, NULL);
        sim_check(&scene, count_forwarded(SENT) == 490);
        sim_check(&scene, count_forwarded(DEAD) == 10);
        sim_check(&scene, scene.forwarded_requests < 400);
        sim_check(&scene, scene.requests == 1500);
        sim_end(&scene);
    }
}

static void where_all_of_other_programs_is_refused_it_is_settled_soon(void **state)
{
    (void)state;
    set_scene_of_both(1000, 600);
    stage.forwarded = &refuses;
    stage.refuses_all_forwarded = true;
    sim_start(&scene);
    (void)sim_run(&scene, scene.now + 10 * NS_PER_MINUTE, NULL);
    sim_check(&scene, count_forwarded(DEAD) == 1000);
    sim_check(&scene, scene.requests == 600 && scene.dead == 0);
    sim_end(&scene);
}

static void without_evidence_none_of_other_programs_is_lost_and_requests_are_few(void **state)
{
    static const struct manner *const all[] = {&refuses, &fails, &cuts};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        set_scene_of_both(1000, 0);
        stage.forwarded = all[i];
        stage.refuses_all_forwarded = true;
        sim_start(&scene);
        (void)sim_run(&scene, scene.now + NS_PER_HOUR, NULL);
        sim_check(&scene, count_forwarded(IN_OUTBOX) == 1000);
        sim_check(&scene, scene.forwarded_requests < 60 * 4 + 30);
        stage.refuses_all_forwarded = false;
        (void)sim_run(&scene, scene.now + NS_PER_MINUTE, NULL);
        sim_check(&scene, count_forwarded(SENT) == 1000);
        sim_end(&scene);
    }
}

static void a_flapping_endpoint_loses_few_of_other_programs(void **state)
{
    (void)state;
    set_scene_of_both(0, 600);
    for (unsigned i = 0; i < 600; i++) {
        uint64_t sequence = sim_add(&scene, 1000, scene.now + i * NS_PER_SECOND);
        scene.records[sequence].is_forwarded = true;
    }
    stage.failure = &fails;
    stage.forwarded_failing_percent = 30;
    sim_start(&scene);
    (void)sim_run(&scene, scene.now + NS_PER_HOUR, NULL);
    sim_check(&scene, count_forwarded(SENT) + count_forwarded(DEAD) == 600);
    sim_check(&scene, count_forwarded(DEAD) <= 6);
    sim_end(&scene);
}

// --- single scenes ----------------------------------------------------------------------------

static void set_scene(unsigned records, uint32_t size)
{
    sim_init(&scene, 1);
    scene.is_grpc = is_grpc;
    memset(&stage, 0, sizeof stage);
    sim_add_many(&scene, records, size);
    scene.script = run_endpoint;
    scene.script_context = &stage;
    scene.settle_time_max = 5 * NS_PER_MS;
}

// Runs for some minutes of simulated time, or until all that can arrive has.
static bool play(unsigned minutes)
{
    sim_start(&scene);
    return sim_run(&scene, scene.now + minutes * NS_PER_MINUTE, has_all_that_can_be_sent);
}

static const struct manner unauthorized = {.status = 401};
static const struct manner too_large = {.status = 413};
static const struct manner bad_status = {.status = 400, .has_status_message = true};
static const struct manner busy = {.status = 503};
static const struct manner reset = {.transport = EXPORT_BROKEN};
static const struct manner firewall = {.status = 403};
static const struct manner overloaded = {.status = 429};

static void accepts_nothing(const struct manner *manner)
{
    stage.windows[stage.window_count++] =
        (struct outage_window){.from = scene.now, .to = scene.now + NS_PER_HOUR, .manner = manner};
}

// How many requests in an hour in which nothing is accepted, and what happens afterwards.
static void
an_endpoint_that_accepts_nothing_gets_few_requests_and_makes_no_dead_letters(void **state)
{
    static const struct manner *const all[] = {&unauthorized, &too_large, &bad_status,
                                               &busy,         &reset,     &firewall};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        set_scene(2000, 1000);
        accepts_nothing(all[i]);
        sim_start(&scene);
        (void)sim_run(&scene, scene.now + NS_PER_MINUTE, NULL);
        sim_check(&scene, scene.requests <= plan_burst_max(&scene.options) + 12);
        uint64_t first = scene.requests;
        (void)sim_run(&scene, scene.now + 58 * NS_PER_MINUTE, NULL);
        sim_check(&scene, scene.requests - first <= 58 * 4);
        sim_check(&scene, scene.outages == 1);
        sim_check(&scene, scene.plan.quarantine.count == 0);
        sim_check(&scene, sim_run(&scene, scene.now + 3 * NS_PER_MINUTE, has_all_that_can_be_sent));
        sim_check(&scene, sim_count(&scene, SENT) == 2000);
        sim_end(&scene);
    }
}

static void one_poison_costs_seconds_and_few_requests(void **state)
{
    static const struct manner *const all[] = {&busy, &reset, &firewall, &unauthorized};
    static const uint64_t places[] = {1, 30, 60};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 3; j++) {
            set_scene(60, 1000);
            stage.is_poison[places[j]] = true;
            stage.poison = all[i];
            timestamp_ns start = scene.now;
            sim_check(&scene, play(60));
            sim_check(&scene, scene.now - start < 30 * NS_PER_SECOND);
            sim_check(&scene, scene.requests < 50);
            (void)sim_run(&scene, scene.now + 10 * NS_PER_MINUTE, NULL);
            sim_check(&scene, scene.dead == 0);
            sim_check(&scene, scene.plan.quarantine.count == 1);
            sim_end(&scene);
        }
    }
}

static void sizes_are_found_within_seconds(void **state)
{
    static const struct manner *const all[] = {&busy, &reset, &too_large, &firewall, &overloaded};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        set_scene(1000, 20000); // 20 MB
        stage.bytes_max = 1000000;
        stage.oversize = all[i];
        timestamp_ns start = scene.now;
        sim_check(&scene, play(60));
        sim_check(&scene, scene.now - start < 60 * NS_PER_SECOND);
        sim_check(&scene, scene.requests < 150);
        sim_check(&scene, scene.dead == 0 && scene.plan.quarantine.count == 0);
        sim_end(&scene);
    }
}

static void a_slow_reader_is_detected_in_a_few_time_outs(void **state)
{
    (void)state;
    set_scene(1000, 20000);
    stage.bytes_per_second = 500000;
    timestamp_ns start = scene.now;
    sim_check(&scene, play(60));
    sim_check(&scene, scene.now - start < 2 * NS_PER_MINUTE);
    sim_end(&scene);
}

static void a_flapping_endpoint_does_not_leave_much_in_quarantine(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        set_scene(0, 0);
        scene.random = seed * 7919 | 1;
        scene.seed = seed;
        for (unsigned i = 0; i < 1000; i++) // one at a time: each is alone
            sim_add(&scene, 1000, scene.now + i * NS_PER_SECOND);
        stage.failing_percent = 30;
        stage.failure = seed % 2 == 0 ? &busy : &reset;
        sim_check(&scene, play(24 * 60));
        sim_check(&scene, scene.now < 1000 * NS_PER_SECOND + 3 * NS_PER_HOUR);
        sim_check(&scene, sim_count(&scene, SENT) == 1000);
        sim_check(&scene, scene.most_quarantined_bytes < 100 * 1000);
        sim_end(&scene);
    }
}

static void a_lone_bad_record_becomes_a_dead_letter_when_the_next_one_was_accepted(void **state)
{
    (void)state;
    set_scene(1, 1000);
    sim_add(&scene, 1000, scene.now + 5 * NS_PER_MINUTE);
    sim_add(&scene, 1000, scene.now + 6 * NS_PER_MINUTE);
    stage.is_poison[1] = true;
    stage.poison = &bad_status;
    sim_start(&scene);
    (void)sim_run(&scene, scene.now + 4 * NS_PER_MINUTE, NULL);
    sim_check(&scene, scene.records[1].place == IN_OUTBOX);
    (void)sim_run(&scene, scene.now + 4 * NS_PER_MINUTE, NULL);
    sim_check(&scene, scene.records[2].place == SENT && scene.records[3].place == SENT);
    // Tried at once when it is new, and not at the end of a long wait.
    sim_check(&scene, scene.records[2].done_at - scene.records[2].arrives_at < NS_PER_SECOND);
    sim_check(&scene, scene.records[1].place == DEAD);
    sim_end(&scene);
}

// Each was refused alone and others were accepted since: one more refusal makes it a dead letter.
static void
quarantined_records_become_dead_letters_with_pauses_while_nothing_is_accepted(void **state)
{
    (void)state;
    set_scene(100, 1000);
    for (uint64_t i = 10; i < 50; i++)
        stage.is_poison[i] = true;
    stage.poison = &bad_status;
    sim_check(&scene, play(60));
    uint64_t steps = sim_steps_within(&scene, 10 * NS_PER_SECOND);
    uint64_t requests = scene.requests, dead = scene.dead;
    (void)sim_run(&scene, scene.now + 10 * NS_PER_SECOND, NULL);
    sim_check(&scene, scene.requests - requests <= steps);
    sim_check(&scene, scene.dead > dead);
    (void)sim_run(&scene, scene.now + NS_PER_HOUR, NULL);
    sim_check(&scene, scene.dead == 40);
    sim_end(&scene);
}

// Keys that expire with requests in flight: the last accepted ones were sent before the first refused one.
static void what_was_sent_before_a_refusal_is_no_evidence(void **state)
{
    (void)state;
    set_scene(8, 1000);
    scene.options.records_max = 1;
    accepts_nothing(&bad_status);
    stage.windows[0].from = scene.now + NS_PER_MS;
    sim_start(&scene);
    (void)sim_run(&scene, scene.now + 30 * NS_PER_MINUTE, NULL);
    sim_check(&scene, sim_count(&scene, SENT) == 4);
    sim_check(&scene, scene.dead == 0 && scene.plan.quarantine.count == 0);
    sim_end(&scene);
}

static void the_quarantine_has_a_size(void **state)
{
    (void)state;
    set_scene(400, 1000);
    scene.options.quarantine_bytes_max = 20 * 1000;
    for (uint64_t i = 1; i <= 400; i += 4)
        stage.is_poison[i] = true;
    stage.poison = &firewall;
    sim_check(&scene, play(24 * 60));
    sim_check(&scene, scene.most_quarantined_bytes <= 21 * 1000);
    sim_check(&scene, scene.dead > 0);
    sim_check(&scene, sim_count(&scene, SENT) == 300);
    // The oldest go first.
    uint64_t last_dead = 0, first_waiting = UINT64_MAX;
    for (uint64_t i = 1; i <= 400; i++) {
        if (scene.records[i].place == DEAD)
            last_dead = i;
        else if (scene.records[i].place == IN_OUTBOX && i < first_waiting)
            first_waiting = i;
    }
    sim_check(&scene, last_dead < first_waiting);
    sim_end(&scene);
}

static bool is_nothing_left(struct sim *sim)
{
    return sim_is_empty(sim);
}

static void the_first_success_after_an_outage_makes_the_quarantine_due(void **state)
{
    (void)state;
    set_scene(60, 1000);
    for (uint64_t i = 10; i <= 20; i++)
        stage.is_poison[i] = true;
    stage.poison = &firewall;
    sim_check(&scene, play(24 * 60));
    (void)sim_run(&scene, scene.now + 12 * NS_PER_HOUR, NULL); // its intervals are long now
    sim_check(&scene, scene.plan.quarantine.count == 11);
    // An outage, in which the endpoint is repaired, too.
    sim_add(&scene, 1000, scene.now);
    stage.window_count = 0;
    accepts_nothing(&busy);
    stage.windows[0].to = scene.now + NS_PER_MINUTE;
    sim_let_arrive(&scene);
    (void)sim_run(&scene, scene.now + 50 * NS_PER_SECOND, NULL);
    memset(stage.is_poison, 0, sizeof stage.is_poison);
    sim_check(&scene, sim_run(&scene, scene.now + 2 * NS_PER_MINUTE, is_nothing_left));
    sim_end(&scene);
}

// --- gRPC -------------------------------------------------------------------------------------

static void a_message_over_the_receivers_limit_is_halved_at_the_first_failure(void **state)
{
    (void)state;
    set_scene(200, 20000); // 4 MB: one request
    scene.options.in_flight_max = 1;
    stage.bytes_max = 3000000;
    stage.oversize = &overloaded;
    timestamp_ns start = scene.now;
    sim_check(&scene, play(60));
    sim_check(&scene, scene.requests == 3);
    sim_check(&scene, scene.outages == 0);
    sim_check(&scene, scene.now - start < NS_PER_SECOND);
    sim_end(&scene);
    // Also in an outage that began with something else, where a 429 of HTTP would need three.
    set_scene(200, 20000);
    scene.options.in_flight_max = 1;
    stage.bytes_max = 3000000;
    stage.oversize = &overloaded;
    accepts_nothing(&unauthorized);
    stage.windows[0].to = scene.now + NS_PER_MS;
    sim_check(&scene, play(60));
    sim_check(&scene, scene.requests <= 6);
    sim_end(&scene);
}

static void resource_exhausted_with_retry_info_is_not_a_limit_of_size(void **state)
{
    static const struct manner exhausted = {.status = 429, .retry_after = 20 * NS_PER_SECOND};
    (void)state;
    set_scene(200, 20000);
    scene.options.in_flight_max = 1;
    accepts_nothing(&exhausted);
    stage.windows[0].to = scene.now + 30 * NS_PER_SECOND;
    sim_start(&scene);
    (void)sim_run(&scene, scene.now + 25 * NS_PER_SECOND, NULL);
    sim_check(&scene, scene.requests == 2); // the second after the 20 s
    sim_check(&scene, scene.plan.window.now.bytes == scene.options.bytes_max);
    sim_check(&scene, sim_run(&scene, scene.now + NS_PER_MINUTE, has_all_that_can_be_sent));
    sim_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_endpoint_that_accepts_nothing_gets_few_requests_and_makes_no_dead_letters),
        cmocka_unit_test(one_poison_costs_seconds_and_few_requests),
        cmocka_unit_test(sizes_are_found_within_seconds),
        cmocka_unit_test(a_slow_reader_is_detected_in_a_few_time_outs),
        cmocka_unit_test(a_flapping_endpoint_does_not_leave_much_in_quarantine),
        cmocka_unit_test(a_lone_bad_record_becomes_a_dead_letter_when_the_next_one_was_accepted),
        cmocka_unit_test(
            quarantined_records_become_dead_letters_with_pauses_while_nothing_is_accepted),
        cmocka_unit_test(what_was_sent_before_a_refusal_is_no_evidence),
        cmocka_unit_test(the_quarantine_has_a_size),
        cmocka_unit_test(the_first_success_after_an_outage_makes_the_quarantine_due),
        cmocka_unit_test(what_is_poison_of_other_programs_is_found_and_the_rest_arrives),
        cmocka_unit_test(where_all_of_other_programs_is_refused_it_is_settled_soon),
        cmocka_unit_test(without_evidence_none_of_other_programs_is_lost_and_requests_are_few),
        cmocka_unit_test(a_flapping_endpoint_loses_few_of_other_programs),
        cmocka_unit_test(whatever_is_answered_to_other_programs_ours_are_sent_as_without_them),
        cmocka_unit_test(what_an_endpoint_can_accept_arrives_and_nothing_is_lost),
    };
    const struct CMUnitTest grpc_tests[] = {
        cmocka_unit_test(a_message_over_the_receivers_limit_is_halved_at_the_first_failure),
        cmocka_unit_test(resource_exhausted_with_retry_info_is_not_a_limit_of_size),
    };
    int failed = cmocka_run_group_tests_name("HTTP", tests, NULL, NULL);
    is_grpc = true;
    failed += cmocka_run_group_tests_name("gRPC", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("gRPC alone", grpc_tests, NULL, NULL);
}
