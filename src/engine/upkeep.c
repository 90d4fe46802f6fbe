// What goes on beside the tasks: making room, forgetting, and figures for a store that lacks them.
#include "ghatrace/base/log.h"
#include "ghatrace/tally/latency.h"
#include "ghatrace/tally/rebuild.h"
#include "ghatrace/tally/recent.h"
#include "ghatrace/tally/spelling.h"
#include "private.h"

// Upkeep in one batch, beside its tasks: enough to keep up with what the tasks bring.
#define UPKEEP_PER_BATCH 256
#define UPKEEP_PER_TASK 4
// Of these, blocks of notes, which hold some 200 each.
#define NOTES_SHARE 4
#define NOTES_OF_A_BLOCK 200
// Blocks shed between two looks at the room.
#define SHED_BLOCKS 4
// Pools looked at in one batch, and how often all of them are.
#define POOLS_PER_BATCH 64
#define POOLS_EVERY (10 * NS_PER_MINUTE)
// States in one transaction, at the start.
#define FIGURES_PER_TRANSACTION 10000

bool engine_may_log(timestamp_ns *last_logged)
{
    timestamp_ns now = timestamp_monotonic();
    if (*last_logged != 0 && now - *last_logged < NS_PER_MINUTE)
        return false;
    *last_logged = now;
    return true;
}

// --- forgetting --------------------------------------------------------------------------------------------

// Before which time finished traces leave. When room runs short, whatever the clock says of them: it may be back.
static timestamp_ns end_of_history(const struct engine *engine, timestamp_ns now, bool is_tight)
{
    return is_tight ? INT64_MAX : now - engine->options.history;
}

// Finished traces stay for `history`, but never at the price of a delivery: when room runs short, those that were
// delivered leave before their time, the oldest first, also while the clock is not believed.
static enum error_code drop_history(struct engine *engine, struct store_transaction *transaction,
                                    timestamp_ns now, bool may_forget, size_t max,
                                    bool *has_leftovers, struct error *error)
{
    size_t records = 0;
    size_t runs = 0;
    bool is_tight = store_is_tight(transaction);
    timestamp_ns before = end_of_history(engine, now, is_tight);
    if (!is_tight && !may_forget)
        return ERROR_NONE;
    enum error_code code = store_expire_records(transaction, before, max, &records, error);
    if (code == ERROR_NONE)
        code = recent_expire(transaction, before, max, &runs, error);
    if (is_tight && records > 0 && engine_may_log(&engine->tight_logged))
        log_warn("the store is nearly full: finished traces leave the history early; raise "
                 "db-max-size or shorten history");
    *has_leftovers |= records == max || runs == max;
    return code;
}

// Within their limits dead letters stay, but not at the price of a delivery: a delivery that is refused does not come
// again. So when the store would soon refuse them and the history has nothing left to give, they go, too.
static enum error_code drop_dead_letters(struct engine *engine,
                                         struct store_transaction *transaction, timestamp_ns now,
                                         bool may_forget, size_t max, bool *has_leftovers,
                                         struct error *error)
{
    const struct engine_options *options = &engine->options;
    bool is_tight = store_is_tight(transaction);
    const struct store_shed_limits limits = {
        .bytes_max = options->dead_letters_max,
        .age_max = options->dead_letters_age_max,
        .may_judge_age = may_forget,
        .for_room = is_tight && store_has_expired_all(transaction),
        .before = end_of_history(engine, now, is_tight),
        .max = max,
    };
    bool has_more;
    enum error_code code = store_shed_dead_letters(transaction, &limits, now,
                                                   engine->work.new_dropped, &has_more, error);
    *has_leftovers |= has_more;
    return code;
}

void engine_report_drops(struct engine *engine)
{
    const uint64_t *dropped = engine->drops_to_log;
    uint64_t all = 0;
    for (size_t i = 0; i < STORE_SHED_REASONS; i++) {
        engine->drops_to_log[i] += engine->work.new_dropped[i];
        all += engine->drops_to_log[i];
    }
    if (all == 0 || !engine_may_log(&engine->drops_logged))
        return;
    log_warn("dead letters were dropped: what the collector had refused is lost; raise "
             "dead-letters-max-size, dead-letters-max-age or db-max-size, and see ghatrace requeue",
             LOG_INT("too_old", (long long)dropped[STORE_SHED_AGE]),
             LOG_INT("beyond_size", (long long)dropped[STORE_SHED_SIZE]),
             LOG_INT("for_room", (long long)dropped[STORE_SHED_ROOM]));
    memset(engine->drops_to_log, 0, sizeof engine->drops_to_log);
}

// Pools are few and seldom unused, so all of them are looked at now and then.
static enum error_code drop_pools(struct engine *engine, timestamp_ns now, struct error *error)
{
    bool is_end = false;
    duration_ns since = now - engine->pools_looked;
    enum error_code code = spelling_expire(engine->work.tally, error);
    if (code != ERROR_NONE || (since >= 0 && since < POOLS_EVERY))
        return code;
    code = pool_expire(engine->work.tally, &engine->next_pool, POOLS_PER_BATCH, &is_end, error);
    if (is_end)
        engine->pools_looked = now;
    return code;
}

static enum error_code forget_notes(struct engine *engine, struct store_transaction *transaction,
                                    timestamp_ns now, size_t max, bool *has_leftovers,
                                    struct error *error)
{
    duration_ns linger = engine->work.policy.linger;
    const duration_ns keep[STORE_NOTE_KINDS] = {
        [STORE_NOTE_TIMED_DELIVERY] = linger,
        [STORE_NOTE_UNTIMED_DELIVERY] = linger,
        [STORE_NOTE_JOB] = linger,
        [STORE_NOTE_WAITED_JOB] = linger,
        [STORE_NOTE_RUN] = linger,
        [STORE_NOTE_OLD_RUN] = linger > TRACE_RUN_KEPT ? linger : TRACE_RUN_KEPT,
    };
    size_t old = 0;
    bool is_more = false;
    enum error_code code =
        store_forget_notes(transaction, now, keep, max / NOTES_SHARE, &is_more, error);
    if (code == ERROR_NONE)
        code = store_forget_old_deliveries(transaction, now, linger, max, &old, error);
    *has_leftovers |= is_more || old == max;
    return code;
}

static enum error_code forget(struct engine *engine, struct store_transaction *transaction,
                              timestamp_ns now, size_t max, bool *has_leftovers,
                              struct error *error)
{
    size_t slots = 0;
    enum error_code code = forget_notes(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = latency_expire(transaction, now, max, &slots, error);
    if (code == ERROR_NONE)
        code = drop_pools(engine, now, error);
    *has_leftovers |= slots == max;
    return code;
}

// A small piece, and no more than has to go: some notes of what an older version delivered, else a few blocks.
static enum error_code shed_piece(struct store_transaction *transaction, uint64_t *shed,
                                  struct error *error)
{
    size_t old = 0;
    enum error_code code =
        store_shed_old_deliveries(transaction, SHED_BLOCKS * NOTES_OF_A_BLOCK, &old, error);
    *shed = old;
    return code == ERROR_NONE && old == 0 ? store_shed_notes(transaction, SHED_BLOCKS, shed, error)
                                          : code;
}

enum error_code work_shed_notes(struct engine_work *work, struct store_transaction *transaction,
                                timestamp_ns now, size_t max, bool *is_short, struct error *error)
{
    *is_short = store_must_shed(transaction);
    for (size_t i = 0; i < max / SHED_BLOCKS && *is_short; i++) {
        uint64_t shed = 0;
        enum error_code code = shed_piece(transaction, &shed, error);
        if (code != ERROR_NONE)
            return code;
        if (shed == 0)
            break;
        store_count_shed(transaction, now, shed);
        work->new_shed += shed;
        *is_short = store_must_shed(transaction);
    }
    return ERROR_NONE;
}

// Where the history had nothing left to give, notes make room before a delivery is refused: at worst, what is repeated
// is taken for new.
static enum error_code shed_notes(struct engine *engine, struct store_transaction *transaction,
                                  timestamp_ns now, size_t max, bool *has_leftovers,
                                  struct error *error)
{
    struct engine_work *work = &engine->work;
    uint64_t before = work->new_shed;
    bool is_short;
    enum error_code code =
        work_shed_notes(work, transaction, now, max / NOTES_SHARE, &is_short, error);
    *has_leftovers |= is_short && work->new_shed > before;
    if (code == ERROR_NONE && work->new_shed > 0 && engine_may_log(&engine->shed_logged))
        log_warn("the store is nearly full: the oldest notes of what was delivered are forgotten "
                 "early; raise db-max-size or shorten linger",
                 LOG_INT("notes", work->new_shed));
    return code;
}

enum error_code engine_do_upkeep(struct engine *engine, struct store_transaction *transaction,
                                 timestamp_ns now, size_t tasks, timestamp_ns *next_due,
                                 bool *has_leftovers, struct error *error)
{
    struct engine_work *work = &engine->work;
    size_t max = UPKEEP_PER_BATCH + UPKEEP_PER_TASK * tasks;
    bool may_forget = engine->last_steady >= engine->forget_after;
    *has_leftovers = false;
    enum error_code code = work_expire(work, transaction, now, max, next_due, error);
    if (code == ERROR_NONE)
        code = tally_flush(work->tally, error);
    if (code == ERROR_NONE)
        code = drop_history(engine, transaction, now, may_forget, max, has_leftovers, error);
    if (code == ERROR_NONE && may_forget)
        code = forget(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = shed_notes(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = drop_dead_letters(engine, transaction, now, may_forget, max, has_leftovers, error);
    *has_leftovers |=
        work->has_far_deadlines || (*next_due != TIMESTAMP_UNKNOWN && *next_due <= now);
    return code;
}

// --- figures for an older store ------------------------------------------------------------------------------

enum error_code engine_complete_figures(struct engine *engine, size_t max, bool *is_done,
                                        struct error *error)
{
    return rebuild_continue(engine->work.tally, max, is_done, error);
}

// Nothing is written where all is there: a full disk must not keep what waits from leaving.
static enum error_code look_for_figures(struct engine *engine, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(engine->work.store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = rebuild_is_done(transaction, &engine->has_all_figures, error);
    store_abort(transaction);
    return code;
}

static enum error_code complete_a_part(struct engine *engine, timestamp_ns now, bool *is_done,
                                       struct error *error)
{
    struct tally *tally = engine->work.tally;
    struct store_transaction *transaction;
    enum error_code code = store_begin(engine->work.store, true, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    tally_begin(tally, transaction, now);
    code = engine_complete_figures(engine, FIGURES_PER_TRANSACTION, is_done, error);
    if (code == ERROR_NONE)
        code = tally_flush(tally, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    const struct store_set_aside_note set_aside = *store_noted_set_aside(transaction);
    code = store_commit(transaction, error);
    if (code == ERROR_NONE)
        engine_log_set_aside(engine, &set_aside);
    return code;
}

void engine_prepare_figures(struct engine *engine)
{
    struct error error = {0};
    timestamp_ns now = engine->options.now != NULL ? engine->options.now() : timestamp_now();
    enum error_code code = look_for_figures(engine, &error);
    while (code == ERROR_NONE && !engine->has_all_figures) {
        bool is_done = false;
        code = complete_a_part(engine, now, &is_done, &error);
        engine->has_all_figures = code == ERROR_NONE && is_done;
    }
    if (code != ERROR_NONE)
        log_warn("the figures of what is open are not complete yet", LOG_REASON(&error));
}
