// Assesses whether the setup is correct.
#include "ghatrace/admin/setup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// After accepted deliveries, one or two refused ones may come from an unauthenticated client.
#define REFUSED_IN_A_ROW 3
// Deliveries of one kind without any of the other after which the other counts as missing. Each run has at least two.
#define LOPSIDED_COUNT 50
// If both kinds were seen before: how long only one may be received, since the last event of a long run follows those
// of its jobs; and how late the other may be.
#define LOPSIDED_TIME NS_PER_DAY
#define LOPSIDED_PATIENCE (10 * NS_PER_MINUTE)
// How long deliveries that were refused before the last accepted one are reported.
#define PAST_TIME NS_PER_HOUR

const char *setup_subject_text(enum setup_subject subject)
{
    static const char *const texts[SETUP_SUBJECTS] = {
        [SETUP_SECRET] = "secret",     [SETUP_PATH] = "path",     [SETUP_EVENTS] = "events",
        [SETUP_DELIVERY] = "delivery", [SETUP_EXPORT] = "export", [SETUP_ARC] = "arc"};
    return texts[subject];
}

const char *setup_state_text(enum setup_state state)
{
    static const char *const texts[] = {[SETUP_OK] = "ok",
                                        [SETUP_UNKNOWN] = "unknown",
                                        [SETUP_WARNING] = "warning",
                                        [SETUP_WRONG] = "wrong"};
    return texts[state];
}

static void append_message(struct setup_item *item, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Appends to the message.
static void append_message(struct setup_item *item, const char *format, ...)
{
    size_t len = strlen(item->message);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(item->message + len, sizeof item->message - len, format, arguments);
    va_end(arguments);
}

static void append_time(struct setup_item *item, const char *before, timestamp_ns time)
{
    char text[TIMESTAMP_TEXT_SIZE];
    append_message(item, "%s%s", before,
                   timestamp_format_rfc3339(time - time % NS_PER_SECOND, false, text));
}

// --- refused deliveries -----------------------------------------------------------------------------

static void append_addresses(struct setup_item *item, const struct ingress_refused *refused)
{
    for (size_t i = 0; i < refused->address_count; i++)
        append_message(item, "%s%s", i == 0 ? ", from " : ", ", refused->addresses[i]);
    if (refused->has_more_addresses)
        append_message(item, " and others");
}

// "12 deliveries were refused since T, the last at T, from A, B: their signature was wrong".
static void append_refusals(struct setup_item *item, const struct ingress_refused *refused,
                            const char *why)
{
    bool is_one = refused->in_a_row == 1;
    append_message(item, "%llu deliver%s refused", (unsigned long long)refused->in_a_row,
                   is_one ? "y was" : "ies were");
    append_time(item, is_one ? " at " : " since ", refused->since);
    if (!is_one)
        append_time(item, ", the last at ", refused->last);
    append_addresses(item, refused);
    append_message(item, ": %s.", why);
}

static bool is_refused(const struct ingress_refused *refused, const struct ingress_setup *ingress)
{
    return refused->in_a_row > 0 && refused->last > ingress->signed_at;
}

static void assess_refusals(struct setup_item *item, const struct ingress_refused *refused,
                            const struct ingress_setup *ingress)
{
    item->refused = refused;
    item->state = SETUP_WRONG;
    if (ingress->signed_at == TIMESTAMP_UNKNOWN) {
        append_message(item, " None was accepted yet.");
        return;
    }
    if (refused->in_a_row < REFUSED_IN_A_ROW)
        item->state = SETUP_WARNING;
    append_time(item, " The last accepted one was received at ", ingress->signed_at);
    append_message(item, ".");
    if (refused->address_count > 0)
        append_message(
            item, " Check the addresses: unless they are GitHub's, the requests did not come from "
                  "GitHub.");
}

static void append_past_refusals(struct setup_item *item, const struct ingress_refused *refused,
                                 timestamp_ns now)
{
    if (refused->in_a_row == 0 || now - refused->last > PAST_TIME)
        return;
    item->refused = refused;
    append_message(item, " Before that, %llu %s refused", (unsigned long long)refused->in_a_row,
                   refused->in_a_row == 1 ? "was" : "were");
    append_time(item, ", the last at ", refused->last);
    append_addresses(item, refused);
    append_message(item, ".");
}

// Deliveries without and with wrong signatures may be mixed: unauthenticated clients can send either.
static void assess_signatures(const struct ingress_setup *ingress, struct setup_item *item)
{
    const struct ingress_refused *wrong = &ingress->wrong_signature;
    const struct ingress_refused *none = &ingress->without_signature;
    bool is_wrong = is_refused(wrong, ingress), is_none = is_refused(none, ingress);
    if (is_wrong) {
        append_refusals(item, wrong, "the signature does not match");
        append_message(item, " The secret at GitHub is not one of those in webhook-secret-file (or "
                             "GITHUB_WEBHOOK_SECRET).");
    }
    if (is_none) {
        append_message(item, "%s", is_wrong ? " " : "");
        append_refusals(item, none, "no signature");
        append_message(
            item, " The webhook at GitHub has no secret: enter the one in webhook-secret-file (or "
                  "GITHUB_WEBHOOK_SECRET).");
    }
    assess_refusals(
        item, is_wrong && (!is_none || wrong->in_a_row >= none->in_a_row) ? wrong : none, ingress);
}

static void assess_secret(const struct setup_facts *facts, struct setup_item *item)
{
    const struct ingress_setup *ingress = facts->ingress;
    const struct ingress_refused *wrong = &ingress->wrong_signature;
    const struct ingress_refused *none = &ingress->without_signature;
    if (!ingress->asks_for_signature) {
        item->state = SETUP_WARNING;
        append_message(
            item, "insecure-no-signature is on: unsigned webhooks are accepted from any client.");
    } else if (is_refused(wrong, ingress) || is_refused(none, ingress)) {
        assess_signatures(ingress, item);
    } else if (ingress->signed_at == TIMESTAMP_UNKNOWN) {
        item->state = SETUP_UNKNOWN;
        append_message(
            item,
            "No delivery was received yet that would show whether GitHub has the same secret.");
    } else {
        append_message(item, "The last delivery was signed with a configured secret.");
        append_past_refusals(item, wrong->last >= none->last ? wrong : none, facts->now);
    }
}

static void assess_path(const struct setup_facts *facts, struct setup_item *item)
{
    const struct ingress_setup *ingress = facts->ingress;
    const struct ingress_refused *refused = &ingress->wrong_path;
    if (is_refused(refused, ingress)) {
        append_refusals(item, refused, "not the path of webhooks");
        append_message(
            item,
            " The last was for %s. At GitHub, the payload URL must lead to %s (webhook-path).",
            ingress->path, facts->webhook_path);
        assess_refusals(item, refused, ingress);
        // Deliveries to the right path are accepted, so this is only a warning.
        if (item->state == SETUP_WRONG && ingress->signed_at != TIMESTAMP_UNKNOWN)
            item->state = SETUP_WARNING;
    } else if (ingress->signed_at != TIMESTAMP_UNKNOWN) {
        append_message(item, "Deliveries are sent to %s.", facts->webhook_path);
        append_past_refusals(item, refused, facts->now);
    } else if (ingress->wrong_signature.count + ingress->without_signature.count > 0) {
        append_message(item, "Requests are sent to %s.", facts->webhook_path);
    } else {
        item->state = SETUP_UNKNOWN;
        append_message(item, "Nothing was sent to %s yet.", facts->webhook_path);
    }
}

// --- events -----------------------------------------------------------------------------------------

static void assess_by_count(const struct ingress_setup *ingress, struct setup_item *item)
{
    uint64_t jobs = ingress->event_count[GITHUB_EVENT_JOB];
    uint64_t runs = ingress->event_count[GITHUB_EVENT_RUN];
    bool is_without_runs = runs == 0 && jobs >= LOPSIDED_COUNT;
    bool is_without_jobs = jobs == 0 && runs >= LOPSIDED_COUNT;
    if (!is_without_runs && !is_without_jobs)
        return;
    item->state = SETUP_WRONG;
    item->is_logged_elsewhere = false;
    item->message[0] = '\0';
    append_message(item,
                   "%llu deliveries of %s were received since the start, and none of %s: at "
                   "GitHub, tick them, "
                   "too.",
                   (unsigned long long)(jobs + runs),
                   is_without_runs ? "Workflow jobs" : "Workflow runs",
                   is_without_runs ? "Workflow runs" : "Workflow jobs");
}

static void assess_by_time(const struct setup_facts *facts, struct setup_item *item)
{
    timestamp_ns jobs = facts->ingress->event_at[GITHUB_EVENT_JOB];
    timestamp_ns runs = facts->ingress->event_at[GITHUB_EVENT_RUN];
    timestamp_ns first = timestamp_earlier(jobs, runs), last = timestamp_later(jobs, runs);
    if (first == TIMESTAMP_UNKNOWN || last - first < LOPSIDED_TIME ||
        facts->now - last < LOPSIDED_PATIENCE)
        return;
    item->state = SETUP_WARNING;
    item->message[0] = '\0';
    append_message(item, "Deliveries of %s are received, and none of %s",
                   jobs > runs ? "Workflow jobs" : "Workflow runs",
                   jobs > runs ? "Workflow runs" : "Workflow jobs");
    append_time(item, " since ", first);
    append_message(item, ": are they still ticked at GitHub?");
}

// The content of a ping counts until deliveries contradict it: GitHub sends no ping when a webhook is changed.
static void assess_by_ping(const struct ingress_setup *ingress, struct setup_item *item)
{
    const struct ingress_hook *hook = &ingress->hook;
    bool has_jobs = hook->has_jobs || ingress->event_at[GITHUB_EVENT_JOB] > hook->at;
    bool has_runs = hook->has_runs || ingress->event_at[GITHUB_EVENT_RUN] > hook->at;
    bool is_active = !hook->is_inactive || ingress->event_at[GITHUB_EVENT_JOB] > hook->at ||
                     ingress->event_at[GITHUB_EVENT_RUN] > hook->at;
    const char *missing = has_jobs   ? "Workflow runs is"
                          : has_runs ? "Workflow jobs is"
                                     : "Workflow jobs and Workflow runs are";
    item->is_logged_elsewhere = true;
    item->state = has_jobs && has_runs && is_active ? SETUP_OK : SETUP_WRONG;
    if (has_jobs && has_runs)
        append_message(item, "Workflow jobs and Workflow runs are ticked.");
    else
        append_message(item, "At GitHub, %s not ticked.", missing);
    if (!is_active)
        append_message(item, " The webhook is not active: tick Active.");
    append_time(item, " (By GitHub's ping of ", hook->at);
    append_message(item, ".)");
    if (hook->is_insecure)
        append_message(item, " SSL verification is disabled at GitHub: anyone on the network path "
                             "can read its deliveries.");
    if (strncmp(hook->url, "http://", 7) == 0)
        append_message(item, " The payload URL is plain http.");
    if (item->state == SETUP_OK && (hook->is_insecure || strncmp(hook->url, "http://", 7) == 0))
        item->state = SETUP_WARNING;
}

static void assess_events(const struct setup_facts *facts, struct setup_item *item)
{
    const struct ingress_setup *ingress = facts->ingress;
    uint64_t jobs = ingress->event_count[GITHUB_EVENT_JOB],
             runs = ingress->event_count[GITHUB_EVENT_RUN];
    if (ingress->hook.at != TIMESTAMP_UNKNOWN) {
        assess_by_ping(ingress, item);
    } else if (jobs > 0 && runs > 0) {
        append_message(item, "Deliveries of both Workflow jobs and Workflow runs were received.");
    } else {
        item->state = SETUP_UNKNOWN;
        append_message(item,
                       "%s. GitHub's ping says what is ticked: at GitHub, under Recent Deliveries, "
                       "redeliver it.",
                       jobs > 0   ? "Only deliveries of Workflow jobs were received so far"
                       : runs > 0 ? "Only deliveries of Workflow runs were received so far"
                                  : "No delivery of a workflow's job or run was received yet");
    }
    assess_by_count(ingress, item);
    assess_by_time(facts, item);
}

// --- the rest ---------------------------------------------------------------------------------------

static void assess_delivery(const struct setup_facts *facts, struct setup_item *item)
{
    const struct ingress_setup *ingress = facts->ingress;
    uint64_t refused = ingress->wrong_signature.count + ingress->without_signature.count +
                       ingress->wrong_path.count;
    if (facts->last_event_at != TIMESTAMP_UNKNOWN) {
        append_time(item, "The last delivery of a job or run was received at ",
                    facts->last_event_at);
        append_message(item, ".");
        return;
    }
    item->state = SETUP_UNKNOWN;
    if (ingress->signed_at != TIMESTAMP_UNKNOWN) {
        item->state = SETUP_OK;
        append_time(item, "The last delivery was received at ", ingress->signed_at);
        append_message(item, "; none of a job or run yet.");
    } else if (refused > 0) {
        append_message(item, "None was accepted yet; %llu refused.", (unsigned long long)refused);
    } else {
        append_message(item, "No delivery was received yet.");
    }
    if (ingress->signed_at != TIMESTAMP_UNKNOWN || ingress->rejected_network == 0)
        return;
    item->state = SETUP_WARNING;
    append_message(
        item,
        " %llu connection%s from outside allow-from %s closed: GitHub's networks are `hooks` in "
        "https://api.github.com/meta, and change.",
        (unsigned long long)ingress->rejected_network, ingress->rejected_network == 1 ? "" : "s",
        ingress->rejected_network == 1 ? "was" : "were");
}

static void assess_export(const struct setup_facts *facts, struct setup_item *item)
{
    item->is_logged_elsewhere = true;
    if (facts->export_url == NULL) {
        append_message(
            item, "Nothing is exported: otlp-endpoint is not set. Traces stay in the local store.");
    } else if (facts->exporting->is_troubled) {
        item->state = SETUP_WRONG;
        append_message(item, "%s has accepted nothing", facts->export_url);
        append_time(item, " since ", facts->exporting->since);
        append_message(item, ": %s", facts->exporting->message);
    } else if (facts->exported_records == 0) {
        item->state = SETUP_UNKNOWN;
        append_message(item, "Nothing was sent to %s yet.", facts->export_url);
    } else {
        append_message(item, "%s accepts what is sent.", facts->export_url);
    }
}

// --- ARC --------------------------------------------------------------------------------------------

struct setup_arc setup_arc_facts(const struct engine_counters *engine,
                                 const struct receiver_counters *receiver, bool has_arc_runners)
{
    struct setup_arc arc = {.is_received = receiver != NULL,
                            .is_expected = has_arc_runners,
                            .missing = engine->assignments_missing,
                            .assignment_at = engine->last_assignment_at,
                            .missing_at = engine->last_missing_at};
    for (size_t i = 0; i < ARC_OUTCOMES; i++)
        arc.reports[i] = engine->arc_reports[i] + (receiver != NULL ? receiver->arc_reports[i] : 0);
    if (receiver != NULL) {
        arc.wrong_tokens = receiver->refusals[HTTP_BAD_CREDENTIALS];
        arc.not_allowed = receiver->refusals[HTTP_NOT_ALLOWED];
        arc.with_job_token = receiver->arc_named;
    }
    return arc;
}

static bool has_reports(const struct setup_arc *arc)
{
    for (size_t i = 0; i < ARC_OUTCOMES; i++)
        if (arc->reports[i] > 0)
            return true;
    return false;
}

// Those that were not used, by their outcomes.
static void append_unused_reports(const struct setup_arc *arc, struct setup_item *item)
{
    const char *before = " Reports that were not used: ";
    for (size_t i = 0; i < ARC_OUTCOMES; i++) {
        if (i == ARC_MATCHED || arc->reports[i] == 0)
            continue;
        append_message(item, "%s%llu %s", before, (unsigned long long)arc->reports[i],
                       arc_outcome_names[i]);
        before = ", ";
    }
    if (before[0] == ',')
        append_message(item, "; /api/status lists the last.");
}

// Why reports may be missing.
static void append_arc_reasons(const struct setup_arc *arc, struct setup_item *item)
{
    if (arc->wrong_tokens + arc->not_allowed > 0)
        append_message(item,
                       " Requests to otlp-listen were refused: %llu without a token of "
                       "otlp-token-file, %llu for their path, type or sender (the log names them).",
                       (unsigned long long)arc->wrong_tokens, (unsigned long long)arc->not_allowed);
    if (arc->with_job_token > 0)
        append_message(item, " %llu spans of ARC came with a `job` token: it needs an `arc` token.",
                       (unsigned long long)arc->with_job_token);
    if (has_reports(arc))
        append_unused_reports(arc, item);
    else
        append_message(item, " No report of ARC was received.");
}

static void assess_expected_arc(const struct setup_arc *arc, struct setup_item *item)
{
    if (arc->missing_at > arc->assignment_at) {
        item->state = arc->assignment_at == TIMESTAMP_UNKNOWN ? SETUP_WRONG : SETUP_WARNING;
        append_message(item,
                       "ARC did not report within arc-grace when it assigned %llu of the jobs that "
                       "arc-runners selects",
                       (unsigned long long)arc->missing);
        append_time(item, ", the last at ", arc->missing_at);
        append_message(item, ".");
        append_arc_reasons(arc, item);
    } else if (arc->assignment_at != TIMESTAMP_UNKNOWN) {
        append_time(item, "ARC's last report that was used came at ", arc->assignment_at);
        append_message(item, ".");
        if (arc->missing > 0)
            append_message(item, " Of %llu jobs before no report came in time.",
                           (unsigned long long)arc->missing);
    } else if (has_reports(arc)) {
        item->state = SETUP_WARNING;
        append_message(item, "ARC reports, and no job that arc-runners selects has ended: do its "
                             "globs match the labels or the group of ARC's runners?");
        append_arc_reasons(arc, item);
    } else {
        item->state = SETUP_UNKNOWN;
        append_message(item, "No job that arc-runners selects has ended yet.");
        append_arc_reasons(arc, item);
    }
}

static void assess_arc(const struct setup_facts *facts, struct setup_item *item)
{
    const struct setup_arc *arc = &facts->arc;
    if (arc->is_expected && !arc->is_received) {
        item->state = SETUP_WARNING;
        append_message(item,
                       "arc-runners is set and otlp-listen is not: no report can be received, and "
                       "the runner.* spans of these jobs wait until arc-grace is over.");
    } else if (arc->is_expected) {
        assess_expected_arc(arc, item);
    } else if (arc->is_received && has_reports(arc)) {
        item->state = SETUP_WARNING;
        append_message(item,
                       "ARC reports, and arc-runners is not set: what comes after a job's end, "
                       "as ARC's reports do, is not used.");
    }
}

void setup_assess(const struct setup_facts *facts, struct setup_report *report)
{
    static void (*const assessors[SETUP_SUBJECTS])(const struct setup_facts *,
                                                   struct setup_item *) = {
        [SETUP_SECRET] = assess_secret, [SETUP_PATH] = assess_path,
        [SETUP_EVENTS] = assess_events, [SETUP_DELIVERY] = assess_delivery,
        [SETUP_EXPORT] = assess_export, [SETUP_ARC] = assess_arc};
    memset(report, 0, sizeof *report);
    for (size_t i = 0; i < SETUP_SUBJECTS; i++) {
        assessors[i](facts, &report->items[i]);
        report->is_wrong |= report->items[i].state == SETUP_WRONG;
    }
}
