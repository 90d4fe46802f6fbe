// replay: deliveries from files, their order, sending them, and the report.
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

// --- what a payload tells about its delivery ---

// The X-GitHub-Event of a payload, by the keys it has; empty when they give nothing away.
struct slice replay_guess_event(const struct json_document *document);

// When the event happened, by the payload: for jobs and runs the time that its action stands for, for
// others the latest of the usual fields. TIMESTAMP_UNKNOWN: it does not say.
timestamp_ns replay_event_time(const struct json_document *document, struct slice event,
                               struct arena *arena);

// A delivery as GitHub's deliveries API gives it (GET .../hooks/{hook}/deliveries/{delivery}): the
// payload with what came around it.
struct replay_recording {
    struct slice guid;
    struct slice event;
    struct slice payload; // JSON text, in the document's; empty: the list of deliveries has none
};

#define REPLAY_GUID_SIZE 37
// A delivery's GUID as GitHub makes them: a version-1 UUID with the event's time. Its other bits
// come from `digest`. With no time, a version-8 UUID, which claims none.
void replay_make_guid(timestamp_ns time, const uint8_t digest[SHA256_SIZE],
                      char guid[REPLAY_GUID_SIZE]);

// --- payloads made ready to send ---

struct replay_delivery {
    const char *name;            // file, or file:line
    struct slice event;          // X-GitHub-Event
    struct slice body;           // as it is sent
    timestamp_ns occurred_at;    // by the payload
    uint8_t digest[SHA256_SIZE]; // of the payload
    char guid[REPLAY_GUID_SIZE];
    char signature[sizeof "sha256=" + 2 * SHA256_SIZE]; // empty: unsigned
};

struct replay_load_options {
    const char *event;   // for all payloads; NULL: by their keys
    const char *guid;    // for all; NULL: made from the payload, the same each time
    struct slice secret; // empty: unsigned
    bool is_form;        // send payload=... instead of JSON
    bool has_lines;      // each line of a file is a payload
};

struct replay_deliveries {
    struct replay_delivery *items; // in the arena
    size_t count;
};

// Reads files, and the *.json of folders in the order of their names; *.jsonl and *.ndjson hold one
// payload a line. A delivery of GitHub's deliveries API brings its own event and GUID. ERROR_USAGE: the event cannot be told; as file_read() otherwise.
enum error_code replay_load(const char *const *paths, size_t count,
                            const struct replay_load_options *options, struct arena *arena,
                            struct replay_deliveries *deliveries, struct error *error) MUST_CHECK;

// --- sending (replay_send.c) ---

struct replay_plan {
    struct export_endpoint target;
    const struct replay_delivery *deliveries;
    const uint32_t *order; // positions in `deliveries`, one for each request
    size_t count;
    bool is_form;
    bool fresh_guids;   // a new GUID for each request
    size_t connections; // requests at a time; their order holds for 1 alone
    uint64_t rate;      // requests a second; 0: as fast as they are answered
};

struct replay_answer {
    const struct replay_delivery *delivery;
    int status;
    struct slice body;
    duration_ns took;
};

// Sends all and calls back for each answer. ERROR_NETWORK, ERROR_TIMEOUT, ERROR_MEMORY: the rest was not
// sent.
enum error_code replay_send(const struct replay_plan *plan,
                            void (*on_answer)(void *context, const struct replay_answer *answer),
                            void *context, struct error *error) MUST_CHECK;

// --- order ---

enum replay_order { REPLAY_GIVEN, REPLAY_REVERSE, REPLAY_SHUFFLE };

// `count` deliveries, `repeat` times over; a shuffle mixes the repeats, too, the same way for the same
// seed. NULL when memory is refused.
uint32_t *replay_make_order(struct arena *arena, size_t count, size_t repeat,
                            enum replay_order order, uint64_t seed) MUST_CHECK;

// --- what came of a replay: a line for each answer, a summary at the end --------------------------

#define REPLAY_STATUS_MAX 600

struct replay_report {
    size_t expected; // answers
    size_t count;    // answers so far
    size_t by_status[REPLAY_STATUS_MAX];
    uint32_t *microseconds; // how long each took; in the arena
    timestamp_ns started_at;
    timestamp_ns shown_at; // when the progress line was last written
    bool has_progress;     // a progress line instead of a line for each success
    bool is_quiet;         // no line for a success
};

enum error_code replay_report_init(struct replay_report *report, struct arena *arena,
                                   size_t expected, bool is_terminal, bool is_quiet,
                                   struct error *error) MUST_CHECK;
// As replay_send() wants it; `report` is a struct replay_report.
void replay_report_add(void *report, const struct replay_answer *answer);
void replay_report_print(struct replay_report *report);
// All answers came, and were 2xx.
bool replay_report_is_success(const struct replay_report *report);

// What an answer's body says, for people: the values of "status" and "reason" or "error" in its JSON,
// else its first line. Never control characters. Returns `text`.
char *replay_answer_text(struct slice body, char *text, size_t size);

#endif
