// What is pending, and which begins were sent.
#include "board.h"

#include <assert.h>
#include <stdlib.h>

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

void notice_board_release(struct notice_board *board)
{
    for (size_t i = 0; i < board->count; i++)
        memory_free(board->notices[i].name);
    memory_free(board->notices);
    board->notices = NULL;
    board->count = board->capacity = 0;
}

// --- the list -------------------------------------------------------------------------------------

static int compare_keys(const struct notice_key *a, const struct notice_key *b)
{
    if (a->receiver != b->receiver)
        return a->receiver < b->receiver ? -1 : 1;
    if (a->condition != b->condition)
        return a->condition < b->condition ? -1 : 1;
    return memcmp(&a->subject, &b->subject, sizeof a->subject);
}

// The position of the first notice that is not before `key`.
static size_t position_of_key(const struct notice_board *board, const struct notice_key *key)
{
    size_t low = 0, high = board->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&board->notices[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct notice *find_notice(const struct notice_board *board, const struct notice_key *key)
{
    size_t at = position_of_key(board, key);
    bool is_found = at < board->count && compare_keys(&board->notices[at].key, key) == 0;
    return is_found ? &board->notices[at] : NULL;
}

static bool make_room_for_one(struct notice_board *board)
{
    if (board->count < board->capacity)
        return true;
    size_t capacity = board->capacity > 0 ? 2 * board->capacity : CAPACITY_FIRST;
    void *notices = memory_resize(board->notices, capacity * sizeof *board->notices);
    if (notices == NULL)
        return false;
    board->notices = notices;
    board->capacity = capacity;
    return true;
}

// The notice of this key, which is added if there is none. NULL: out of memory.
static struct notice *add_notice(struct notice_board *board, const struct notice_key *key,
                                 struct slice name)
{
    size_t at = position_of_key(board, key);
    struct notice *notice = find_notice(board, key);
    if (notice != NULL)
        return notice;
    if (name.len > NOTICE_NAME_MAX)
        name = utf8_is_valid(name) ? utf8_cut(name, NOTICE_NAME_MAX)
                                   : (struct slice){name.data, NOTICE_NAME_MAX};
    char *copy = memory_copy_string(name.data, name.len);
    if (copy == NULL || !make_room_for_one(board)) {
        memory_free(copy);
        return NULL;
    }
    notice = &board->notices[at];
    memmove(notice + 1, notice, (board->count - at) * sizeof *notice);
    *notice = (struct notice){.key = *key, .name = copy, .name_len = name.len};
    board->count++;
    return notice;
}

// Removes notices that are over and need not be stored any more.
static void remove_ended(struct notice_board *board)
{
    size_t kept = 0;
    for (size_t i = 0; i < board->count; i++) {
        struct notice *notice = &board->notices[i];
        if (notice->state.phase == NOTICE_NONE && notice->changes == notice->stored)
            memory_free(notice->name);
        else
            board->notices[kept++] = *notice;
    }
    board->count = kept;
}

// --- the stored form ------------------------------------------------------------------------------

static void write_be64(char *bytes, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        bytes[i] = (char)(value & 0xff);
}

static uint64_t read_be64(const char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | (uint8_t)bytes[i];
    return value;
}

// -1: there is no such letter.
static int find_letter(const char *letters, int count, char letter)
{
    for (int i = 0; i < count; i++)
        if (letters[i] == letter)
            return i;
    return -1;
}

static void encode_key(const struct notice_key *key, char bytes[KEY_SIZE])
{
    write_be64(bytes, key->receiver);
    bytes[8] = condition_letters[key->condition];
    memcpy(bytes + 9, &key->subject, sizeof key->subject);
}

static void encode_state(const struct notice *notice, char *bytes)
{
    const struct notice_state *state = &notice->state;
    bytes[0] = LAYOUT;
    bytes[1] = phase_letters[state->phase];
    bytes[2] = (char)state->refusals;
    bytes[3] =
        (char)((state->is_in_flight ? FLAG_IN_FLIGHT : 0) | (state->is_unsure ? FLAG_UNSURE : 0));
    write_be64(bytes + 4, (uint64_t)state->began_at);
    write_be64(bytes + 12, (uint64_t)state->ended_at);
    write_be64(bytes + 20, (uint64_t)state->due_at);
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
    key->receiver = read_be64(bytes.data);
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
                                   .began_at = (timestamp_ns)read_be64(bytes.data + 4),
                                   .ended_at = (timestamp_ns)read_be64(bytes.data + 12),
                                   .due_at = (timestamp_ns)read_be64(bytes.data + 20)};
    if (phase <= NOTICE_NONE)
        return false;
    state->phase = (enum notice_phase)phase;
    return state->began_at >= 0 && state->ended_at >= 0 && state->due_at >= 0;
}

enum error_code notice_board_load(struct notice_board *board, struct store_entry entry)
{
    struct notice_key key = {.receiver = 0};
    struct notice_state state;
    if (!decode_key(entry.key, &key) || !decode_state(entry.value, &state))
        return ERROR_NONE;
    struct notice *notice = add_notice(board, &key, slice_skip(entry.value, VALUE_SIZE));
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
    char *bytes = arena_allocate(arena, KEY_SIZE + len);
    if (bytes == NULL)
        return false;
    encode_key(&notice->key, bytes);
    if (!is_over)
        encode_state(notice, bytes + KEY_SIZE);
    *entry = (struct store_entry){.key = {bytes, KEY_SIZE}, .value = {bytes + KEY_SIZE, len}};
    return true;
}

bool notice_board_changes(struct notice_board *board, struct arena *arena,
                          struct store_entry *entries, size_t max, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < board->count && *count < max; i++) {
        struct notice *notice = &board->notices[i];
        if (notice->changes == notice->stored)
            continue;
        if (!encode_change(notice, arena, &entries[*count]))
            return false;
        notice->given = notice->changes;
        (*count)++;
    }
    return true;
}

void notice_board_stored(struct notice_board *board, bool is_stored)
{
    for (size_t i = 0; i < board->count; i++) {
        struct notice *notice = &board->notices[i];
        if (is_stored && notice->given != notice->stored)
            notice->stored = notice->given;
        notice->given = notice->stored;
    }
    remove_ended(board);
}

// --- the rule, applied ----------------------------------------------------------------------------

static void count_event(struct notice_board *board, enum notice_event event)
{
    switch (event) {
    case NOTICE_NO_EVENT:
        break;
    case NOTICE_FOLDED:
        board->folded++;
        break;
    case NOTICE_TOO_OLD:
        board->dropped[NOTICE_DROP_AGE]++;
        break;
    case NOTICE_REFUSED:
        board->dropped[NOTICE_DROP_REFUSED]++;
        break;
    }
}

static bool is_same_state(const struct notice_state *a, const struct notice_state *b)
{
    return a->phase == b->phase && a->refusals == b->refusals && a->began_at == b->began_at &&
           a->ended_at == b->ended_at && a->due_at == b->due_at &&
           a->is_in_flight == b->is_in_flight && a->is_unsure == b->is_unsure;
}

// Jobs wait long in a pool that was dead until just now. That is reported when its end is, if they still do. The notice of
// the dead pool is before this one in the list, so it is up to date.
static bool is_recovering(const struct notice_board *board, const struct notice_key *key)
{
    const struct notice_key dead = {key->receiver, NOTICE_DEAD, key->subject};
    const struct notice *notice = find_notice(board, &dead);
    return key->condition == NOTICE_QUEUED && notice != NULL &&
           (notice->state.phase == NOTICE_BEGIN_DUE || notice->state.phase == NOTICE_BEGUN ||
            notice->state.phase == NOTICE_HELD);
}

static void advance_notice(struct notice_board *board, struct notice *notice,
                           const struct notice_scene *scene)
{
    const struct notice_facts *facts =
        notice_scene_find(scene, notice->key.condition, &notice->key.subject);
    const struct notice_state before = notice->state;
    struct notice_sight sight = {.presence = NOTICE_ABSENT, .now = scene->now};
    if (facts != NULL) {
        sight.presence = facts->presence[notice->key.condition];
        sight.since = facts->since[notice->key.condition];
    }
    if (sight.presence == NOTICE_PRESENT && is_recovering(board, &notice->key))
        sight.presence = NOTICE_LASTING;
    count_event(board, notice_advance(&notice->state, &sight, &board->times));
    notice->changes += is_same_state(&before, &notice->state) ? 0 : 1;
}

static size_t count_of_receiver(const struct notice_board *board, uint64_t receiver)
{
    size_t count = 0;
    for (size_t i = 0; i < board->count; i++)
        count += board->notices[i].key.receiver == receiver ? 1 : 0;
    return count;
}

// `*left`: how many more notices there may be of the receiver.
static enum error_code add_trouble(struct notice_board *board, const struct notice_key *key,
                                   const struct notice_facts *facts, size_t *left)
{
    if (find_notice(board, key) != NULL)
        return ERROR_NONE;
    if (*left == 0) {
        board->left_out++;
        return ERROR_NONE;
    }
    if (add_notice(board, key, facts->name) == NULL)
        return ERROR_MEMORY;
    (*left)--;
    return ERROR_NONE;
}

// Makes room for each trouble of the scene.
static enum error_code add_troubles(struct notice_board *board, const struct notice_scene *scene,
                                    uint64_t receiver)
{
    size_t count = count_of_receiver(board, receiver);
    size_t left = count < NOTICE_BOARD_MAX ? NOTICE_BOARD_MAX - count : 0;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < scene->count; i++)
        for (int k = 0; k < NOTICE_CONDITIONS && code == ERROR_NONE; k++) {
            const struct notice_facts *facts = &scene->facts[i];
            const struct notice_key key = {receiver, (enum notice_condition)k, facts->id};
            if (facts->presence[k] == NOTICE_PRESENT)
                code = add_trouble(board, &key, facts, &left);
        }
    return code;
}

enum error_code notice_board_update(struct notice_board *board, const struct notice_scene *scene,
                                    const struct notice_receivers *receivers)
{
    enum error_code code = ERROR_NONE;
    size_t left_out = board->left_out;
    board->left_out = 0;
    for (size_t i = 0; i < receivers->count && code == ERROR_NONE; i++)
        code = add_troubles(board, scene, receivers->items[i].id);
    if (board->left_out > left_out)
        board->dropped[NOTICE_DROP_LIMIT] += board->left_out - left_out;
    for (size_t i = 0; i < board->count; i++)
        advance_notice(board, &board->notices[i], scene);
    remove_ended(board);
    return code;
}

void notice_board_keep(struct notice_board *board, const struct notice_receivers *receivers)
{
    for (size_t i = 0; i < board->count; i++) {
        struct notice *notice = &board->notices[i];
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
        board->dropped[NOTICE_DROP_RECEIVER] += notice_is_pending(&notice->state) ? 1 : 0;
        notice->state = (struct notice_state){.phase = NOTICE_NONE};
        notice->changes++;
    }
    remove_ended(board);
}

// --- what is pending ------------------------------------------------------------------------------

uint64_t notice_board_pending(const struct notice_board *board, uint64_t receiver)
{
    uint64_t count = 0;
    for (size_t i = 0; i < board->count; i++)
        count += board->notices[i].key.receiver == receiver &&
                         notice_is_pending(&board->notices[i].state)
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
static size_t list_due(const struct notice_board *board, uint64_t receiver, bool is_in_flight,
                       const struct notice *found[NOTICE_BOARD_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < board->count && count < NOTICE_BOARD_MAX; i++) {
        const struct notice *notice = &board->notices[i];
        if (notice->key.receiver == receiver && notice_is_pending(&notice->state) &&
            notice->state.is_in_flight == is_in_flight)
            found[count++] = notice;
    }
    if (count > 1)
        qsort(found, count, sizeof found[0], compare_due);
    return count;
}

size_t notice_board_take(struct notice_board *board, uint64_t receiver, size_t max)
{
    const struct notice *found[NOTICE_BOARD_MAX];
    size_t count = list_due(board, receiver, false, found);
    count = count < max ? count : max;
    for (size_t i = 0; i < count; i++) {
        struct notice *notice = &board->notices[found[i] - board->notices];
        notice->state.is_in_flight = true;
        notice->changes++;
    }
    return count;
}

bool notice_board_may_send(const struct notice_board *board, uint64_t receiver)
{
    for (size_t i = 0; i < board->count; i++) {
        const struct notice *notice = &board->notices[i];
        if (notice->key.receiver == receiver && notice->state.is_in_flight &&
            notice->changes != notice->stored)
            return false;
    }
    return true;
}

size_t notice_board_list(const struct notice_board *board, uint64_t receiver,
                         const struct notice *taken[NOTICE_BOARD_MAX])
{
    return list_due(board, receiver, true, taken);
}

void notice_board_settle(struct notice_board *board, uint64_t receiver, enum notice_result result)
{
    for (size_t i = 0; i < board->count; i++) {
        struct notice *notice = &board->notices[i];
        if (notice->key.receiver != receiver || !notice->state.is_in_flight)
            continue;
        const struct notice_state before = notice->state;
        board->sent += result == NOTICE_SENT ? 1 : 0;
        count_event(board, notice_settle(&notice->state, result));
        notice->changes += is_same_state(&before, &notice->state) ? 0 : 1;
    }
    remove_ended(board);
}
