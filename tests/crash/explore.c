// Every crash: makes the files that a power cut may leave at each moment of a recorded run, and checks each of them.
//
//     explore LOG DELIVERIES DATA FOLDER [NAME=NUMBER...]
//
// LOG was written by record.c, DELIVERIES by crash.py; DATA is data.mdb as it was in the end, which the log has to lead to;
// FOLDER, best in memory, is for the states.
//
// Between two syncs a disk may have taken any part of what was written: the states of each such interval are those at
// its end, with all answers that were given by then. With numbers: seed; states=N: random ones in each interval;
// exhaustive=N: all combinations where at most N sectors, or writes, are not synced; jobs=N: processes;
// collector=1: in the run records were taken by a collector; sample=N: keep every Nth state in FOLDER/sample;
// limit=N: end after so many broken states.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/check.h"
#include "crash/disk.h"
#include "crash/log.h"
#include "ghatrace/base/log.h"

#define META_PAGES_SIZE 8192 // LMDB's two; a commit is a short write into one of them
#define JOBS_MAX 16
#define FINDINGS_MAX 8
#define CHECK_SECONDS 120 // a check that takes longer hangs
#define MESSAGE_SIZE 600
#define PORTS 65536
#define SEEN_MAX 8192 // a power of 2: states of one interval, so that none is checked twice

#define KINDS(ROW)                                                                                 \
    ROW(KIND_NONE, "nothing of what is not synced")                                                \
    ROW(KIND_ALL, "all of it")                                                                     \
    ROW(KIND_EXHAUSTIVE, "each combination, where few")                                            \
    ROW(KIND_PREFIX, "the first writes only")                                                      \
    ROW(KIND_SUFFIX, "the last writes only")                                                       \
    ROW(KIND_SINGLE, "one write only")                                                             \
    ROW(KIND_MISSING, "all but one write")                                                         \
    ROW(KIND_TORN, "random sectors")                                                               \
    ROW(KIND_SIZE, "a file of another size")                                                       \
    ROW(KIND_ENTRY, "no file, or no folder")
#define KIND_CONSTANT(kind, words) kind,
#define KIND_WORDS(kind, words) words,
enum kind { KINDS(KIND_CONSTANT) KIND_COUNT };
static const char *const kind_words[KIND_COUNT] = {KINDS(KIND_WORDS)};

struct finding {
    size_t interval;
    enum kind kind;
    char message[MESSAGE_SIZE];
};

// In memory that all processes share; each job has its own.
struct results {
    size_t states[KIND_COUNT], broken[KIND_COUNT];
    size_t after_answers; // states right after an answer: no write or sync in between
    size_t finding_count, broken_count, sampled;
    uint64_t finished; // of the last state that was checked
    struct finding findings[FINDINGS_MAX];
};

struct options {
    long seed, states, exhaustive, jobs, collector, sample, limit;
};

struct explorer {
    struct options options;
    struct crash_world world;
    struct results *results; // of this job
    size_t job;
    const char *log;
    size_t log_size;
    struct disk disk;
    // as of the interval
    size_t interval, commits_written, commits_synced;
    size_t answers, answers_before;
    bool was_made, is_listed; // data.mdb: its entry in the folder is synced
    bool has_every_name;      // also those that are not synced
    size_t sync_writes;       // disk.writes at the begin of the sync
    size_t answered[PORTS];   // by port
    uint64_t seen[SEEN_MAX];
    size_t checked; // states of this job
    uint64_t random;
    bool *chosen;
    size_t chosen_room;
    uint8_t *image;
    size_t image_room;
    int output; // what the process that checks a state says
};

static struct explorer explorer; // too large for the stack

// --- random numbers -------------------------------------------------------------------------------------------

static uint64_t next_random(struct explorer *self) // xorshift64*
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return self->random * UINT64_C(2685821657736338717);
}

static size_t below(struct explorer *self, size_t limit)
{
    return (size_t)(next_random(self) >> 16) % limit;
}

static void *must_resize(void *block, size_t size)
{
    void *made = realloc(block, size + 1);
    if (made == NULL)
        crash_fail("out of memory");
    return made;
}

// --- one state ------------------------------------------------------------------------------------------------

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        crash_fail("%s: %s", path, strerror(errno));
    for (size_t done = 0; done < size;) {
        ssize_t now = write(fd, (const char *)bytes + done, size - done);
        if (now <= 0)
            crash_fail("%s: %s", path, strerror(errno));
        done += (size_t)now;
    }
    (void)close(fd);
}

static void clear_folder(const char *folder)
{
    static const char *const names[] = {"data.mdb", "data.mdb.new", "lock.mdb", "lock"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            crash_fail("%s: %s", path, strerror(errno));
    }
    if (rmdir(folder) != 0 && errno != ENOENT)
        crash_fail("%s: %s", folder, strerror(errno));
}

// LMDB's file of readers is mapped and never synced: there may be anything in it.
static void write_lock_files(const char *folder, uint64_t choice)
{
    uint8_t bytes[META_PAGES_SIZE] = {0};
    if (choice % 4 == 3)
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((choice >> i % 48) + i * 151);
    if (choice % 4 != 0)
        write_file(folder, "lock.mdb", bytes, choice % 4 == 1 ? 0 : sizeof bytes);
    if ((choice & 16) != 0)
        write_file(folder, "lock", "1\n", (choice & 32) != 0 ? 2 : 0);
}

// `size`: of data.mdb; absent without it, and the folder with it.
enum { NO_FILE = -1, NO_FOLDER = -2 };

static void write_state(const struct explorer *self, const char *folder, ssize_t size,
                        uint64_t choice)
{
    // A name that is not synced may be the earlier one.
    bool has_name =
        self->was_made && (self->is_listed || self->has_every_name || (choice & 64) != 0);
    clear_folder(folder);
    if (size == NO_FOLDER)
        return;
    if (mkdir(folder, 0700) != 0)
        crash_fail("%s: %s", folder, strerror(errno));
    write_lock_files(folder, choice);
    if (size != NO_FILE)
        write_file(folder, has_name ? "data.mdb" : "data.mdb.new", self->image, (size_t)size);
}

static void check_here(struct explorer *self, uint64_t choice, ssize_t size)
{
    const struct crash_limits limits = {
        .least = self->is_listed ? self->commits_synced : 0,
        .most = self->commits_written,
        .may_be_empty = !self->is_listed || self->commits_synced == 0,
    };
    write_state(self, self->world.folder, size, choice);
    if (dup2(self->output, STDERR_FILENO) < 0 || dup2(self->output, STDOUT_FILENO) < 0)
        _exit(3);
    (void)alarm(CHECK_SECONDS);
    crash_check(&self->world, &limits, &self->results->finished);
    _exit(0);
}

// With other numbers, perhaps.
static bool is_noted(const struct results *results, enum kind kind, const char *text)
{
    for (size_t i = 0; i < results->finding_count; i++) {
        const char *a = text, *b = results->findings[i].message;
        while (*a != '\0' && *b != '\0') {
            a += strspn(a, "0123456789");
            b += strspn(b, "0123456789");
            if (*a == '\0' || *a != *b)
                break;
            a++, b++;
        }
        if (*a == '\0' && results->findings[i].kind == kind)
            return true;
    }
    return false;
}

static void note_finding(struct explorer *self, enum kind kind, int status)
{
    struct results *results = self->results;
    struct finding *finding = &results->findings[results->finding_count];
    char text[MESSAGE_SIZE] = "";
    ssize_t len = pread(self->output, text, sizeof text - 1, 0);
    results->broken[kind]++;
    results->broken_count++;
    len = len > 0 ? len : 0;
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (results->finding_count == FINDINGS_MAX || is_noted(results, kind, text))
        return;
    results->finding_count++;
    finding->interval = self->interval;
    finding->kind = kind;
    (void)snprintf(finding->message, sizeof finding->message, "%.560s%s%s", text,
                   WIFSIGNALED(status) ? "; ended by signal " : "",
                   WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
}

static void keep_sample(struct explorer *self, ssize_t size, uint64_t choice)
{
    char folder[512], names[sizeof folder + sizeof ".acknowledged"];
    if (size < 0)
        return;
    (void)snprintf(folder, sizeof folder, "%s-sample-%zu", self->world.folder,
                   self->results->sampled);
    (void)snprintf(names, sizeof names, "%s.acknowledged", folder);
    write_state(self, folder, size, choice);
    FILE *file = fopen(names, "we");
    if (file == NULL)
        crash_fail("%s: %s", names, strerror(errno));
    for (size_t i = 0; i < self->world.count; i++)
        fputc(self->world.deliveries[i].is_acknowledged ? '1' : '0', file);
    if (fclose(file) != 0)
        crash_fail("%s: %s", names, strerror(errno));
    self->results->sampled++;
}

static bool was_seen(struct explorer *self, ssize_t size)
{
    uint64_t sum = UINT64_C(0xCBF29CE484222325) + (uint64_t)size;
    for (ssize_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, self->image + i, sizeof word);
        sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 32;
    }
    sum += sum == 0;
    for (size_t i = sum % SEEN_MAX, steps = 0; steps < SEEN_MAX; i = (i + 1) % SEEN_MAX, steps++) {
        if (self->seen[i] == sum)
            return true;
        if (self->seen[i] == 0) {
            self->seen[i] = sum;
            return false;
        }
    }
    return false;
}

// In a process of its own, which a fault ends.
static void check_state(struct explorer *self, enum kind kind, ssize_t size)
{
    struct results *results = self->results;
    uint64_t choice = next_random(self);
    int status;
    if (was_seen(self, size) || results->broken_count >= (size_t)self->options.limit)
        return;
    if (ftruncate(self->output, 0) != 0 || lseek(self->output, 0, SEEK_SET) != 0)
        crash_fail("cannot clear the output");
    pid_t child = fork();
    if (child == 0)
        check_here(self, choice, size);
    if (child < 0 || waitpid(child, &status, 0) != child)
        crash_fail("fork: %s", strerror(errno));
    results->states[kind]++;
    results->after_answers += self->answers > self->answers_before ? 1 : 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        note_finding(self, kind, status);
    else if (self->world.finished != 0 && results->finished != self->world.finished) {
        (void)!pwrite(self->output, "what is exported in the end is not what it should be", 52, 0);
        note_finding(self, kind, 0);
    }
    if (self->options.sample > 0 && ++self->checked % (size_t)self->options.sample == 0)
        keep_sample(self, size, choice);
}

// --- the states of an interval --------------------------------------------------------------------------------

static void make_room(struct explorer *self)
{
    if (self->chosen_room < self->disk.version_count) {
        self->chosen_room = self->disk.version_count * 2;
        self->chosen = must_resize(self->chosen, self->chosen_room * sizeof *self->chosen);
    }
    if (self->image_room < self->disk.room) {
        self->image_room = self->disk.room;
        self->image = must_resize(self->image, self->image_room);
    }
}

static void check_chosen(struct explorer *self, enum kind kind, size_t size)
{
    disk_image(&self->disk, self->chosen, size, self->image);
    check_state(self, kind, (ssize_t)size);
}

static void check_least(struct explorer *self, enum kind kind)
{
    check_chosen(self, kind, disk_least_size(&self->disk, self->chosen));
}

static void choose(struct explorer *self, bool value)
{
    for (size_t i = 0; i < self->disk.version_count; i++)
        self->chosen[i] = value;
}

// The number of writes that are not synced; their numbers begin at that of the first.
static size_t count_writes(const struct disk *disk)
{
    return disk->version_count == 0 ? 0 : disk->writes - disk->versions[0].write;
}

// Those from the `from`th write that is not synced to before the `to`th: chosen, the others not; or the other way round.
static void choose_writes(struct explorer *self, size_t from, size_t to, bool value)
{
    const struct disk *disk = &self->disk;
    for (size_t i = 0; i < disk->version_count; i++) {
        size_t number = disk->versions[i].write - disk->versions[0].write;
        self->chosen[i] = (number >= from && number < to) == value;
    }
}

static void check_by_writes(struct explorer *self)
{
    size_t count = count_writes(&self->disk);
    for (size_t i = 0; i < count; i++) {
        choose_writes(self, 0, i, true);
        check_least(self, KIND_PREFIX);
        choose_writes(self, i, count, true);
        check_least(self, KIND_SUFFIX);
        choose_writes(self, i, i + 1, true);
        check_least(self, KIND_SINGLE);
        choose_writes(self, i, i + 1, false);
        check_least(self, KIND_MISSING);
    }
}

static void check_combinations(struct explorer *self)
{
    const struct disk *disk = &self->disk;
    size_t writes = count_writes(disk);
    bool by_sector = disk->version_count <= (size_t)self->options.exhaustive;
    size_t count = by_sector ? disk->version_count : writes;
    if (count > (size_t)self->options.exhaustive)
        return;
    for (size_t set = 0; set < (size_t)1 << count; set++) {
        for (size_t i = 0; i < disk->version_count; i++) {
            size_t bit = by_sector ? i : disk->versions[i].write - disk->versions[0].write;
            self->chosen[i] = (set >> bit & 1) != 0;
        }
        check_least(self, KIND_EXHAUSTIVE);
    }
}

// Few sectors, half of them, or nearly all.
static void check_torn(struct explorer *self)
{
    static const size_t shares[] = {3, 10, 50, 90, 97};
    for (long n = 0; n < self->options.states && self->disk.version_count > 0; n++) {
        size_t share = shares[below(self, sizeof shares / sizeof shares[0])];
        for (size_t i = 0; i < self->disk.version_count; i++)
            self->chosen[i] = below(self, 100) < share;
        size_t size = disk_least_size(&self->disk, self->chosen);
        if (self->disk.size_count > 0 && below(self, 2) == 0)
            size = self->disk.sizes[below(self, self->disk.size_count)];
        check_chosen(self, KIND_TORN, size);
    }
}

static void check_sizes(struct explorer *self)
{
    for (size_t i = 0; i <= self->disk.size_count; i++) {
        size_t size = i == 0 ? self->disk.synced_size : self->disk.sizes[i - 1];
        choose(self, true);
        check_chosen(self, KIND_SIZE, size);
        choose(self, false);
        check_chosen(self, KIND_SIZE, size);
    }
}

static void check_interval(struct explorer *self)
{
    memset(self->seen, 0, sizeof self->seen);
    self->random = ((uint64_t)self->options.seed + 1) * UINT64_C(0x9E3779B97F4A7C15) +
                   self->interval * UINT64_C(0xD1B54A32D192ED03);
    make_room(self);
    if (!self->is_listed) {
        check_state(self, KIND_ENTRY, NO_FILE);
        check_state(self, KIND_ENTRY, NO_FOLDER);
    }
    if (self->disk.writes == 0)
        return;
    choose(self, false);
    check_least(self, KIND_NONE);
    choose(self, true);
    check_least(self, KIND_ALL);
    check_combinations(self);
    check_by_writes(self);
    check_sizes(self);
    check_torn(self);
}

// --- the log --------------------------------------------------------------------------------------------------

static void take_answer(struct explorer *self, const struct crash_entry *entry, const char *status)
{
    size_t left = self->answered[entry->offset]++;
    for (size_t i = 0; i < self->world.count; i++) {
        struct crash_delivery *delivery = &self->world.deliveries[i];
        if (delivery->port != (unsigned)entry->offset || left-- > 0)
            continue;
        delivery->is_acknowledged = memcmp(status, "202", 3) == 0 || memcmp(status, "200", 3) == 0;
        self->answers++;
        return;
    }
}

static bool is_commit(const struct crash_entry *entry)
{
    return entry->offset < META_PAGES_SIZE && entry->size < SECTOR_SIZE;
}

static void take_write(struct explorer *self, const struct crash_entry *entry, const char *bytes)
{
    disk_write(&self->disk, bytes, (size_t)entry->size, (size_t)entry->offset);
    self->commits_written += is_commit(entry) ? 1 : 0;
    self->interval += entry->kind == CRASH_WRITE_SYNCED ? 1 : 0;
}

static void end_sync(struct explorer *self, const struct crash_entry *entry)
{
    if (entry->file == CRASH_FILE_DATA || entry->file == CRASH_FILE_NEW) {
        disk_sync(&self->disk, self->disk.writes - self->sync_writes);
        self->commits_synced = self->commits_written;
    }
    if (entry->file == CRASH_FILE_FOLDER)
        self->is_listed = self->was_made;
}

// An entry of data.mdb or of the folder. `visit` is called at the end of each interval, with the synced write that ends
// it, if it is one, not synced yet.
static void take_entry(struct explorer *self, const struct crash_entry *entry, const char *bytes,
                       void (*visit)(struct explorer *))
{
    bool is_data = entry->file == CRASH_FILE_DATA || entry->file == CRASH_FILE_NEW;
    bool is_end = entry->kind == CRASH_SYNC_ENDS && (is_data || entry->file == CRASH_FILE_FOLDER);
    if (entry->kind == CRASH_ANSWER)
        take_answer(self, entry, bytes);
    if (is_data && (entry->kind == CRASH_WRITE || entry->kind == CRASH_WRITE_SYNCED))
        take_write(self, entry, bytes);
    if (is_data && entry->kind == CRASH_SIZE)
        disk_grow(&self->disk, (size_t)entry->offset);
    if (entry->file == CRASH_FILE_DATA ? entry->kind == CRASH_OPEN
                                       : is_data && entry->kind == CRASH_RENAME)
        self->was_made = true;
    if (is_data && entry->kind == CRASH_SYNC_BEGINS)
        self->sync_writes = self->disk.writes;
    if (is_data && (entry->kind == CRASH_MAP_WRITE || entry->kind == CRASH_REMOVE ||
                    (entry->kind == CRASH_RENAME && entry->file == CRASH_FILE_DATA)))
        crash_fail("the log has what is not understood here: %c", entry->kind);
    self->interval += is_end ? 1 : 0;
    if (is_end || (is_data && entry->kind == CRASH_WRITE_SYNCED)) {
        visit(self);
        self->answers_before = self->answers;
    }
    if (is_data && entry->kind == CRASH_WRITE_SYNCED) {
        disk_sync_last(&self->disk);
        self->commits_synced = self->commits_written;
    }
    if (is_end)
        end_sync(self, entry);
}

static void replay(struct explorer *self, void (*visit)(struct explorer *))
{
    struct crash_entry entry;
    size_t at = 0;
    disk_release(&self->disk);
    self->interval = self->commits_written = self->commits_synced = 0;
    self->answers = self->answers_before = 0;
    self->was_made = self->is_listed = false;
    memset(self->answered, 0, sizeof self->answered);
    for (size_t i = 0; i < self->world.count; i++)
        self->world.deliveries[i].is_acknowledged = false;
    while (at + sizeof entry <= self->log_size) {
        memcpy(&entry, self->log + at, sizeof entry);
        at += sizeof entry;
        if (entry.size < 0 || (size_t)entry.size > self->log_size - at)
            crash_fail("the log is cut off");
        take_entry(self, &entry, self->log + at, visit);
        at += (size_t)entry.size;
    }
    self->interval++;
    visit(self); // what follows the last sync
}

// --- what the states are compared with --------------------------------------------------------------------------

static void keep_digest(struct explorer *self)
{
    struct crash_world *world = &self->world;
    if (world->commit_count > self->commits_written)
        return;
    if (world->commit_count < self->commits_written)
        crash_fail("two commits without a sync between them");
    make_room(self);
    choose(self, true);
    disk_image(&self->disk, self->chosen, self->disk.cache_size, self->image);
    write_state(self, world->folder, (ssize_t)self->disk.cache_size, 0);
    world->commits[world->commit_count++] = crash_digest(world->folder);
}

// --- the whole --------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    size_t place;
    long usual;
} settings[] = {
    {"seed", offsetof(struct options, seed), 1},
    {"states", offsetof(struct options, states), 40},
    {"exhaustive", offsetof(struct options, exhaustive), 10},
    {"jobs", offsetof(struct options, jobs), 2},
    {"collector", offsetof(struct options, collector), 0},
    {"sample", offsetof(struct options, sample), 0},
    {"limit", offsetof(struct options, limit), 20},
};
#define SETTING_COUNT (sizeof settings / sizeof settings[0])

static void read_options(struct options *options, char **arguments)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        *(long *)(void *)((char *)options + settings[i].place) = settings[i].usual;
    for (; *arguments != NULL; arguments++) {
        size_t i = 0, len = strcspn(*arguments, "=");
        while (i < SETTING_COUNT &&
               (strncmp(*arguments, settings[i].name, len) != 0 || settings[i].name[len] != '\0'))
            i++;
        if (i == SETTING_COUNT || (*arguments)[len] != '=')
            crash_fail("what is %s?", *arguments);
        *(long *)(void *)((char *)options + settings[i].place) =
            strtol(*arguments + len + 1, NULL, 10);
    }
    if (options->jobs < 1 || options->jobs > JOBS_MAX || options->exhaustive > 16)
        crash_fail("too many jobs or combinations");
}

// `*size`: bytes. Ends the process if the file is empty.
static const char *map_file(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size == 0)
        crash_fail("%s is empty or not there", path);
    *size = (size_t)status.st_size;
    void *map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        crash_fail("%s: %s", path, strerror(errno));
    (void)close(fd);
    return map;
}

static int make_output(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC);
    if (fd < 0)
        crash_fail("memfd_create: %s", strerror(errno));
    return fd;
}

// What the whole file has after each commit, and in the end.
static void learn(struct explorer *self, const char *data_file, struct results *results)
{
    struct crash_world *world = &self->world;
    size_t size;
    const char *data = map_file(data_file, &size);
    self->results = results;
    world->commits = must_resize(NULL, self->log_size / sizeof(struct crash_entry) * 8);
    world->commits[0] = DIGEST_OF_NOTHING;
    world->commit_count = 1;
    self->has_every_name = true; // there is no power cut
    replay(self, keep_digest);
    if (self->disk.cache_size != size || memcmp(self->disk.cache, data, size) != 0)
        crash_fail("the log lacks something that was written to the file");
    self->random = 1;
    choose(self, true);
    check_least(self, KIND_ALL);
    if (results->broken_count > 0)
        crash_fail("the whole file, without a power cut, is broken: %s",
                   results->findings[0].message);
    self->has_every_name = false;
    world->finished = results->finished;
    memset(results, 0, sizeof *results);
}

// Intervals before a commit and those of a commit take turns, and have different numbers of states.
static void check_own_interval(struct explorer *self)
{
    if (self->interval / 2 % (size_t)self->options.jobs == self->job)
        check_interval(self);
}

static void run_jobs(struct explorer *self, struct results *results)
{
    static char folder[512];
    size_t left = 0;
    for (size_t job = 0; job < (size_t)self->options.jobs; job++, left++) {
        pid_t child = fork();
        if (child < 0)
            crash_fail("fork: %s", strerror(errno));
        if (child > 0)
            continue;
        (void)snprintf(folder, sizeof folder, "%s-%zu", self->world.folder, job);
        self->world.folder = folder;
        self->results = &results[job];
        self->job = job;
        self->output = make_output();
        replay(self, check_own_interval);
        clear_folder(folder);
        _exit(0);
    }
    for (bool is_well = true; left > 0; left--) {
        int status;
        is_well = wait(&status) > 0 && status == 0 && is_well;
        if (left == 1 && !is_well)
            crash_fail("a job has failed");
    }
}

static size_t print_results(const struct results *results, size_t jobs)
{
    size_t all = 0, broken = 0, after_answers = 0;
    printf("%-40s %10s %10s\n", "what is left of what was not synced", "states", "broken");
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        size_t states = 0, of_kind = 0;
        for (size_t job = 0; job < jobs; job++) {
            states += results[job].states[kind];
            of_kind += results[job].broken[kind];
        }
        printf("%-40s %10zu %10zu\n", kind_words[kind], states, of_kind);
        all += states;
        broken += of_kind;
    }
    for (size_t job = 0; job < jobs; job++) {
        after_answers += results[job].after_answers;
        for (size_t i = 0; i < results[job].finding_count; i++)
            printf("broken: interval %zu, %s: %s\n", results[job].findings[i].interval,
                   kind_words[results[job].findings[i].kind], results[job].findings[i].message);
    }
    printf("%zu states, %zu of them right after an answer, %zu broken\n", all, after_answers,
           broken);
    return broken;
}

// Without the answers in the log nothing would count as acknowledged, and no loss would be found.
static void expect_all_answers(const struct explorer *self)
{
    size_t sent = 0;
    for (size_t i = 0; i < self->world.count; i++)
        sent += self->world.deliveries[i].port != 0 ? 1 : 0;
    if (sent == 0 || self->answers != sent)
        crash_fail("%zu deliveries were answered, the log has %zu answers", sent, self->answers);
}

int main(int argc, char **argv)
{
    struct explorer *self = &explorer;
    if (argc < 5)
        crash_fail("usage: explore LOG DELIVERIES DATA FOLDER [NAME=NUMBER...]");
    read_options(&self->options, argv + 5);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    struct results *results = mmap(NULL, JOBS_MAX * sizeof *results, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        crash_fail("mmap: %s", strerror(errno));
    self->log = map_file(argv[1], &self->log_size);
    crash_world_read(&self->world, argv[2]);
    self->world.folder = argv[4];
    self->world.has_collector = self->options.collector != 0;
    self->output = make_output();
    learn(self, argv[3], results);
    expect_all_answers(self);
    printf("seed %ld: %zu intervals, %zu commits, %zu answers\n", self->options.seed,
           self->interval, self->commits_written, self->answers);
    (void)fflush(stdout);
    clear_folder(self->world.folder);
    run_jobs(self, results);
    return print_results(results, (size_t)self->options.jobs) == 0 ? 0 : 1;
}
