// The assessment of the webhook's setup, from deliveries that were accepted and refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/admin/setup.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)

struct scene {
    struct ingress_setup ingress;
    struct export_status exporting;
    struct setup_facts facts;
    struct setup_report report;
};

static void init_scene(struct scene *scene)
{
    *scene = (struct scene){.ingress = {.asks_for_signature = true}};
    scene->facts = (struct setup_facts){.ingress = &scene->ingress,
                                        .webhook_path = "/webhook",
                                        .exporting = &scene->exporting,
                                        .now = NOW};
}

static struct ingress_refused refused(uint64_t count, timestamp_ns last)
{
    return (struct ingress_refused){.count = count,
                                    .in_a_row = count,
                                    .since = last - NS_PER_MINUTE,
                                    .last = last,
                                    .addresses = {"192.0.2.1", "2001:db8::1"},
                                    .address_count = 2};
}

static const struct setup_item *assess(struct scene *scene, enum setup_subject subject)
{
    setup_assess(&scene->facts, &scene->report);
    return &scene->report.items[subject];
}

static void expect(struct scene *scene, enum setup_subject subject, enum setup_state state,
                   const char *words)
{
    const struct setup_item *item = assess(scene, subject);
    if (item->state != state || strstr(item->message, words) == NULL)
        fail_msg("%s is %s: %s", setup_subject_text(subject), setup_state_text(item->state),
                 item->message);
    assert_true(scene->report.is_wrong || state != SETUP_WRONG);
}

static void refused_deliveries_are_reported_with_count_times_and_addresses(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    scene.ingress.wrong_signature = refused(12, NOW - NS_PER_SECOND);
    expect(&scene, SETUP_SECRET, SETUP_WRONG,
           "12 deliveries were refused since 2026-09-03T04:15:56Z, the last at "
           "2026-09-03T04:16:56Z, from 192.0.2.1, 2001:db8::1: the signature does not match.");
    assert_ptr_equal(scene.report.items[SETUP_SECRET].refused, &scene.ingress.wrong_signature);
    scene.ingress.wrong_signature.has_more_addresses = true;
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "2001:db8::1 and others: ");
    scene.ingress.wrong_signature.in_a_row = 1;
    expect(&scene, SETUP_SECRET, SETUP_WRONG,
           "1 delivery was refused at 2026-09-03T04:15:56Z, from");
}

static void wrong_and_missing_signatures_are_both_reported(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    scene.ingress.wrong_signature = refused(5, NOW - NS_PER_HOUR);
    scene.ingress.without_signature = refused(2, NOW);
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "does not match. The secret at GitHub");
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "no signature. The webhook at GitHub has no secret");
    assert_ptr_equal(assess(&scene, SETUP_SECRET)->refused, &scene.ingress.wrong_signature);
    scene.ingress.asks_for_signature = false;
    expect(&scene, SETUP_SECRET, SETUP_WARNING, "insecure-no-signature");
}

static void the_longest_message_is_not_truncated(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    struct ingress_refused *all[] = {&scene.ingress.wrong_signature,
                                     &scene.ingress.without_signature, &scene.ingress.wrong_path};
    for (size_t i = 0; i < 3; i++) {
        *all[i] = refused(UINT64_MAX, NOW);
        all[i]->address_count = INGRESS_SETUP_ADDRESSES;
        all[i]->has_more_addresses = true;
        for (size_t j = 0; j < INGRESS_SETUP_ADDRESSES; j++)
            memcpy(all[i]->addresses[j], "2001:0db8:1111:2222:3333:4444:5555:6666", 40);
    }
    memset(scene.ingress.path, 'x', sizeof scene.ingress.path - 1);
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "None was accepted yet.");
    expect(&scene, SETUP_PATH, SETUP_WRONG, "None was accepted yet.");
    scene.ingress.signed_at = NOW - NS_PER_SECOND;
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "the requests did not come from GitHub.");
    expect(&scene, SETUP_PATH, SETUP_WARNING, "the requests did not come from GitHub.");
}

static void
after_an_accepted_delivery_the_state_is_ok_and_a_few_refused_ones_are_a_warning(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    scene.ingress.wrong_signature = refused(2, NOW - 10 * NS_PER_SECOND);
    scene.ingress.wrong_path = refused(5, NOW - 10 * NS_PER_SECOND);
    scene.ingress.signed_at = NOW - 11 * NS_PER_SECOND;
    expect(&scene, SETUP_SECRET, SETUP_WARNING, "The last accepted one was received at 2026-");
    expect(&scene, SETUP_SECRET, SETUP_WARNING,
           "unless they are GitHub's, the requests did not come from GitHub.");
    expect(&scene, SETUP_PATH, SETUP_WARNING, "not the path of webhooks");
    expect(&scene, SETUP_PATH, SETUP_WARNING,
           "unless they are GitHub's, the requests did not come from GitHub.");
    scene.ingress.wrong_signature.in_a_row = 3;
    expect(&scene, SETUP_SECRET, SETUP_WRONG, "The last accepted one was received at 2026-");
    scene.ingress.signed_at = NOW - 9 * NS_PER_SECOND;
    expect(&scene, SETUP_SECRET, SETUP_OK, "Before that, 3 were refused, the last at");
    expect(&scene, SETUP_PATH, SETUP_OK, "Before that, 5 were refused, the last at");
    scene.facts.now = NOW + 2 * NS_PER_HOUR;
    assert_string_equal(assess(&scene, SETUP_SECRET)->message,
                        "The last delivery was signed with a configured secret.");
    assert_false(scene.report.is_wrong);
}

static void the_content_of_a_ping_is_used_until_deliveries_contradict_it(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    scene.ingress.hook = (struct ingress_hook){.at = NOW, .has_jobs = true};
    expect(&scene, SETUP_EVENTS, SETUP_WRONG, "At GitHub, Workflow runs is not ticked.");
    scene.ingress.event_at[GITHUB_EVENT_RUN] =
        NOW - 1; // of another webhook, or from before a change
    expect(&scene, SETUP_EVENTS, SETUP_WRONG, "Workflow runs is not ticked");
    scene.ingress.event_at[GITHUB_EVENT_RUN] = NOW + 1;
    expect(&scene, SETUP_EVENTS, SETUP_OK, "are ticked");
    scene.ingress.hook = (struct ingress_hook){.at = NOW + 2};
    expect(&scene, SETUP_EVENTS, SETUP_WRONG, "Workflow jobs and Workflow runs are not ticked");
    scene.ingress.hook = (struct ingress_hook){
        .at = NOW + 2, .has_jobs = true, .has_runs = true, .is_inactive = true};
    expect(&scene, SETUP_EVENTS, SETUP_WRONG, "tick Active");
    scene.ingress.event_at[GITHUB_EVENT_JOB] = NOW + 3;
    expect(&scene, SETUP_EVENTS, SETUP_OK, "are ticked");
    scene.ingress.hook.is_insecure = true;
    expect(&scene, SETUP_EVENTS, SETUP_WARNING, "SSL verification");
}

static void many_deliveries_of_one_kind_alone_are_reported(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    expect(&scene, SETUP_EVENTS, SETUP_UNKNOWN, "No delivery");
    scene.ingress.event_count[GITHUB_EVENT_JOB] = 49;
    expect(&scene, SETUP_EVENTS, SETUP_UNKNOWN, "Only deliveries of Workflow jobs");
    scene.ingress.event_count[GITHUB_EVENT_JOB] = 50;
    expect(&scene, SETUP_EVENTS, SETUP_WRONG,
           "50 deliveries of Workflow jobs were received since the");
    scene.ingress.event_count[GITHUB_EVENT_RUN] = 1;
    expect(&scene, SETUP_EVENTS, SETUP_OK, "both");
    scene.ingress.event_count[GITHUB_EVENT_JOB] = 0;
    scene.ingress.event_count[GITHUB_EVENT_RUN] = 50;
    expect(&scene, SETUP_EVENTS, SETUP_WRONG, "none of Workflow jobs");
}

static void a_kind_missing_for_a_day_while_the_other_is_received_is_reported(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    scene.ingress.event_count[GITHUB_EVENT_JOB] = scene.ingress.event_count[GITHUB_EVENT_RUN] = 5;
    scene.ingress.event_at[GITHUB_EVENT_RUN] = NOW - 2 * NS_PER_DAY;
    scene.ingress.event_at[GITHUB_EVENT_JOB] = NOW - NS_PER_MINUTE;
    expect(&scene, SETUP_EVENTS, SETUP_OK, "both"); // the run's may still follow
    scene.ingress.event_at[GITHUB_EVENT_JOB] = NOW - 11 * NS_PER_MINUTE;
    expect(&scene, SETUP_EVENTS, SETUP_WARNING, "none of Workflow runs since 2026-09-01");
    scene.ingress.event_at[GITHUB_EVENT_RUN] = NOW - NS_PER_DAY;
    expect(&scene, SETUP_EVENTS, SETUP_OK, "both");
}

static void the_last_delivery_and_the_collector_are_reported(void **state)
{
    struct scene scene;
    (void)state;
    init_scene(&scene);
    expect(&scene, SETUP_DELIVERY, SETUP_UNKNOWN, "No delivery was received yet.");
    expect(&scene, SETUP_EXPORT, SETUP_OK, "Nothing is exported");
    scene.ingress.rejected_network = 3;
    expect(&scene, SETUP_DELIVERY, SETUP_WARNING,
           "3 connections from outside allow-from were closed");
    scene.ingress.signed_at = NOW;
    expect(&scene, SETUP_DELIVERY, SETUP_OK, "none of a job or run yet");
    scene.facts.last_event_at = NOW;
    expect(&scene, SETUP_DELIVERY, SETUP_OK, "was received at 2026-09-03T04:16:57Z.");
    scene.facts.export_url = "http://c:4318/v1/traces";
    expect(&scene, SETUP_EXPORT, SETUP_UNKNOWN, "Nothing was sent to http://c");
    scene.facts.exported_records = 1;
    expect(&scene, SETUP_EXPORT, SETUP_OK, "accepts what is sent");
    scene.exporting =
        (struct export_status){.is_troubled = true, .since = NOW, .message = "because"};
    expect(&scene, SETUP_EXPORT, SETUP_WRONG,
           "has accepted nothing since 2026-09-03T04:16:57Z: because");
}

static void that_arcs_reports_do_not_come_is_reported_with_the_reason(void **state)
{
    struct scene scene;
    struct setup_arc *arc = &scene.facts.arc;
    (void)state;
    init_scene(&scene);
    assert_string_equal(assess(&scene, SETUP_ARC)->message, ""); // neither setting
    arc->is_received = true;
    assert_string_equal(assess(&scene, SETUP_ARC)->message, ""); // for spans of jobs
    arc->reports[ARC_HELD] = 1;
    expect(&scene, SETUP_ARC, SETUP_WARNING, "arc-runners is not set");
    *arc = (struct setup_arc){.is_expected = true};
    expect(&scene, SETUP_ARC, SETUP_WARNING, "otlp-listen is not");
    arc->is_received = true;
    expect(&scene, SETUP_ARC, SETUP_UNKNOWN, "has ended yet. No report of ARC was received.");
    arc->wrong_tokens = 3;
    expect(&scene, SETUP_ARC, SETUP_UNKNOWN, "3 without a token of otlp-token-file, 0 for their");
    arc->with_job_token = 6;
    expect(&scene, SETUP_ARC, SETUP_UNKNOWN, "6 spans of ARC came with a `job` token");
    arc->reports[ARC_HELD] = 7;
    expect(&scene, SETUP_ARC, SETUP_WARNING, "do its globs match");
    arc->missing = 12;
    arc->missing_at = NOW;
    arc->reports[ARC_LATE] = 2;
    expect(&scene, SETUP_ARC, SETUP_WRONG,
           "12 of the jobs that arc-runners selects, the last at 2026-09-03T04:16:57Z.");
    expect(&scene, SETUP_ARC, SETUP_WRONG,
           "Reports that were not used: 7 held, 2 late; /api/status");
    arc->assignment_at = NOW - NS_PER_MINUTE;
    expect(&scene, SETUP_ARC, SETUP_WARNING, "did not report within arc-grace");
    arc->assignment_at = NOW;
    expect(&scene, SETUP_ARC, SETUP_OK,
           "came at 2026-09-03T04:16:57Z. Of 12 jobs before no report");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_deliveries_are_reported_with_count_times_and_addresses),
        cmocka_unit_test(wrong_and_missing_signatures_are_both_reported),
        cmocka_unit_test(the_longest_message_is_not_truncated),
        cmocka_unit_test(
            after_an_accepted_delivery_the_state_is_ok_and_a_few_refused_ones_are_a_warning),
        cmocka_unit_test(the_content_of_a_ping_is_used_until_deliveries_contradict_it),
        cmocka_unit_test(many_deliveries_of_one_kind_alone_are_reported),
        cmocka_unit_test(a_kind_missing_for_a_day_while_the_other_is_received_is_reported),
        cmocka_unit_test(the_last_delivery_and_the_collector_are_reported),
        cmocka_unit_test(that_arcs_reports_do_not_come_is_reported_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
