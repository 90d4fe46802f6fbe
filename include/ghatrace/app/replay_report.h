// What came of a replay: a line for each answer, a summary at the end.
#ifndef GHATRACE_APP_REPLAY_REPORT_H
#define GHATRACE_APP_REPLAY_REPORT_H

#include "ghatrace/app/replay.h"

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
