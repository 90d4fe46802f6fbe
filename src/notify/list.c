// The list of notices.
#include "list.h"

#include <assert.h>
#include <stdlib.h>

#include "ghatrace/base/bytes.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"

#define CAPACITY_FIRST 16
#define LAYOUT 1
#define KEY_SIZE (8 + 1 + NOTICE_SUBJECT_ID_SIZE)
#define VALUE_SIZE (4 + 3 * 8) // without the name
#define FLAG_IN_FLIGHT 1
#define FLAG_UNSURE 2

static const char condition_letters[NOTICE_CONDITIONS] = {
    [NOTICE_DEAD] = 'd', [NOTICE_QUEUED] = 'q', [NOTICE_CEILING] = 'c', [NOTICE_SILENCE] = 's'};
static const char phase_letters[NOTICE_PHASES] = {
    [NOTICE_NONE] = '-', [NOTICE_BEGIN_DUE] = 'b', [NOTICE_BEGUN] = 'B',
    [NOTICE_HELD] = 'h', [NOTICE_END_DUE] = 'e',   [NOTICE_DROPPED] = 'd'};

void notice_list_release(struct notice_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        memory_free(list->notices[i].name);
    memory_free(list->notices);
    list->notices = NULL;
    list->count = list->capacity = 0;
}

// --- entries --------------------------------------------------------------------------------------

static int compare_keys(const struct notice_key *a, const struct notice_key *b)
{
    if (a->receiver != b->receiver)
        return a->receiver < b->receiver ? -1 : 1;
    if (a->condition != b->condition)
        return a->condition < b->condition ? -1 : 1;
    return memcmp(&a->subject, &b->subject, sizeof a->subject);
}

// The position of the first notice that is not before `key`.
static size_t position_of_key(const struct notice_list *list, const struct notice_key *key)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&list->notices[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_key_at(const struct notice_list *list, size_t at, const struct notice_key *key)
{
    return at < list->count && compare_keys(&list->notices[at].key, key) == 0;
}

static struct notice *find_notice(const struct notice_list *list, const struct notice_key *key)
{
    size_t at = position_of_key(list, key);
    return has_key_at(list, at, key) ? &list->notices[at] : NULL;
}

static bool make_room_for_one(struct notice_list *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : CAPACITY_FIRST;
    void *notices = memory_resize(list->notices, capacity * sizeof *list->notices);
    if (notices == NULL)
        return false;
    list->notices = notices;
    list->capacity = capacity;
    return true;
}

// The notice of this key, which is added if there is none. NULL: out of memory.
static struct notice *add_notice(struct notice_list *list, const struct notice_key *key,
                                 struct slice name)
{
    size_t at = position_of_key(list, key);
    if (has_key_at(list, at, key))
        return &list->notices[at];
    if (name.len > NOTICE_NAME_MAX)
        name = utf8_is_valid(name) ? utf8_cut(name, NOTICE_NAME_MAX)
                                   : (struct slice){name.data, NOTICE_NAME_MAX};
    char *copy = memory_copy_string(name.data, name.len);
    if (copy == NULL || !make_room_for_one(list)) {
        memory_free(copy);
        return NULL;
    }
    struct notice *notice = &list->notices[at];
    memmove(notice + 1, notice, (list->count - at) * sizeof *notice);
    *notice = (struct notice){.key = *key, .name = copy, .name_len = name.len};
    list->count++;
    return notice;
}

// Removes notices that are over and need not be stored any more.
static void remove_ended(struct notice_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct notice *notice = &list->notices[i];
        if (notice->state.phase == NOTICE_NONE && notice->changes == notice->stored)
            memory_free(notice->name);
        else
            list->notices[kept++] = *notice;
    }
    list->count = kept;
}

// --- the stored form ------------------------------------------------------------------------------

// -1: there is no such letter.
static int find_letter(const char *letters, int count, char letter)
{
    for (int i = 0; i < count; i++)
        if (letters[i] == letter)
            return i;
    return -1;
}

static void encode_key(const struct notice_key *key, uint8_t bytes[KEY_SIZE])
{
    bytes_put_be64(bytes, key->receiver);
    bytes[8] = (uint8_t)condition_letters[key->condition];
    memcpy(bytes + 9, &key->subject, sizeof key->subject);
}

static void encode_state(const struct notice *notice, uint8_t *bytes)
{
    const struct notice_state *state = &notice->state;
    bytes[0] = LAYOUT;
    bytes[1] = (uint8_t)phase_letters[state->phase];
    bytes[2] = state->refusals;
    bytes[3] = (uint8_t)((state->is_in_flight ? FLAG_IN_FLIGHT : 0) |
                         (state->is_unsure ? FLAG_UNSURE : 0));
    bytes_put_be64(bytes + 4, (uint64_t)state->began_at);
    bytes_put_be64(bytes + 12, (uint64_t)state->ended_at);
    bytes_put_be64(bytes + 20, (uint64_t)state->due_at);
    if (notice->name_len > 0)
        memcpy(bytes + VALUE_SIZE, notice->name, notice->name_len);
}

static bool decode_key(struct slice bytes, struct notice_key *key)
{
    if (bytes.len != KEY_SIZE)
        return false;
    int condition = find_letter(condition_letters, NOTICE_CONDITIONS, bytes.data[8]);
    if (condition < 0)
        return false;
    key->receiver = bytes_get_be64(bytes.data);
    key->condition = (enum notice_condition)condition;
    memcpy(&key->subject, bytes.data + 9, sizeof key->subject);
    return true;
}

// What was in flight may have been received.
static bool decode_state(struct slice bytes, struct notice_state *state)
{
    if (bytes.len < VALUE_SIZE || bytes.len > VALUE_SIZE + NOTICE_NAME_MAX ||
        bytes.data[0] != LAYOUT)
        return false;
    int phase = find_letter(phase_letters, NOTICE_PHASES, bytes.data[1]);
    *state = (struct notice_state){.is_unsure = bytes.data[3] != 0,
                                   .refusals = (uint8_t)bytes.data[2],
                                   .began_at = (timestamp_ns)bytes_get_be64(bytes.data + 4),
                                   .ended_at = (timestamp_ns)bytes_get_be64(bytes.data + 12),
                                   .due_at = (timestamp_ns)bytes_get_be64(bytes.data + 20)};
    if (phase <= NOTICE_NONE)
        return false;
    state->phase = (enum notice_phase)phase;
    return state->began_at >= 0 && state->ended_at >= 0 && state->due_at >= 0;
}

enum error_code notice_list_load(struct notice_list *list, struct store_entry entry)
{
    struct notice_key key = {.receiver = 0};
    struct notice_state state;
    if (!decode_key(entry.key, &key) || !decode_state(entry.value, &state))
        return ERROR_NONE;
    struct notice *notice = add_notice(list, &key, slice_skip(entry.value, VALUE_SIZE));
    if (notice == NULL)
        return ERROR_MEMORY;
    notice->state = state;
    return ERROR_NONE;
}

static bool encode_change(const struct notice *notice, struct arena *arena,
                          struct store_entry *entry)
{
    bool is_over = notice->state.phase == NOTICE_NONE;
    size_t len = is_over ? 0 : VALUE_SIZE + notice->name_len;
    uint8_t *bytes = arena_allocate(arena, KEY_SIZE + len);
    if (bytes == NULL)
        return false;
    encode_key(&notice->key, bytes);
    if (!is_over)
        encode_state(notice, bytes + KEY_SIZE);
    *entry = (struct store_entry){.key = slice_of_bytes(bytes, KEY_SIZE),
                                  .value = slice_of_bytes(bytes + KEY_SIZE, len)};
    return true;
}

bool notice_list_changes(struct notice_list *list, struct arena *arena, struct store_entry *entries,
                         size_t max, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < list->count && *count < max; i++) {
        struct notice *notice = &list->notices[i];
        if (notice->changes == notice->stored)
            continue;
        if (!encode_change(notice, arena, &entries[*count]))
            return false;
        notice->given = notice->changes;
        (*count)++;
    }
    return true;
}

void notice_list_stored(struct notice_list *list, bool is_stored)
{
    for (size_t i = 0; i < list->count; i++) {
        struct notice *notice = &list->notices[i];
        if (is_stored && notice->given != notice->stored)
            notice->stored = notice->given;
        notice->given = notice->stored;
    }
    remove_ended(list);
}

// --- the rule, applied ----------------------------------------------------------------------------

static void count_event(struct notice_list *list, enum notice_event event)
{
    switch (event) {
    case NOTICE_NO_EVENT:
        break;
    case NOTICE_FOLDED:
        list->cancelled++;
        break;
    case NOTICE_TOO_OLD:
        list->dropped[NOTICE_DROP_AGE]++;
        break;
    case NOTICE_REFUSED:
        list->dropped[NOTICE_DROP_REFUSED]++;
        break;
    }
}

static bool is_same_state(const struct notice_state *a, const struct notice_state *b)
{
    return a->phase == b->phase && a->refusals == b->refusals && a->began_at == b->began_at &&
           a->ended_at == b->ended_at && a->due_at == b->due_at &&
           a->is_in_flight == b->is_in_flight && a->is_unsure == b->is_unsure;
}

// Jobs wait long in a pool that was dead until just now. That is reported when its end is, if they still do. The notice
// of the dead pool is before this one in the list, so it is up to date.
static bool is_recovering(const struct notice_list *list, const struct notice_key *key)
{
    const struct notice_key dead = {key->receiver, NOTICE_DEAD, key->subject};
    const struct notice *notice = find_notice(list, &dead);
    return key->condition == NOTICE_QUEUED && notice != NULL &&
           (notice->state.phase == NOTICE_BEGIN_DUE || notice->state.phase == NOTICE_BEGUN ||
            notice->state.phase == NOTICE_HELD);
}

static void advance_notice(struct notice_list *list, struct notice *notice,
                           const struct notice_subjects *subjects)
{
    const struct notice_subject *subject =
        notice_subjects_find(subjects, notice->key.condition, &notice->key.subject);
    const struct notice_state before = notice->state;
    struct notice_observation seen = {.presence = NOTICE_ABSENT, .now = subjects->now};
    if (subject != NULL) {
        seen.presence = subject->presence[notice->key.condition];
        seen.since = subject->since[notice->key.condition];
    }
    if (seen.presence == NOTICE_PRESENT && is_recovering(list, &notice->key))
        seen.presence = NOTICE_LASTING;
    count_event(list, notice_advance(&notice->state, &seen, &list->times));
    notice->changes += is_same_state(&before, &notice->state) ? 0 : 1;
}

// How many more notices there may be of a receiver.
struct notice_room {
    size_t all, unproven;
};

// Of a subject that is gone it is not known what it was.
static bool is_unproven(const struct notice_subjects *subjects, const struct notice_key *key)
{
    const struct notice_subject *subject =
        notice_subjects_find(subjects, key->condition, &key->subject);
    return subject == NULL || !subject->is_proven;
}

static struct notice_room find_room(const struct notice_list *list,
                                    const struct notice_subjects *subjects, uint64_t receiver)
{
    size_t all = 0, unproven = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->notices[i].key.receiver != receiver)
            continue;
        all++;
        unproven += is_unproven(subjects, &list->notices[i].key) ? 1 : 0;
    }
    return (struct notice_room){
        .all = all < NOTICE_LIST_MAX ? NOTICE_LIST_MAX - all : 0,
        .unproven = unproven < NOTICE_UNPROVEN_MAX ? NOTICE_UNPROVEN_MAX - unproven : 0};
}

static enum error_code add_trouble(struct notice_list *list, const struct notice_key *key,
                                   const struct notice_subject *subject, struct notice_room *room)
{
    if (find_notice(list, key) != NULL)
        return ERROR_NONE;
    if (room->all == 0 || (room->unproven == 0 && !subject->is_proven)) {
        list->left_out++;
        return ERROR_NONE;
    }
    if (add_notice(list, key, subject->name) == NULL)
        return ERROR_MEMORY;
    room->all--;
    room->unproven -= subject->is_proven ? 0 : 1;
    return ERROR_NONE;
}

// Makes room for each trouble of each subject.
static enum error_code add_troubles(struct notice_list *list,
                                    const struct notice_subjects *subjects, uint64_t receiver)
{
    struct notice_room room = find_room(list, subjects, receiver);
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < subjects->count; i++)
        for (int k = 0; k < NOTICE_CONDITIONS && code == ERROR_NONE; k++) {
            const struct notice_subject *subject = &subjects->items[i];
            const struct notice_key key = {receiver, (enum notice_condition)k, subject->id};
            if (subject->presence[k] == NOTICE_PRESENT)
                code = add_trouble(list, &key, subject, &room);
        }
    return code;
}

enum error_code notice_list_update(struct notice_list *list, const struct notice_subjects *subjects,
                                   const struct notice_receivers *receivers)
{
    enum error_code code = ERROR_NONE;
    size_t left_out = list->left_out;
    list->left_out = 0;
    for (size_t i = 0; i < receivers->count && code == ERROR_NONE; i++)
        code = add_troubles(list, subjects, receivers->items[i].id);
    if (list->left_out > left_out)
        list->dropped[NOTICE_DROP_LIMIT] += list->left_out - left_out;
    for (size_t i = 0; i < list->count; i++)
        advance_notice(list, &list->notices[i], subjects);
    remove_ended(list);
    return code;
}

void notice_list_keep(struct notice_list *list, const struct notice_receivers *receivers)
{
    for (size_t i = 0; i < list->count; i++) {
        struct notice *notice = &list->notices[i];
        bool is_kept = false;
        for (size_t k = 0; k < receivers->count; k++)
            is_kept |= receivers->items[k].id == notice->key.receiver;
        if (is_kept && notice->state.is_in_flight) {
            notice->state.is_in_flight = false;
            notice->state.is_unsure = true;
            notice->changes++;
        }
        if (is_kept || notice->state.phase == NOTICE_NONE)
            continue;
        list->dropped[NOTICE_DROP_RECEIVER] += notice_is_pending(&notice->state) ? 1 : 0;
        notice->state = (struct notice_state){.phase = NOTICE_NONE};
        notice->changes++;
    }
    remove_ended(list);
}

// --- what is pending ------------------------------------------------------------------------------

uint64_t notice_list_pending(const struct notice_list *list, uint64_t receiver)
{
    uint64_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count +=
            list->notices[i].key.receiver == receiver && notice_is_pending(&list->notices[i].state)
                ? 1
                : 0;
    return count;
}

static int compare_due(const void *left, const void *right)
{
    const struct notice *const *a = left, *const *b = right;
    timestamp_ns x = (*a)->state.due_at, y = (*b)->state.due_at;
    if (x != y)
        return x < y ? -1 : 1;
    return compare_keys(&(*a)->key, &(*b)->key);
}

// Those that are pending, or those that are in flight, in the order in which they are sent.
static size_t list_due(const struct notice_list *list, uint64_t receiver, bool is_in_flight,
                       const struct notice *found[NOTICE_LIST_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < list->count && count < NOTICE_LIST_MAX; i++) {
        const struct notice *notice = &list->notices[i];
        if (notice->key.receiver == receiver && notice_is_pending(&notice->state) &&
            notice->state.is_in_flight == is_in_flight)
            found[count++] = notice;
    }
    if (count > 1)
        qsort(found, count, sizeof found[0], compare_due);
    return count;
}

size_t notice_list_take(struct notice_list *list, uint64_t receiver, size_t max)
{
    const struct notice *found[NOTICE_LIST_MAX];
    size_t count = list_due(list, receiver, false, found);
    count = count < max ? count : max;
    for (size_t i = 0; i < count; i++) {
        struct notice *notice = &list->notices[found[i] - list->notices];
        notice->state.is_in_flight = true;
        notice->changes++;
    }
    return count;
}

bool notice_list_may_send(const struct notice_list *list, uint64_t receiver)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct notice *notice = &list->notices[i];
        if (notice->key.receiver == receiver && notice->state.is_in_flight &&
            notice->changes != notice->stored)
            return false;
    }
    return true;
}

size_t notice_list_in_flight(const struct notice_list *list, uint64_t receiver,
                             const struct notice *taken[NOTICE_LIST_MAX])
{
    return list_due(list, receiver, true, taken);
}

void notice_list_settle(struct notice_list *list, uint64_t receiver, enum notice_result result)
{
    for (size_t i = 0; i < list->count; i++) {
        struct notice *notice = &list->notices[i];
        if (notice->key.receiver != receiver || !notice->state.is_in_flight)
            continue;
        const struct notice_state before = notice->state;
        list->sent += result == NOTICE_SENT ? 1 : 0;
        count_event(list, notice_settle(&notice->state, result));
        notice->changes += is_same_state(&before, &notice->state) ? 0 : 1;
    }
    remove_ended(list);
}
