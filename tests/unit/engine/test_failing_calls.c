// Each write and each sync of the store's file fails once, in turn, below LMDB: with nothing written, with half of it, or
// with all of it written although it is reported as failed. The delivery is refused and nothing is changed, or, if it
// proves stored, it is recognized when it is delivered again. Then all goes on by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "support/engine_bench.h"
#include "support/stats_verify.h"

// --- the calls ------------------------------------------------------------------------------------------------

enum call { CALL_PAGES, CALL_SYNC, CALL_META };
enum failure {
    NOTHING_WRITTEN,
    HALF_WRITTEN,
    // The call has done its work. LMDB writes the old meta page back after a failure: that works, or fails, too.
    ALL_WRITTEN,
    ALL_WRITTEN_AND_NOT_TAKEN_BACK,
};

static struct {
    bool is_armed;
    enum call call;
    enum failure failure;
    int code;
    long left; // calls before the one that fails
    long length;
    bool has_failed;
} fault;

// What LMDB calls: the definitions of a program come before those of the C library.
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t writev(int fd, const struct iovec *parts, int count);
int fdatasync(int fd);

static bool is_of_store(int fd)
{
    char link[64], path[512];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path);
    return len >= 9 && memcmp(path + len - 9, "/data.mdb", 9) == 0;
}

static bool must_fail_now(enum call call, int fd)
{
    if (!fault.is_armed || call != fault.call || !is_of_store(fd))
        return false;
    if (fault.left-- > 0)
        return false;
    fault.has_failed = true;
    fault.is_armed = --fault.length > 0;
    return true;
}

typedef ssize_t (*pwrite_call)(int, const void *, size_t, off_t);
typedef ssize_t (*writev_call)(int, const struct iovec *, int);
typedef int (*sync_call)(int);

static void *next_definition(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    return found;
}

static int fail_with_code(void)
{
    errno = fault.code;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    static bool take_back_fails;
    pwrite_call real = (pwrite_call)(uintptr_t)next_definition("pwrite");
    bool is_meta = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    if (take_back_fails && !is_meta && size < 512) {
        take_back_fails = false;
        return fail_with_code();
    }
    if (!must_fail_now(is_meta ? CALL_META : CALL_PAGES, fd))
        return real(fd, bytes, size, offset);
    if (fault.failure == HALF_WRITTEN)
        return real(fd, bytes, size / 2, offset);
    if (fault.failure != NOTHING_WRITTEN)
        assert_int_equal(real(fd, bytes, size, offset), size);
    take_back_fails = is_meta && fault.failure == ALL_WRITTEN_AND_NOT_TAKEN_BACK;
    return fail_with_code();
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    writev_call real = (writev_call)(uintptr_t)next_definition("writev");
    if (!must_fail_now(CALL_PAGES, fd))
        return real(fd, parts, count);
    if (fault.failure == HALF_WRITTEN)
        return real(fd, parts, (count + 1) / 2);
    if (fault.failure != NOTHING_WRITTEN)
        assert_true(real(fd, parts, count) > 0);
    return fail_with_code();
}

int fdatasync(int fd)
{
    sync_call real = (sync_call)(uintptr_t)next_definition("fdatasync");
    return must_fail_now(CALL_SYNC, fd) ? fail_with_code() : real(fd);
}

// --- what is delivered ------------------------------------------------------------------------------------------

#define SEQUENCE_LENGTH 6

static void make_sequence(struct scenario_delivery sequence[SEQUENCE_LENGTH])
{
    static struct github_step steps[2];
    steps[0] = scenario_step(1, "Set up job", 45, 46, "success");
    steps[1] = scenario_step(2, "deploy", 46, 59, "failure");
    sequence[0] = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    sequence[1] = scenario_job(1, GITHUB_JOB_QUEUED, 2.5, 2, 2, -1);
    sequence[2] = scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 20, -1);
    sequence[3] = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60);
    scenario_set_steps(&sequence[3], steps, 2);
    sequence[4] = scenario_job(2, GITHUB_JOB_COMPLETED, 61, 2, 20, 61);
    sequence[5] = scenario_run(GITHUB_RUN_COMPLETED, 62, "failure");
}

struct outcome {
    int refused, proved_stored;
};

static void write_all(struct engine_bench *bench, struct buffer *text)
{
    engine_bench_last_versions(bench, text);
    stats_write(bench->store, text);
}

// Delivers until it is accepted, or known from an attempt that was refused. What is refused changes nothing, unless it
// proves stored.
static void deliver_until_stored(struct engine_bench *bench,
                                 const struct scenario_delivery *delivery, struct outcome *outcome)
{
    struct buffer before, after;
    enum engine_outcome result;
    bool is_changed = false;
    buffer_init(&before, 1 << 20);
    buffer_init(&after, 1 << 20);
    write_all(bench, &before);
    while ((result = engine_bench_deliver(bench, delivery)) == ENGINE_FAILED ||
           result == ENGINE_FULL) {
        struct error error = {0};
        outcome->refused++;
        (void)engine_ready(bench->engine, &error);
        buffer_clear(&after);
        if (fault.call != CALL_META) { // after those LMDB can be read only when it was opened again
            write_all(bench, &after);
            is_changed = !slice_equals(buffer_slice(&before), buffer_slice(&after));
        }
        assert_false(is_changed);
    }
    outcome->proved_stored += result == ENGINE_DUPLICATE ? 1 : 0;
    assert_true(result == ENGINE_ACCEPTED ||
                (result == ENGINE_DUPLICATE && fault.failure == ALL_WRITTEN_AND_NOT_TAKEN_BACK));
    buffer_release(&before);
    buffer_release(&after);
}

// Returns whether a call has failed.
static bool play(struct buffer *text, struct outcome *outcome)
{
    struct scenario_delivery sequence[SEQUENCE_LENGTH];
    struct engine_bench bench;
    struct error error = {0};
    bool will_fail = fault.is_armed;
    fault.is_armed = fault.has_failed = false;
    make_sequence(sequence);
    engine_bench_open(&bench);
    fault.is_armed = will_fail;
    for (int i = 0; i < SEQUENCE_LENGTH; i++)
        deliver_until_stored(&bench, &sequence[i], outcome);
    engine_bench_advance(&bench, NS_PER_HOUR);
    fault.is_armed = false;
    engine_bench_advance(&bench, NS_PER_HOUR); // what failed is done now
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    engine_bench_restart(&bench);
    for (int i = 0; i < SEQUENCE_LENGTH; i++)
        assert_int_equal(engine_bench_deliver(&bench, &sequence[i]), ENGINE_DUPLICATE);
    stats_verify(bench.store);
    write_all(&bench, text);
    engine_bench_close(&bench);
    return fault.has_failed;
}

static struct outcome fail_each(enum call call, enum failure failure, int code, long length)
{
    struct buffer expected, actual;
    struct outcome outcome = {0, 0};
    bool has_failed = true;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    buffer_init(&expected, 1 << 20);
    buffer_init(&actual, 1 << 20);
    fault.is_armed = false;
    assert_false(play(&expected, &outcome));
    assert_int_equal(outcome.refused, 0);
    long n = 0;
    for (; has_failed; n++) {
        fault.is_armed = true;
        fault.call = call;
        fault.failure = failure;
        fault.code = code;
        fault.left = n;
        fault.length = length;
        has_failed = play(&actual, &outcome);
        if (!slice_equals(buffer_slice(&expected), buffer_slice(&actual)))
            fail_msg("call %ld: other spans or figures", n);
    }
    print_message("%ld calls, %d deliveries refused, of which %d proved stored\n", n - 1,
                  outcome.refused, outcome.proved_stored);
    buffer_release(&expected);
    buffer_release(&actual);
    assert_true(n > SEQUENCE_LENGTH);
    // After one failure the engine tries again by itself.
    assert_true(length == 1 || outcome.refused >= SEQUENCE_LENGTH);
    return outcome;
}

static void each_write_of_pages_may_fail(void **state)
{
    (void)state;
    for (enum failure failure = NOTHING_WRITTEN; failure <= ALL_WRITTEN; failure++) {
        assert_int_equal(fail_each(CALL_PAGES, failure, EIO, 1).proved_stored, 0);
        assert_int_equal(fail_each(CALL_PAGES, failure, ENOSPC, 3).proved_stored, 0);
    }
}

static void each_sync_may_fail(void **state)
{
    (void)state;
    assert_int_equal(fail_each(CALL_SYNC, NOTHING_WRITTEN, EIO, 1).proved_stored, 0);
    assert_int_equal(fail_each(CALL_SYNC, NOTHING_WRITTEN, ENOSPC, 3).proved_stored, 0);
}

static void each_write_that_makes_a_commit_count_may_fail(void **state)
{
    (void)state;
    assert_int_equal(fail_each(CALL_META, NOTHING_WRITTEN, EIO, 1).proved_stored, 0);
    assert_int_equal(fail_each(CALL_META, NOTHING_WRITTEN, ENOSPC, 3).proved_stored, 0);
    assert_int_equal(fail_each(CALL_META, HALF_WRITTEN, EIO, 1).proved_stored, 0);
    assert_int_equal(fail_each(CALL_META, ALL_WRITTEN, EIO, 1).proved_stored, 0);
}

static void a_commit_that_was_reported_as_failed_and_is_on_disk_counts_once(void **state)
{
    (void)state;
    assert_true(fail_each(CALL_META, ALL_WRITTEN_AND_NOT_TAKEN_BACK, EIO, 1).proved_stored > 0);
    assert_true(fail_each(CALL_META, ALL_WRITTEN_AND_NOT_TAKEN_BACK, EIO, 3).proved_stored > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_of_pages_may_fail),
        cmocka_unit_test(each_sync_may_fail),
        cmocka_unit_test(each_write_that_makes_a_commit_count_may_fail),
        cmocka_unit_test(a_commit_that_was_reported_as_failed_and_is_on_disk_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
