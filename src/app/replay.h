// replay: loads deliveries from files, orders and sends them, and reports the results.
#ifndef GHATRACE_APP_REPLAY_H
#define GHATRACE_APP_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/json/read.h"

// --- recorded payloads, sent as GitHub would send them --------------------------------------------

// --- deriving a delivery from a payload ---

// The X-GitHub-Event of a payload, inferred from its keys; empty if they do not determine it.
struct slice replay_infer_event(const struct json_document *document);

// When the event happened, from the payload: for jobs and runs the time that belongs to the action, for other events
// the latest of the usual fields. TIMESTAMP_UNKNOWN: not in the payload.
timestamp_ns replay_event_time(const struct json_document *document, struct slice event,
                               struct arena *arena);

// A delivery in the form of GitHub's deliveries API (GET .../hooks/{hook}/deliveries/{delivery}): the payload with
// its metadata.
struct replay_recording {
    struct slice guid;
    struct slice event;
    struct slice payload; // JSON text, in the document; empty: the list of deliveries has none
};

#define REPLAY_GUID_SIZE 37
// Makes a GUID in GitHub's form: a version-1 UUID with the event's time. Its other bits come from `digest`. Without a
// time, a version-8 UUID, which contains none.
void replay_make_guid(timestamp_ns time, const uint8_t digest[SHA256_SIZE],
                      char guid[REPLAY_GUID_SIZE]);

// --- payloads prepared for sending ---

struct replay_delivery {
    const char *name;            // file, or file:line
    struct slice event;          // X-GitHub-Event
    struct slice body;           // as it is sent
    timestamp_ns occurred_at;    // from the payload
    uint8_t digest[SHA256_SIZE]; // of the payload
    char guid[REPLAY_GUID_SIZE];
    char signature[sizeof "sha256=" + 2 * SHA256_SIZE]; // empty: unsigned
};

struct replay_load_options {
    const char *const *paths; // files and folders
    size_t path_count;
    const char *event;   // for all payloads; NULL: inferred from their keys
    const char *guid;    // for all; NULL: derived from the payload, the same each time
    struct slice secret; // empty: unsigned
    bool is_form;        // send payload=... instead of JSON
    bool has_lines;      // each line of a file is a payload
};

struct replay_deliveries {
    struct replay_delivery *items; // in the arena
    size_t count;
};

// Reads files, and the *.json of folders in the order of their names; *.jsonl and *.ndjson hold one payload per line.
// A delivery of GitHub's deliveries API contains its own event and GUID. ERROR_USAGE: the event cannot be determined;
// otherwise as file_read().
enum error_code replay_load(const struct replay_load_options *options, struct arena *arena,
                            struct replay_deliveries *deliveries, struct error *error) MUST_CHECK;

// --- sending (replay_send.c) ---

struct replay_plan {
    struct export_endpoint target;
    const struct replay_delivery *deliveries;
    const uint32_t *order; // positions in `deliveries`, one for each request
    size_t count;
    bool is_form;
    bool fresh_guids;   // a new GUID for each request
    size_t connections; // concurrent requests; the order is kept only with 1
    uint64_t rate;      // requests per second; 0: each as soon as an earlier one is answered
};

struct replay_answer {
    const struct replay_delivery *delivery;
    int status;
    struct slice body;
    duration_ns took;
};

// Sends all deliveries and calls back for each response. ERROR_NETWORK, ERROR_TIMEOUT, ERROR_MEMORY: the rest was not
// sent.
enum error_code replay_send(const struct replay_plan *plan,
                            void (*on_answer)(void *context, const struct replay_answer *answer),
                            void *context, struct error *error) MUST_CHECK;

// --- order ---

enum replay_order { REPLAY_GIVEN, REPLAY_REVERSE, REPLAY_SHUFFLE };

// `count` deliveries, `repeat` times; a shuffle mixes the repeats, too, reproducibly for the same seed. NULL if out
// of memory.
uint32_t *replay_make_order(struct arena *arena, size_t count, size_t repeat,
                            enum replay_order order, uint64_t seed) MUST_CHECK;

// --- the result of a replay: a line for each response, a summary at the end -----------------------

#define REPLAY_STATUS_MAX 600

struct replay_report_options {
    size_t expected;  // number of responses
    bool is_terminal; // standard output: a progress line is written instead of one for each success
    bool is_quiet;    // no line for a success
};

struct replay_report {
    size_t expected; // number of responses
    size_t count;    // responses so far
    size_t by_status[REPLAY_STATUS_MAX];
    uint32_t *microseconds; // response times; in the arena
    timestamp_ns started_at;
    timestamp_ns shown_at; // when the progress line was last written
    bool has_progress;     // a progress line instead of a line for each success
    bool is_quiet;         // no line for a success
};

enum error_code replay_report_init(struct replay_report *report,
                                   const struct replay_report_options *options, struct arena *arena,
                                   struct error *error) MUST_CHECK;
// Callback for replay_send(); `report` is a struct replay_report.
void replay_report_add(void *report, const struct replay_answer *answer);
void replay_report_print(struct replay_report *report);
// True if all responses were received and were 2xx.
bool replay_report_is_success(const struct replay_report *report);

// The message of a response body: the values of "status" and "reason" or "error" in its JSON, else its first line.
// Never contains control characters. Returns `text`.
char *replay_answer_text(struct slice body, char *text, size_t size);

#endif
