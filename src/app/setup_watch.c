// Log lines about how the webhook is set up.
#include "ghatrace/app/setup_watch.h"

#include "ghatrace/base/log.h"

static bool is_bad(enum setup_state state)
{
    return state == SETUP_WARNING || state == SETUP_WRONG;
}

bool setup_watch_wants(struct setup_watch *watch, enum setup_subject subject,
                       const struct setup_item *item, timestamp_ns now)
{
    bool was_said = watch->items[subject].said_at != 0;
    duration_ns since = now - watch->items[subject].said_at;
    bool is_change = is_bad(item->state)
                         ? item->state != watch->items[subject].state
                         : is_bad(watch->items[subject].state) && item->state == SETUP_OK;
    uint64_t refused = item->refused != NULL ? item->refused->count : 0;
    bool is_again = is_bad(item->state) && refused > watch->items[subject].refused &&
                    since >= SETUP_WATCH_AGAIN;
    if (item->is_logged_elsewhere || (!is_change && !is_again) ||
        (was_said && since < SETUP_WATCH_LEAST))
        return false;
    watch->items[subject].state = item->state;
    watch->items[subject].said_at = now;
    watch->items[subject].refused = refused;
    return true;
}

void setup_watch_look(struct setup_watch *watch, const struct setup_facts *facts, timestamp_ns now)
{
    struct setup_report report;
    setup_judge(facts, &report);
    for (size_t i = 0; i < SETUP_SUBJECTS; i++) {
        const struct setup_item *item = &report.items[i];
        if (!setup_watch_wants(watch, (enum setup_subject)i, item, now))
            continue;
        const char *subject = setup_subject_text((enum setup_subject)i);
        if (is_bad(item->state))
            log_warn("set-up", LOG_STRING("subject", subject),
                     LOG_STRING("state", setup_state_text(item->state)),
                     LOG_STRING("message", item->message));
        else
            log_info("set-up", LOG_STRING("subject", subject), LOG_STRING("state", "ok"),
                     LOG_STRING("message", item->message));
    }
}
