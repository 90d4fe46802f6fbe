// What a recorded payload tells about the delivery that brought it.
#include <stdio.h>

#include "ghatrace/app/replay.h"
#include "ghatrace/base/hex.h"

// Payloads do not name their event; their keys give it away. Several events carry the objects of
// others (a deployment brings its workflow_run, a job its deployment), so the order counts: an event
// stands before those whose key it shares.
static const struct {
    const char *key;
    const char *also; // must be there, too; NULL: nothing else
    const char *event;
} signs[] = {
    {"zen", NULL, "ping"},
    {"workflow_job", NULL, "workflow_job"},
    {"deployment_callback_url", NULL, "deployment_protection_rule"},
    {"workflow_run", "reviewers", "deployment_review"},
    {"workflow_run", "approver", "deployment_review"},
    {"deployment_status", NULL, "deployment_status"},
    {"check_run", NULL, "check_run"},
    {"deployment", NULL, "deployment"},
    {"workflow_run", NULL, "workflow_run"},
    {"check_suite", NULL, "check_suite"},
    {"workflow", "inputs", "workflow_dispatch"},
    {"pull_request", "review", "pull_request_review"},
    {"pull_request", "comment", "pull_request_review_comment"},
    {"pull_request", NULL, "pull_request"},
    {"issue", "comment", "issue_comment"},
    {"issue", NULL, "issues"},
    {"discussion", NULL, "discussion"},
    {"release", NULL, "release"},
    {"forkee", NULL, "fork"},
    {"starred_at", NULL, "star"},
    {"ref", "pusher", "push"},
    {"ref_type", "master_branch", "create"},
    {"ref_type", NULL, "delete"},
    {"state", "branches", "status"},
    {"hook", NULL, "meta"},
};

// There as a key, whatever its value: `"workflow_job": null` is a workflow_job event, too.
static bool has_key(const struct json_document *document, const char *name)
{
    for (json_value key = json_first_key(document, JSON_ROOT); key != JSON_NONE;
         key = json_next_key(document, key)) {
        if (json_key_equals(document, key, slice_from_string(name)))
            return true;
    }
    return false;
}

struct slice replay_guess_event(const struct json_document *document)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (has_key(document, signs[i].key) &&
            (signs[i].also == NULL || has_key(document, signs[i].also)))
            return slice_from_string(signs[i].event);
    }
    return SLICE_EMPTY;
}

bool replay_unwrap(const struct json_document *document, struct arena *arena,
                   struct replay_recording *recording)
{
    json_value request = json_get(document, JSON_ROOT, SLICE("request"));
    *recording = (struct replay_recording){
        .payload = json_raw(document, json_get(document, request, SLICE("payload")))};
    return json_string(document, json_get(document, JSON_ROOT, SLICE("guid")), arena,
                       &recording->guid) &&
           json_string(document, json_get(document, JSON_ROOT, SLICE("event")), arena,
                       &recording->event) &&
           recording->guid.len > 0 && recording->event.len > 0;
}

static timestamp_ns time_field(const struct json_document *document, json_value object,
                               const char *name, struct arena *arena)
{
    struct slice text;
    timestamp_ns time;
    json_value value = json_get(document, object, slice_from_string(name));
    if (!json_string(document, value, arena, &text) || !timestamp_parse_rfc3339(text, &time))
        return TIMESTAMP_UNKNOWN;
    return time;
}

static timestamp_ns last_step_end(const struct json_document *document, json_value job,
                                  struct arena *arena)
{
    timestamp_ns latest = TIMESTAMP_UNKNOWN;
    json_value steps = json_get(document, job, SLICE("steps"));
    for (json_value step = json_first_element(document, steps); step != JSON_NONE;
         step = json_next_element(document, step)) {
        timestamp_ns end = time_field(document, step, "completed_at", arena);
        latest = end > latest ? end : latest;
    }
    return latest;
}

// The bodies of a gated job's queued, waiting, queued differ in deployment.updated_at alone, so that
// tells them apart in time (runs-on/runs-on issue 539).
static timestamp_ns job_time(const struct json_document *document, json_value job,
                             struct slice action, struct arena *arena)
{
    timestamp_ns created = time_field(document, job, "created_at", arena);
    timestamp_ns started = time_field(document, job, "started_at", arena);
    timestamp_ns completed = time_field(document, job, "completed_at", arena);
    if (slice_equals(action, SLICE("completed")))
        return timestamp_first_known(
            completed, timestamp_first_known(last_step_end(document, job, arena), started));
    if (slice_equals(action, SLICE("in_progress")))
        return timestamp_first_known(started, created);
    json_value deployment = json_get(document, JSON_ROOT, SLICE("deployment"));
    timestamp_ns deployed = time_field(document, deployment, "updated_at", arena);
    timestamp_ns queued = timestamp_first_known(created, started);
    return deployed > queued ? deployed : queued;
}

static timestamp_ns run_time(const struct json_document *document, json_value run,
                             struct slice action, struct arena *arena)
{
    timestamp_ns created = time_field(document, run, "created_at", arena);
    timestamp_ns started = time_field(document, run, "run_started_at", arena);
    timestamp_ns updated = time_field(document, run, "updated_at", arena);
    if (slice_equals(action, SLICE("requested")))
        return timestamp_first_known(started, timestamp_first_known(created, updated));
    return timestamp_first_known(updated, timestamp_first_known(started, created));
}

static timestamp_ns latest_time(const struct json_document *document, json_value object,
                                struct arena *arena)
{
    static const char *const names[] = {"updated_at", "completed_at", "started_at", "created_at"};
    timestamp_ns latest = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        timestamp_ns time = time_field(document, object, names[i], arena);
        latest = time > latest ? time : latest;
    }
    return latest;
}

timestamp_ns replay_event_time(const struct json_document *document, struct slice event,
                               struct arena *arena)
{
    struct slice action = SLICE_EMPTY;
    json_value value = json_get(document, JSON_ROOT, SLICE("action"));
    if (!json_string(document, value, arena, &action))
        action = SLICE_EMPTY;
    json_value object = json_get(document, JSON_ROOT, event);
    if (slice_equals(event, SLICE("workflow_job")))
        return job_time(document, object, action, arena);
    if (slice_equals(event, SLICE("workflow_run")))
        return run_time(document, object, action, arena);
    if (slice_equals(event, SLICE("ping")))
        object = json_get(document, JSON_ROOT, SLICE("hook"));
    return latest_time(document, object, arena);
}

// RFC 9562 5.1: version 1 counts 100 ns from 1582-10-15.
#define UUID_EPOCH_TICKS ((uint64_t)0x01b21dd213814000)
#define NS_PER_TICK 100

static void put_bytes(uint8_t *out, uint64_t number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(number >> (8 * (len - 1 - i)));
}

void replay_make_guid(timestamp_ns time, const uint8_t digest[SHA256_SIZE],
                      char guid[REPLAY_GUID_SIZE])
{
    uint8_t bytes[16];
    memcpy(bytes, digest, sizeof bytes);
    if (time > 0) {
        uint64_t ticks = (uint64_t)time / NS_PER_TICK + UUID_EPOCH_TICKS;
        put_bytes(bytes, ticks & 0xffffffff, 4);         // time_low
        put_bytes(bytes + 4, (ticks >> 32) & 0xffff, 2); // time_mid
        put_bytes(bytes + 6, 0x1000 | (ticks >> 48), 2); // version, time_high
        bytes[10] |= 0x01; // 6.10: a node ID that is no network card's has the multicast bit
    } else {
        bytes[6] = (uint8_t)(0x80 | (bytes[6] & 0x0f));
    }
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); // variant
    char hex[2 * sizeof bytes + 1];
    hex_encode(bytes, sizeof bytes, hex);
    (void)snprintf(guid, REPLAY_GUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}
