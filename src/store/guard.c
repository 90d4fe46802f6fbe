// What LMDB cannot report. A page of its map that the disk does not give is a SIGBUS; one whose content makes no sense
// sends it beyond the map, or makes it write into it: a SIGSEGV; or it is an assertion. All end the process with
// a sentence and status 1, not with a core that holds payloads.
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/log_queue.h"
#include "lmdb.h"

#define LAST_WORDS_MS 1000 // how long the end waits for a standard error that is not read
// A damaged entry may claim to be up to 4 GiB long.
#define REACH ((uintptr_t)4 << 30)

// Where the map of the last store that was opened lies; both 0: not known.
static _Atomic uintptr_t map_start, map_end;
// Who dealt with SIGSEGV before: a sanitizer, a test.
static struct sigaction earlier;

// Of guard_try(), in the thread that is in it.
static _Thread_local sigjmp_buf *escape;

// The first thread to get here writes the message; others that follow wait for the end.
static void end_process(const char *message, size_t len)
{
    static atomic_flag is_ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&is_ending))
        (void)pause();
    log_last_words(message, len, LAST_WORDS_MS);
    _exit(1);
}

// A signal that another process sent, not a fault.
static bool was_sent(int number, const siginfo_t *info)
{
    if (info->si_code != SI_USER && info->si_code != SI_TKILL && info->si_code != SI_QUEUE)
        return false;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    return true;
}

// The store's are the only files that this program maps.
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static const char message[] =
        "ghatrace: the store's files cannot be used: their disk is full or has failed, or one of "
        "them is cut off; nothing that was acknowledged is changed by this; see to the disk, or "
        "restore the store's folder, then start again\n";
    (void)context;
    if (was_sent(number, info))
        return;
    if (escape != NULL)
        siglongjmp(*escape, 1);
    end_process(message, sizeof message - 1);
}

bool guard_try(void (*run)(void *context), void *context)
{
    sigjmp_buf place;
    bool is_whole = sigsetjmp(place, 1) == 0;
    escape = is_whole ? &place : NULL;
    if (is_whole)
        run(context);
    escape = NULL;
    return is_whole;
}

static void on_segment_fault(int number, siginfo_t *info, void *context)
{
    static const char damaged[] =
        "ghatrace: the store is damaged: restore its folder, or move it away to start afresh\n";
    static const char unclear[] =
        "ghatrace: a fault in memory: an error in ghatrace, or its store is damaged; nothing that "
        "was acknowledged is changed by this\n";
    uintptr_t at = (uintptr_t)info->si_addr;
    uintptr_t start = atomic_load(&map_start), end = atomic_load(&map_end);
    (void)context;
    if (was_sent(number, info))
        return;
    if (start != 0 && at >= start && at < end + REACH)
        end_process(damaged, sizeof damaged - 1);
    if (earlier.sa_handler == SIG_DFL)
        end_process(unclear, sizeof unclear - 1);
    (void)sigaction(number, &earlier, NULL); // the fault happens again, and is theirs
}

static void on_assertion(MDB_env *env, const char *message)
{
    (void)env;
    log_error("the store is damaged: restore its folder, or move it away to start afresh",
              LOG_STRING("error", message));
    end_process("", 0);
}

static void catch (int number, void (*handle)(int, siginfo_t *, void *), struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    struct sigaction found;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, &found) == 0 && found.sa_sigaction != handle && before != NULL)
        *before = found;
}

void guard_catch_faults(MDB_env *env)
{
    catch (SIGBUS, on_bus_error, NULL);
    catch (SIGSEGV, on_segment_fault, &earlier);
    (void)mdb_env_set_assert(env, on_assertion);
}

// LMDB does not say where its map lies.
void guard_find_map(void)
{
    static const char name[] = "/data.mdb\n";
    char line[4096 + 128];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return;
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, end;
        size_t len = strlen(line);
        if (len >= sizeof name && strcmp(line + len + 1 - sizeof name, name) == 0 &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2) {
            atomic_store(&map_start, start);
            atomic_store(&map_end, end);
        }
    }
    (void)fclose(maps); // only read from
}
