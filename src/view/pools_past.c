// The list of incidents of pools.
#include "ghatrace/view/pools_past.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/bytes.h"
#include "ghatrace/store/table.h"
#include "ghatrace/view/pools_summary.h"

#define LAYOUT 1
#define NAME_AT 56 // bytes before the name
#define FLAG_PROVEN 1U
#define FLAG_CONFIRMED 2U

// --- room -----------------------------------------------------------------------------------------

static void drop_incident(struct past_list *list, struct past_incident *incident)
{
    *incident = list->items[--list->count];
    list->stored_at = 0;
}

// The number of those that a new one counts with, and which of them ended first.
struct past_share {
    size_t count;
    struct past_incident *first_ended; // NULL: none has ended
};

static void count_in_share(struct past_share *share, struct past_incident *incident)
{
    if (!incident->is_confirmed)
        return; // takes no room of those that are kept
    share->count++;
    if (incident->until != TIMESTAMP_UNKNOWN &&
        (share->first_ended == NULL || incident->until < share->first_ended->until))
        share->first_ended = incident;
}

static bool make_share_room(struct past_list *list, const struct past_share *share, size_t most)
{
    if (share->count < most)
        return true;
    if (share->first_ended == NULL)
        return false;
    drop_incident(list, share->first_ended);
    return true;
}

// Of one pool, or with an empty name of all; of all those in which no job has run, if `is_unproven`.
static struct past_share count_share(struct past_list *list, struct slice name, bool is_unproven)
{
    struct past_share share = {0};
    for (size_t i = 0; i < list->count; i++) {
        struct past_incident *incident = &list->items[i];
        if ((name.len == 0 || slice_equals(past_name(incident), name)) &&
            !(is_unproven && incident->is_proven))
            count_in_share(&share, incident);
    }
    return share;
}

static bool make_incident_room(struct past_list *list, struct slice name, bool is_proven)
{
    struct past_share share = count_share(list, name, false);
    if (!make_share_room(list, &share, PAST_POOL_MAX))
        return false;
    share = count_share(list, SLICE_EMPTY, true);
    if (!is_proven && !make_share_room(list, &share, PAST_UNPROVEN_MAX))
        return false;
    share = count_share(list, SLICE_EMPTY, false);
    return make_share_room(list, &share, PAST_MAX);
}

// --- one look -------------------------------------------------------------------------------------

static bool is_long(const struct pools_view_pool *pool, timestamp_ns now)
{
    return pools_view_is_in_trouble(pool, now) &&
           (pool->state == POOL_DEAD ||
            pools_view_wait(pool->waits.oldest, now) >= POOLS_LONG_WAIT);
}

static timestamp_ns began_at(const struct pools_view_pool *pool, timestamp_ns now)
{
    timestamp_ns from = timestamp_first_known(pool->since, pool->waits.oldest);
    if (from == TIMESTAMP_UNKNOWN || from > now)
        return now;
    return timestamp_later(from, now - PAST_AGE_MAX);
}

// The newest of this pool.
static struct past_incident *find_incident(struct past_list *list, struct slice name)
{
    struct past_incident *found = NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct past_incident *incident = &list->items[i];
        if (slice_equals(past_name(incident), name) &&
            (found == NULL || incident->from > found->from))
            found = incident;
    }
    return found;
}

static void see_again(struct past_incident *incident, const struct pools_view_pool *pool,
                      timestamp_ns now)
{
    uint64_t queued = pool->pool.counts[OPEN_JOB_QUEUED];
    duration_ns wait = pools_view_wait(pool->waits.oldest, now);
    if (pool->state > incident->state)
        incident->state = pool->state;
    if (queued > incident->queued)
        incident->queued = queued;
    if (wait > incident->wait)
        incident->wait = wait;
    incident->is_proven = incident->is_proven || pools_view_has_run(pool);
    incident->seen_at = now;
}

// The last incident of the pool goes on if the trouble began soon after its end, or before, as late deliveries may make
// it seem: incidents of a pool do not overlap.
static void begin_incident(struct past_list *list, const struct pools_view_pool *pool,
                           timestamp_ns now)
{
    struct past_incident *last = find_incident(list, pool->name);
    timestamp_ns from = began_at(pool, now);
    if (last != NULL && from - last->until < PAST_MERGE && now - last->until < PAST_REOPEN) {
        last->until = TIMESTAMP_UNKNOWN;
        last->first_seen = now;
        last->times++;
        list->stored_at = 0;
        see_again(last, pool, now);
        return;
    }
    if (last != NULL && from < last->until)
        from = now; // it was not in trouble then
    size_t seen = 0;
    for (size_t i = 0; i < list->count; i++)
        seen += list->items[i].is_confirmed ? 0 : 1;
    if (seen == PAST_SEEN_MAX)
        return;
    struct past_incident *incident = &list->items[list->count++];
    *incident = (struct past_incident){.name_len = pool->name.len,
                                       .state = pool->state,
                                       .times = 1,
                                       .from = from,
                                       .first_seen = now};
    memcpy(incident->name, pool->name.data, pool->name.len);
    see_again(incident, pool, now);
}

static void look_at_pool(struct past_list *list, const struct pools_view_pool *pool,
                         timestamp_ns now)
{
    if (pool->name.len == 0 || pool->name.len > PAST_NAME_MAX || !is_long(pool, now))
        return;
    struct past_incident *last = find_incident(list, pool->name);
    if (last != NULL && last->until == TIMESTAMP_UNKNOWN)
        see_again(last, pool, now);
    else
        begin_incident(list, pool, now);
}

static void end_incident(struct past_list *list, struct past_incident *incident, timestamp_ns now)
{
    if (!incident->is_confirmed) {
        drop_incident(list, incident);
        return;
    }
    incident->until = now - incident->seen_at > PAST_GAP ? incident->seen_at : now;
    incident->until = timestamp_later(incident->until, incident->from);
    list->stored_at = 0;
}

// Where there is no room it stays unconfirmed. Making room moves incidents.
static void confirm_incident(struct past_list *list, const struct past_incident *incident)
{
    const struct past_incident copy = *incident;
    if (!make_incident_room(list, past_name(&copy), copy.is_proven))
        return;
    find_incident(list, past_name(&copy))->is_confirmed = true;
    list->stored_at = 0;
}

// What this look has not seen is over.
static void settle_incidents(struct past_list *list, duration_ns confirm, timestamp_ns now)
{
    for (size_t i = list->count; i-- > 0;) {
        struct past_incident *incident = &list->items[i];
        if (i >= list->count)
            continue; // room was made
        if (incident->until != TIMESTAMP_UNKNOWN) {
            if (now - incident->until > PAST_AGE_MAX)
                drop_incident(list, incident);
        } else if (incident->seen_at != now) {
            end_incident(list, incident, now);
        } else if (!incident->is_confirmed && now - incident->first_seen >= confirm) {
            confirm_incident(list, incident);
        } else if (incident->is_confirmed && now - list->stored_at >= PAST_RENEW) {
            list->stored_at = 0;
        }
    }
}

// A pool that is still in some trouble has not ended its incident, however short its jobs wait now.
static void look_at_lasting(struct past_list *list, const struct pools_view_pool *pool,
                            timestamp_ns now)
{
    struct past_incident *last =
        pool->name.len > 0 && pools_view_is_in_trouble(pool, now) && !is_long(pool, now)
            ? find_incident(list, pool->name)
            : NULL;
    if (last != NULL && last->until == TIMESTAMP_UNKNOWN && last->is_confirmed)
        see_again(last, pool, now);
}

void past_update(struct past_list *list, const struct pools_view *view, duration_ns confirm,
                 timestamp_ns now)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->pools[i].state == POOL_OK)
            continue;
        look_at_pool(list, &view->pools[i], now);
        look_at_lasting(list, &view->pools[i], now);
    }
    settle_incidents(list, confirm, now);
}

const char *past_state_word(enum pool_state state)
{
    static const char *const words[POOL_STATES] = {[POOL_OK] = "ok",
                                                   [POOL_WAITING] = "waiting long",
                                                   [POOL_CEILING] = "held back by a ceiling",
                                                   [POOL_BUSY] = "busy",
                                                   [POOL_DEAD] = "dead"};
    return words[state];
}

static int compare_past(const void *left, const void *right)
{
    const struct past_incident *const *a = left, *const *b = right;
    if ((*a)->until != (*b)->until)
        return (*a)->until > (*b)->until ? -1 : 1;
    return slice_compare(past_name(*a), past_name(*b));
}

size_t past_sort(const struct past_list *list, struct slice name, timestamp_ns now,
                 const struct past_incident *sorted[PAST_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct past_incident *incident = &list->items[i];
        bool is_wanted = name.len == 0 || slice_equals(past_name(incident), name);
        if (is_wanted && count < PAST_MAX && incident->until != TIMESTAMP_UNKNOWN &&
            now - incident->until <= PAST_AGE_MAX)
            sorted[count++] = incident;
    }
    qsort(sorted, count, sizeof *sorted, compare_past);
    return count;
}

// --- the stored form ------------------------------------------------------------------------------

static enum error_code write_incident(const struct past_incident *incident, struct buffer *out)
{
    uint8_t head[NAME_AT];
    bytes_put_be(head, incident->state, 1);
    bytes_put_be(head + 1,
                 (incident->is_proven ? FLAG_PROVEN : 0U) |
                     (incident->is_confirmed ? FLAG_CONFIRMED : 0U),
                 1);
    bytes_put_be(head + 2, incident->times, 4);
    const int64_t numbers[] = {incident->from,    incident->until,           incident->first_seen,
                               incident->seen_at, (int64_t)incident->queued, incident->wait};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        bytes_put_be64(head + 6 + 8 * i, (uint64_t)numbers[i]);
    bytes_put_be(head + 54, incident->name_len, 2);
    enum error_code code = buffer_append(out, head, sizeof head);
    return code == ERROR_NONE ? buffer_append_slice(out, past_name(incident)) : code;
}

enum error_code past_write(const struct past_list *list, struct buffer *out)
{
    const uint8_t layout = LAYOUT;
    enum error_code code = buffer_append(out, &layout, 1);
    for (size_t i = 0; i < list->count && code == ERROR_NONE; i++)
        code = write_incident(&list->items[i], out);
    return code;
}

static bool read_incident(struct slice *rest, struct past_incident *incident)
{
    const uint8_t *head = (const uint8_t *)rest->data;
    if (rest->len < NAME_AT)
        return false;
    size_t name_len = (size_t)head[54] << 8 | head[55];
    if (head[0] >= POOL_STATES || name_len == 0 || name_len > PAST_NAME_MAX ||
        rest->len - NAME_AT < name_len)
        return false;
    *incident = (struct past_incident){.name_len = name_len,
                                       .state = (enum pool_state)head[0],
                                       .is_proven = (head[1] & FLAG_PROVEN) != 0,
                                       .is_confirmed = (head[1] & FLAG_CONFIRMED) != 0,
                                       .times = (uint32_t)(bytes_get_be64(head + 2) >> 32),
                                       .from = (timestamp_ns)bytes_get_be64(head + 6),
                                       .until = (timestamp_ns)bytes_get_be64(head + 14),
                                       .first_seen = (timestamp_ns)bytes_get_be64(head + 22),
                                       .seen_at = (timestamp_ns)bytes_get_be64(head + 30),
                                       .queued = bytes_get_be64(head + 38),
                                       .wait = (duration_ns)bytes_get_be64(head + 46)};
    memcpy(incident->name, rest->data + NAME_AT, name_len);
    *rest = (struct slice){rest->data + NAME_AT + name_len, rest->len - NAME_AT - name_len};
    return true;
}

void past_read(struct slice stored, struct past_list *list)
{
    list->count = 0;
    list->stored_at = 0;
    if (stored.len == 0 || (uint8_t)stored.data[0] != LAYOUT)
        return;
    struct slice rest = {stored.data + 1, stored.len - 1};
    while (list->count < PAST_MAX + PAST_SEEN_MAX &&
           read_incident(&rest, &list->items[list->count]))
        list->count++;
}

enum error_code past_load(struct store_transaction *transaction, struct past_list *list,
                          struct error *error)
{
    struct slice stored = SLICE_EMPTY;
    enum error_code code = store_table_get(transaction, STORE_TABLE_PAST, PAST_KEY, &stored, error);
    past_read(code == ERROR_NONE ? stored : SLICE_EMPTY, list);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
