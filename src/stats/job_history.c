// Completed jobs: appended in small entries, the oldest dropped first.
#include "ghatrace/stats/job_history.h"

#include "ghatrace/trace/merge.h"
#include "private.h"

#define KEY_SIZE 8
#define NOT_KNOWN UINT32_MAX // of a wait
#define MS_MAX (UINT32_MAX - 1)
#define FIRST_NUMBER 1
#define NUMBER_END (UINT64_MAX / 2) // no store gets there

// --- one job --------------------------------------------------------------------------------------

uint64_t job_history_pool(const struct pool_id *id)
{
    return bytes_get_be64(id->bytes);
}

uint64_t job_history_tag(const struct store_key *job)
{
    uint64_t tag =
        fingerprint_add_text(FINGERPRINT_START, slice_of_bytes(job->trace.bytes, TRACE_ID_SIZE));
    tag = fingerprint_add_text(tag, slice_of_bytes(job->span.bytes, SPAN_ID_SIZE));
    return tag >> 16;
}

static uint64_t to_ms(timestamp_ns time)
{
    return time > 0 ? (uint64_t)(time / NS_PER_MS) : 0;
}

static uint64_t ms_between(timestamp_ns from, timestamp_ns until)
{
    uint64_t begin = to_ms(from), end = to_ms(until);
    uint64_t length = end > begin ? end - begin : 0;
    return length < MS_MAX ? length : MS_MAX;
}

static uint64_t choose_pool(struct stats *stats, struct slice labels)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    pool_rules_choose(&stats->rules, labels, room, &choice);
    struct pool_id id = pool_id_of(stats, choice.shown);
    return job_history_pool(&id);
}

static void put_record(struct stats *stats, uint8_t bytes[JOB_HISTORY_RECORD_SIZE],
                       const struct store_key *job, const struct job_occupancy *occupancy)
{
    timestamp_ns ready = timestamp_first_known(occupancy->ready, occupancy->started);
    uint64_t wait =
        occupancy->ready != TIMESTAMP_UNKNOWN ? ms_between(ready, occupancy->started) : NOT_KNOWN;
    bytes_put_be(bytes, choose_pool(stats, occupancy->labels), 8);
    bytes_put_be(bytes + 8, job_history_tag(job), 6);
    bytes_put_be(bytes + 14, to_ms(ready), 6);
    bytes_put_be(bytes + 20, wait, 4);
    bytes_put_be(bytes + 24, ms_between(occupancy->started, occupancy->ended), 4);
    bytes_put_be(bytes + 28, occupancy->runner, 4);
}

static void read_record(struct byte_reader *reader, struct job_record *record)
{
    record->pool = bytes_read_be(reader, 8);
    record->job = bytes_read_be(reader, 6);
    timestamp_ns ready = (timestamp_ns)bytes_read_be(reader, 6) * NS_PER_MS;
    uint64_t wait = bytes_read_be(reader, 4);
    uint64_t service = bytes_read_be(reader, 4);
    record->runner = (uint32_t)bytes_read_be(reader, 4);
    record->ready = wait == NOT_KNOWN ? TIMESTAMP_UNKNOWN : ready;
    record->started = ready + (wait == NOT_KNOWN ? 0 : (timestamp_ns)wait * NS_PER_MS);
    record->ended = record->started + (timestamp_ns)service * NS_PER_MS;
}

// --- entries --------------------------------------------------------------------------------------

// 48 bits of milliseconds are more than a time in nanoseconds can have.
static bool has_possible_times(const uint8_t *record)
{
    uint64_t ready = bytes_get_be64(record + 12) & ((UINT64_C(1) << 48) - 1);
    return ready < (uint64_t)(INT64_MAX / NS_PER_MS) - 2 * (uint64_t)UINT32_MAX;
}

// Of a damaged key, what its beginning says.
static uint64_t number_of_entry(const struct store_entry *entry)
{
    return entry->key.len >= KEY_SIZE ? bytes_get_be64(entry->key.data) : 0;
}

static bool has_sound_key(const struct store_entry *entry)
{
    return entry->key.len == KEY_SIZE && number_of_entry(entry) < NUMBER_END;
}

// The number of jobs in an entry; 0: it is damaged.
static size_t count_sound_records(const struct store_entry *entry)
{
    size_t count = entry->value.len / JOB_HISTORY_RECORD_SIZE;
    if (!has_sound_key(entry) || entry->value.len % JOB_HISTORY_RECORD_SIZE != 0 ||
        count > JOB_HISTORY_TOGETHER)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (!has_possible_times((const uint8_t *)entry->value.data + i * JOB_HISTORY_RECORD_SIZE))
            return 0;
    }
    return count;
}

// The first or the last entry.
static enum error_code seek_outer(struct store_transaction *transaction, bool is_last,
                                  struct store_entry *entry, struct error *error)
{
    return is_last
               ? store_table_seek_before(transaction, STORE_TABLE_JOB_HISTORY, SLICE_EMPTY, entry,
                                         error)
               : store_table_seek(transaction, STORE_TABLE_JOB_HISTORY, SLICE_EMPTY, entry, error);
}

// The number after the last job.
static enum error_code find_end(struct store_transaction *transaction, uint64_t *end,
                                struct error *error)
{
    struct store_entry last;
    *end = FIRST_NUMBER;
    enum error_code code = seek_outer(transaction, true, &last, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    size_t count = count_sound_records(&last);
    *end = number_of_entry(&last) + (count > 0 ? count : JOB_HISTORY_TOGETHER);
    return ERROR_NONE;
}

enum error_code job_history_count(struct store_transaction *transaction, uint64_t *count,
                                  struct error *error)
{
    struct store_entry first;
    uint64_t end;
    *count = 0;
    enum error_code code = find_end(transaction, &end, error);
    if (code == ERROR_NONE)
        code = seek_outer(transaction, false, &first, error);
    if (code == ERROR_NONE && end > number_of_entry(&first))
        *count = end - number_of_entry(&first);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code job_history_is_whole(struct store_transaction *transaction, bool *is_whole,
                                     struct error *error)
{
    struct store_entry first;
    enum error_code code = seek_outer(transaction, false, &first, error);
    *is_whole =
        code == ERROR_NOT_FOUND || (code == ERROR_NONE && number_of_entry(&first) <= FIRST_NUMBER);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- adding ---------------------------------------------------------------------------------------

// A damaged last key is in the way of the next: it is set aside.
static enum error_code find_next_number(struct stats *stats, struct error *error)
{
    struct new_jobs *jobs = &stats->new_jobs;
    for (;;) {
        struct store_entry last;
        enum error_code code = seek_outer(stats->transaction, true, &last, error);
        bool is_wrong = code == ERROR_NONE && !has_sound_key(&last);
        if (is_wrong)
            code = store_table_set_aside(stats->transaction, STORE_TABLE_JOB_HISTORY, last.key,
                                         SLICE("damaged"), error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (!is_wrong)
            return find_end(stats->transaction, &jobs->next, error);
    }
}

enum error_code job_history_flush(struct stats *stats, struct error *error)
{
    struct new_jobs *jobs = &stats->new_jobs;
    uint8_t key[KEY_SIZE];
    if (jobs->count == 0)
        return ERROR_NONE;
    enum error_code code = jobs->next == 0 ? find_next_number(stats, error) : ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    bytes_put_be64(key, jobs->next);
    code = store_table_append(
        stats->transaction, STORE_TABLE_JOB_HISTORY, slice_of_bytes(key, sizeof key),
        slice_of_bytes(jobs->bytes, jobs->count * JOB_HISTORY_RECORD_SIZE), error);
    jobs->next += jobs->count;
    jobs->count = 0;
    jobs->may_exceed = true;
    return code;
}

enum error_code job_history_add(struct stats *stats, const struct store_key *job,
                                const struct job_occupancy *occupancy, struct error *error)
{
    struct new_jobs *jobs = &stats->new_jobs;
    put_record(stats, jobs->bytes + jobs->count * JOB_HISTORY_RECORD_SIZE, job, occupancy);
    jobs->count++;
    return jobs->count < JOB_HISTORY_TOGETHER ? ERROR_NONE : job_history_flush(stats, error);
}

// --- dropping -------------------------------------------------------------------------------------

// `*dropped`: how many jobs it had.
static enum error_code drop_first_entry(struct stats *stats, uint64_t *dropped, struct error *error)
{
    uint8_t bytes[STORE_TABLE_KEY_MAX];
    struct store_entry first;
    enum error_code code = seek_outer(stats->transaction, false, &first, error);
    if (code != ERROR_NONE)
        return code;
    size_t len = first.key.len < sizeof bytes ? first.key.len : sizeof bytes;
    memcpy(bytes, first.key.data, len);
    size_t count = count_sound_records(&first);
    *dropped = count > 0 ? count : 1;
    return store_table_delete(stats->transaction, STORE_TABLE_JOB_HISTORY,
                              slice_of_bytes(bytes, len), error);
}

enum error_code job_history_expire(struct stats *stats, uint64_t keep, size_t max, bool *has_more,
                                   struct error *error)
{
    uint64_t count, done = 0;
    *has_more = false;
    if (!stats->new_jobs.may_exceed)
        return ERROR_NONE;
    enum error_code code = find_next_number(stats, error); // not after a damaged one
    if (code == ERROR_NONE)
        code = job_history_count(stats->transaction, &count, error);
    if (code != ERROR_NONE)
        return code;
    stats->new_jobs.may_exceed = false;
    uint64_t slack = keep > 0 ? JOB_HISTORY_SLACK : 0;
    if (count <= keep + slack)
        return ERROR_NONE;
    while (done < max && count - done > keep) {
        uint64_t dropped;
        code = drop_first_entry(stats, &dropped, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        done = done + dropped < count ? done + dropped : count;
    }
    *has_more = count - done > keep + slack;
    stats->new_jobs.may_exceed = *has_more;
    return ERROR_NONE;
}

// --- reading --------------------------------------------------------------------------------------

enum error_code job_history_read(struct store_transaction *transaction, uint64_t *number,
                                 struct job_record records[JOB_HISTORY_TOGETHER], size_t *count,
                                 struct error *error)
{
    for (*count = 0; *count == 0;) {
        uint8_t key[KEY_SIZE];
        struct store_entry entry;
        bytes_put_be64(key, *number);
        enum error_code code = store_table_seek(transaction, STORE_TABLE_JOB_HISTORY,
                                                slice_of_bytes(key, sizeof key), &entry, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (number_of_entry(&entry) >= NUMBER_END)
            return ERROR_NONE;
        struct byte_reader reader = bytes_reader(entry.value);
        *count = count_sound_records(&entry);
        if (*count == 0)
            store_note_unreadable(transaction);
        for (size_t i = 0; i < *count; i++)
            read_record(&reader, &records[i]);
        *number = number_of_entry(&entry) + 1;
    }
    return ERROR_NONE;
}
