// The bodies of requests, in each form. Names of pools are labels, which anyone who writes a workflow invents. Private to this room.
// Pure.
#ifndef GHATRACE_SRC_NOTIFY_FORMS_H
#define GHATRACE_SRC_NOTIFY_FORMS_H

#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/notify/notices.h"
#include "list.h"
#include "subjects.h"

// Notices in one request of our own form, where each takes some 350 bytes, and several KiB with an odd name. A text has
// all that are pending, as it names few of them.
#define NOTICE_BATCH_MAX 100
// Lines in one text; Slack recommends 4,000 characters at most, ntfy takes 4,096 bytes.
#define NOTICE_LINES_MAX 15
#define NOTICE_BODY_MAX ((size_t)1 << 20)

// A name in a text: at most so many bytes, cut between characters.
#define NOTICE_SHOWN_MAX 120
#define NOTICE_SHOWN_SIZE (NOTICE_SHOWN_MAX + 4)

// A name for a sentence: valid UTF-8; U+FFFD instead of control characters, line ends, invisible characters and those
// that change the direction of text. Returns its length.
size_t notice_clean_name(struct slice name, char text[NOTICE_SHOWN_SIZE]);

struct notice_message {
    const struct notice *const *notices;    // pending
    size_t count;                           // at least 1
    const struct notice_subjects *subjects; // the newest
};
// How many notices one request may have.
size_t notice_batch_max(enum notice_form form);
// Appends a JSON document. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code notice_write(const struct notice_message *message,
                             const struct notice_receiver *receiver,
                             struct buffer *body) MUST_CHECK;

#endif
