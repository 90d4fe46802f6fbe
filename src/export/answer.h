// What a collector's answer says beside its status. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_ANSWER_H
#define GHATRACE_SRC_EXPORT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "mask.h"

#define ANSWER_TEXT_MAX 200 // bytes of a stranger's words that are kept
#define ANSWER_TEXT_SIZE (ANSWER_TEXT_MAX + 1)

struct export_answer {
    int status;              // of a complete answer, or 0
    duration_ns retry_after; // 0: not given
    struct slice content_type;
    struct slice body; // cut to nothing when it was too long to read
};

// The endpoint's words for a log or a terminal: valid UTF-8, secrets masked, control characters escaped ("\x1b"),
// cut. Returns `text`.
char *answer_clean(struct slice words, const struct mask_list *masks, char text[ANSWER_TEXT_SIZE]);
// Why it was refused, in one line: "400 Bad Request: " and the message of google.rpc.Status or the
// first line of a text, cleaned like this. Returns `text`.
char *answer_describe(const struct export_answer *answer, const struct mask_list *masks,
                      char text[ANSWER_TEXT_SIZE]);

// Is the body a google.rpc.Status, in the encoding that its content type names, with a code or a message?
bool answer_has_status(const struct export_answer *answer);
// Does the answer name a content type that is not the request's own?
bool answer_is_unexpected(const struct export_answer *answer, bool is_json);
// Partial success of a 2xx. False when there is none to speak of; a body that cannot be read is none.
bool answer_read_partial(const struct export_answer *answer, const struct mask_list *masks,
                         int64_t *rejected_spans, char text[ANSWER_TEXT_SIZE]);

#endif
