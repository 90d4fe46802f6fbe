// replay: loading payloads, their order, and the report.
#include "replay.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/github/event.h"

// --- deriving a delivery from a recorded payload --------------------------------------------------

// Payloads do not name their event; it is inferred from their keys. Several events carry the objects of others (a
// deployment its workflow_run, a job its deployment), so the order matters: an event precedes those whose key it
// shares.
static const struct {
    const char *key;
    const char *also; // must also be present; NULL: no other key
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

// True if the key is present, whatever its value: `"workflow_job": null` is a workflow_job event, too.
static bool has_key(const struct json_document *document, const char *name)
{
    for (json_value key = json_first_key(document, JSON_ROOT); key != JSON_NONE;
         key = json_next_key(document, key)) {
        if (json_key_equals(document, key, slice_from_string(name)))
            return true;
    }
    return false;
}

struct slice replay_infer_event(const struct json_document *document)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (has_key(document, signs[i].key) &&
            (signs[i].also == NULL || has_key(document, signs[i].also)))
            return slice_from_string(signs[i].event);
    }
    return SLICE_EMPTY;
}

// False: the document is the payload itself. Texts are in the document or in the arena.
static bool replay_unwrap(const struct json_document *document, struct arena *arena,
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

static timestamp_ns latest_step_end(const struct json_document *document, json_value job,
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

// The queued, waiting and queued bodies of a gated job differ in deployment.updated_at only, so that orders them in
// time (runs-on/runs-on issue 539).
static timestamp_ns job_time(const struct json_document *document, json_value job,
                             struct slice action, struct arena *arena)
{
    timestamp_ns created = time_field(document, job, "created_at", arena);
    timestamp_ns started = time_field(document, job, "started_at", arena);
    timestamp_ns completed = time_field(document, job, "completed_at", arena);
    if (slice_equals(action, SLICE("completed")))
        return timestamp_first_known(
            completed, timestamp_first_known(latest_step_end(document, job, arena), started));
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

typedef timestamp_ns event_time(const struct json_document *document, json_value subject,
                                struct slice action, struct arena *arena);

// The others happen at the latest time of their subject.
static event_time *const times[GITHUB_EVENT_KINDS] = {
    [GITHUB_EVENT_JOB] = job_time,
    [GITHUB_EVENT_RUN] = run_time,
};

timestamp_ns replay_event_time(const struct json_document *document, struct slice event,
                               struct arena *arena)
{
    struct slice action = SLICE_EMPTY;
    json_value value = json_get(document, JSON_ROOT, SLICE("action"));
    if (!json_string(document, value, arena, &action))
        action = SLICE_EMPTY;
    bool is_ping = slice_equals(event, SLICE("ping"));
    json_value object = json_get(document, JSON_ROOT, is_ping ? SLICE("hook") : event);
    event_time *time = times[github_event_type_of(event)];
    return time != NULL ? time(document, object, action, arena)
                        : latest_time(document, object, arena);
}

// RFC 9562 5.1: version 1 counts 100 ns from 1582-10-15.
#define UUID_EPOCH_TICKS ((uint64_t)0x01b21dd213814000)
#define NS_PER_TICK 100

static void put_big_endian(uint8_t *out, uint64_t number, size_t len)
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
        put_big_endian(bytes, ticks & 0xffffffff, 4);         // time_low
        put_big_endian(bytes + 4, (ticks >> 32) & 0xffff, 2); // time_mid
        put_big_endian(bytes + 6, 0x1000 | (ticks >> 48), 2); // version, time_high
        bytes[10] |= 0x01; // 6.10: multicast bit: not the node ID of a network card
    } else {
        bytes[6] = (uint8_t)(0x80 | (bytes[6] & 0x0f));
    }
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); // variant
    char hex[2 * sizeof bytes + 1];
    hex_encode(bytes, sizeof bytes, hex);
    (void)snprintf(guid, REPLAY_GUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}

// --- the order in which recorded payloads are sent ------------------------------------------------

// SplitMix64 (Steele, Lea, Flood 2014): small, with the same results on every machine.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Fisher-Yates shuffle.
static void shuffle(uint32_t *order, size_t count, uint64_t seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)(next_random(&seed) % i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

uint32_t *replay_make_order(struct arena *arena, size_t count, size_t repeat,
                            enum replay_order order, uint64_t seed)
{
    size_t total;
    if (__builtin_mul_overflow(count, repeat, &total) || count > UINT32_MAX)
        return NULL;
    uint32_t *positions = arena_allocate_array(arena, total, sizeof *positions);
    if (positions == NULL)
        return NULL;
    for (size_t i = 0; i < total; i++) {
        size_t position = i % count;
        positions[i] = (uint32_t)(order == REPLAY_REVERSE ? count - 1 - position : position);
    }
    if (order == REPLAY_SHUFFLE)
        shuffle(positions, total, seed);
    return positions;
}

// --- payload files → deliveries ready to send -----------------------------------------------------

#define PAYLOAD_FILE_MAX ((size_t)1 << 30)
#define SCRATCH_BLOCK 65536

struct loader {
    const struct replay_load_options *wanted;
    struct arena *arena;  // for the results
    struct arena scratch; // for one payload
    struct replay_deliveries *out;
    size_t capacity;
    struct error *error;
};

static enum error_code refuse_payload_memory(struct loader *loader, const char *name)
{
    return error_set(loader->error, ERROR_MEMORY, "%s: out of memory", name);
}

static bool grow_deliveries(struct loader *loader)
{
    if (loader->out->count < loader->capacity)
        return true;
    size_t capacity = loader->capacity == 0 ? 64 : 2 * loader->capacity;
    struct replay_delivery *items = arena_allocate_array(loader->arena, capacity, sizeof *items);
    if (items == NULL)
        return false;
    if (loader->out->count > 0)
        memcpy(items, loader->out->items, loader->out->count * sizeof *items);
    loader->out->items = items;
    loader->capacity = capacity;
    return true;
}

// URL Standard, application/x-www-form-urlencoded: these are kept, a blank becomes '+', the rest is escaped.
static bool is_form_safe(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' ||
           c == '-' || c == '.' || c == '_';
}

static bool encode_form(struct arena *arena, struct slice payload, struct slice *form)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char field[] = "payload=";
    char *text = arena_allocate(arena, sizeof field + 3 * payload.len);
    if (text == NULL)
        return false;
    size_t len = sizeof field - 1;
    memcpy(text, field, len);
    for (size_t i = 0; i < payload.len; i++) {
        char c = payload.data[i];
        if (is_form_safe(c) || c == ' ') {
            text[len++] = c == ' ' ? '+' : c;
        } else {
            text[len++] = '%';
            text[len++] = digits[(unsigned char)c >> 4];
            text[len++] = digits[(unsigned char)c & 0x0f];
        }
    }
    *form = (struct slice){.data = text, .len = len};
    return true;
}

// Takes the payload, event and GUID of a delivery from the deliveries API.
static enum error_code read_recording(struct loader *loader,
                                      const struct replay_recording *recording,
                                      struct slice *payload, struct replay_delivery *delivery)
{
    if (recording->payload.len == 0)
        return error_set(loader->error, ERROR_USAGE,
                         "%s: a delivery without request.payload: ask the API for this one "
                         "delivery, not for the list",
                         delivery->name);
    if (recording->guid.len >= sizeof delivery->guid)
        return error_set(loader->error, ERROR_USAGE, "%s: its guid is no UUID", delivery->name);
    if (!arena_copy_slice(loader->arena, recording->event, &delivery->event))
        return refuse_payload_memory(loader, delivery->name);
    *payload = recording->payload;
    (void)snprintf(delivery->guid, sizeof delivery->guid, "%.*s", SLICE_ARGS(recording->guid));
    return ERROR_NONE;
}

// Derives the delivery from the document, which is in the scratch arena.
static enum error_code read_document(struct loader *loader, struct json_document *document,
                                     struct slice *payload, struct replay_delivery *delivery)
{
    struct replay_recording recording;
    if (replay_unwrap(document, &loader->scratch, &recording)) {
        enum error_code code = read_recording(loader, &recording, payload, delivery);
        if (code == ERROR_NONE)
            code = json_parse(*payload, &loader->scratch, document, loader->error);
        if (code != ERROR_NONE)
            return code;
    }
    if (loader->wanted->event != NULL)
        delivery->event = slice_from_string(loader->wanted->event);
    else if (delivery->event.len == 0)
        delivery->event = replay_infer_event(document);
    delivery->occurred_at = replay_event_time(document, delivery->event, &loader->scratch);
    return ERROR_NONE;
}

// A payload that is not JSON can be sent if its event is given: this is used to test refusals.
static enum error_code read_facts(struct loader *loader, struct slice *payload,
                                  struct replay_delivery *delivery)
{
    struct json_document document;
    struct error reason = {.message = "its event cannot be derived from its keys"};
    enum error_code code = json_parse(*payload, &loader->scratch, &document, &reason);
    if (code == ERROR_MEMORY)
        return refuse_payload_memory(loader, delivery->name);
    if (code != ERROR_NONE) {
        delivery->event = slice_from_string(loader->wanted->event);
    } else {
        code = read_document(loader, &document, payload, delivery);
        if (code != ERROR_NONE)
            return code;
    }
    if (delivery->event.len > 0)
        return ERROR_NONE;
    return error_set(loader->error, ERROR_USAGE, "%s: %s: name the event with --event",
                     delivery->name, reason.message);
}

static bool sign_delivery(const struct replay_load_options *wanted,
                          struct replay_delivery *delivery)
{
    uint8_t hmac[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    if (wanted->secret.len == 0)
        return true;
    if (!digest_hmac_sha256(wanted->secret, delivery->body, hmac))
        return false;
    hex_encode(hmac, sizeof hmac, hex);
    (void)snprintf(delivery->signature, sizeof delivery->signature, "sha256=%s", hex);
    return true;
}

static enum error_code add_payload(struct loader *loader, const char *name, struct slice payload)
{
    const struct replay_load_options *wanted = loader->wanted;
    struct replay_delivery delivery = {.name = name, .occurred_at = TIMESTAMP_UNKNOWN};
    enum error_code code = read_facts(loader, &payload, &delivery);
    arena_clear(&loader->scratch);
    if (code != ERROR_NONE)
        return code;
    digest_sha256(payload, delivery.digest);
    if (wanted->guid != NULL)
        (void)snprintf(delivery.guid, sizeof delivery.guid, "%s", wanted->guid);
    else if (delivery.guid[0] == '\0')
        replay_make_guid(delivery.occurred_at, delivery.digest, delivery.guid);
    // The signature covers the bytes that are sent: for a form, the encoded form.
    bool is_made = wanted->is_form ? encode_form(loader->arena, payload, &delivery.body)
                                   : arena_copy_slice(loader->arena, payload, &delivery.body);
    if (!is_made || !sign_delivery(wanted, &delivery) || !grow_deliveries(loader))
        return refuse_payload_memory(loader, name);
    loader->out->items[loader->out->count++] = delivery;
    return ERROR_NONE;
}

static enum error_code add_lines(struct loader *loader, const char *path, struct slice text)
{
    for (unsigned number = 1; text.len > 0; number++) {
        ptrdiff_t newline = slice_find(text, SLICE("\n"));
        size_t len = newline < 0 ? text.len : (size_t)newline;
        struct slice line = {.data = text.data, .len = len};
        size_t taken = newline < 0 ? len : len + 1;
        text = (struct slice){.data = text.data + taken, .len = text.len - taken};
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (slice_trim(line).len == 0)
            continue;
        struct slice name;
        if (!arena_format(loader->arena, &name, "%s:%u%c", path, number, '\0'))
            return refuse_payload_memory(loader, path);
        enum error_code code = add_payload(loader, name.data, line);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static bool holds_lines(const char *path)
{
    struct slice name = slice_from_string(path);
    return slice_ends_with(name, SLICE(".jsonl")) || slice_ends_with(name, SLICE(".ndjson"));
}

static enum error_code add_file(struct loader *loader, const char *path)
{
    struct buffer text;
    buffer_init(&text, PAYLOAD_FILE_MAX);
    enum error_code code = file_read(path, &text, loader->error);
    if (code == ERROR_NONE) {
        if (loader->wanted->has_lines || holds_lines(path))
            code = add_lines(loader, path, buffer_slice(&text));
        else
            code = add_payload(loader, path, buffer_slice(&text));
    }
    buffer_release(&text);
    return code;
}

static int is_payload_file(const struct dirent *entry)
{
    struct slice name = slice_from_string(entry->d_name);
    return slice_ends_with(name, SLICE(".json")) || holds_lines(entry->d_name);
}

// Compares bytes, independent of the locale: 01, 02, 10.
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return slice_compare(slice_from_string((*a)->d_name), slice_from_string((*b)->d_name));
}

static enum error_code add_folder_entry(struct loader *loader, const char *folder, const char *name)
{
    struct slice path;
    bool has_slash = slice_ends_with(slice_from_string(folder), SLICE("/"));
    if (!arena_format(loader->arena, &path, "%s%s%s%c", folder, has_slash ? "" : "/", name, '\0'))
        return refuse_payload_memory(loader, folder);
    return add_file(loader, path.data);
}

static enum error_code add_folder(struct loader *loader, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_payload_file, compare_names);
    if (count < 0)
        return error_set(loader->error, ERROR_IO, "%s: %s", path, strerror(errno));
    enum error_code code = ERROR_NONE;
    if (count == 0)
        code = error_set(loader->error, ERROR_USAGE, "%s: no *.json file in it", path);
    for (int i = 0; i < count; i++) {
        if (code == ERROR_NONE)
            code = add_folder_entry(loader, path, entries[i]->d_name);
        memory_free(entries[i]); // allocated by scandir
    }
    memory_free(entries);
    return code;
}

enum error_code replay_load(const struct replay_load_options *wanted, struct arena *arena,
                            struct replay_deliveries *deliveries, struct error *error)
{
    struct loader loader = {.wanted = wanted, .arena = arena, .out = deliveries, .error = error};
    *deliveries = (struct replay_deliveries){.count = 0};
    arena_init(&loader.scratch, SCRATCH_BLOCK);
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < wanted->path_count && code == ERROR_NONE; i++) {
        struct stat info;
        const char *path = wanted->paths[i];
        bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
        code = is_folder ? add_folder(&loader, path) : add_file(&loader, path);
    }
    arena_release(&loader.scratch);
    return code;
}

// --- reporting the result of a replay -------------------------------------------------------------

#define PROGRESS_FROM 100 // fewer requests finish before a progress line can be read
#define PROGRESS_EVERY (NS_PER_SECOND / 5)

enum error_code replay_report_init(struct replay_report *report,
                                   const struct replay_report_options *wanted, struct arena *arena,
                                   struct error *error)
{
    *report = (struct replay_report){
        .expected = wanted->expected,
        .microseconds = arena_allocate_array(arena, wanted->expected, sizeof *report->microseconds),
        .started_at = timestamp_monotonic(),
        .has_progress = wanted->is_terminal && wanted->expected >= PROGRESS_FROM,
        .is_quiet = wanted->is_quiet,
    };
    if (report->microseconds == NULL)
        return error_set(error, ERROR_MEMORY, "replay: out of memory");
    return ERROR_NONE;
}

// The string after `"name":` up to the next quote; our responses contain no escapes.
static struct slice json_text(struct slice body, const char *name)
{
    char key[32];
    (void)snprintf(key, sizeof key, "\"%s\":\"", name);
    ptrdiff_t at = slice_find(body, slice_from_string(key));
    if (at < 0)
        return SLICE_EMPTY;
    size_t start = (size_t)at + strlen(key);
    struct slice rest = {.data = body.data + start, .len = body.len - start};
    ptrdiff_t end = slice_find(rest, SLICE("\""));
    return end < 0 ? SLICE_EMPTY : (struct slice){.data = rest.data, .len = (size_t)end};
}

static struct slice first_body_line(struct slice body)
{
    ptrdiff_t newline = slice_find(body, SLICE("\n"));
    return slice_trim(newline < 0 ? body
                                  : (struct slice){.data = body.data, .len = (size_t)newline});
}

char *replay_answer_text(struct slice body, char *text, size_t size)
{
    struct slice status = json_text(body, "status");
    struct slice reason = json_text(body, "reason");
    if (reason.len == 0)
        reason = json_text(body, "error");
    if (status.len == 0 && reason.len == 0)
        status = first_body_line(body);
    (void)snprintf(text, size, "%.*s%s%.*s", SLICE_ARGS(status),
                   status.len > 0 && reason.len > 0 ? ": " : "", SLICE_ARGS(reason));
    for (char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') // may be a terminal escape sequence
            *c = '?';
    }
    return text;
}

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

static void show_progress(struct replay_report *report)
{
    timestamp_ns now = timestamp_monotonic();
    if (now - report->shown_at < PROGRESS_EVERY)
        return;
    report->shown_at = now;
    printf("\r%zu of %zu", report->count, report->expected);
    (void)fflush(stdout);
}

void replay_report_add(void *context, const struct replay_answer *answer)
{
    struct replay_report *report = context;
    int64_t us = answer->took / 1000;
    assert(report->count < report->expected); // replay_send() sends each request once
    report->microseconds[report->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    if (answer->status >= 0 && answer->status < REPLAY_STATUS_MAX)
        report->by_status[answer->status]++;
    bool is_wanted = !is_success(answer->status) || !(report->is_quiet || report->has_progress);
    if (is_wanted) {
        char text[160];
        printf("%s%d %s  %s\n", report->has_progress ? "\r" : "", answer->status,
               replay_answer_text(answer->body, text, sizeof text), answer->delivery->name);
    }
    if (report->has_progress)
        show_progress(report);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// Nearest-rank method.
static double percentile_ms(const struct replay_report *report, size_t percent)
{
    size_t rank = (report->count * percent + 99) / 100;
    return report->microseconds[rank > 0 ? rank - 1 : 0] / 1000.0;
}

void replay_report_print(struct replay_report *report)
{
    double seconds = (double)(timestamp_monotonic() - report->started_at) / (double)NS_PER_SECOND;
    printf("%s%zu of %zu answered in %.2f s (%.0f a second)", report->has_progress ? "\r" : "",
           report->count, report->expected, seconds,
           seconds > 0 ? (double)report->count / seconds : 0.0);
    const char *separator = ": ";
    for (int status = 0; status < REPLAY_STATUS_MAX; status++) {
        if (report->by_status[status] == 0)
            continue;
        printf("%s%zu x %d", separator, report->by_status[status], status);
        separator = ", ";
    }
    if (report->count > 0) {
        qsort(report->microseconds, report->count, sizeof *report->microseconds, compare_numbers);
        printf("; half within %.1f ms, 99 %% within %.1f ms, all within %.1f ms",
               percentile_ms(report, 50), percentile_ms(report, 99), percentile_ms(report, 100));
    }
    printf("\n");
}

bool replay_report_is_success(const struct replay_report *report)
{
    size_t good = 0;
    for (int status = 200; status <= 299; status++)
        good += report->by_status[status];
    return good == report->expected;
}
