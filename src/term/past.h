// What `ghatrace pools` shows of incidents that are over.
#ifndef GHATRACE_TERM_PAST_H
#define GHATRACE_TERM_PAST_H

#include "answer_values.h"
#include "ghatrace/view/pools_past.h"
#include "pools_rows.h"

#define PAST_SHOWN 3
#define PAST_SHOWN_AGE NS_PER_DAY

// From an answer. Older versions do not send it. NULL: there is none, or out of memory (values).
const struct past_list *past_read_answer(struct values *values);

// A line for each of the last PAST_SHOWN that ended within PAST_SHOWN_AGE, and how many more there are. NULL: nothing.
// False if out of memory.
bool past_paint(struct pools_page *page, const struct past_list *past);

#endif
