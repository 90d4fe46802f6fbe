// What LMDB cannot report: a page of its map that the disk does not give is a SIGBUS, and one that makes no
// sense to it an assertion. Both end the process with a sentence, not with a core that holds payloads.
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/log_queue.h"
#include "lmdb.h"

#define LAST_WORDS_MS 1000 // how long the end waits for a standard error that is not read

// The first thread to get here writes the message; others that follow wait for the end.
static void end_process(const char *message, size_t len)
{
    static atomic_flag is_ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&is_ending))
        (void)pause();
    log_last_words(message, len, LAST_WORDS_MS);
    _exit(1);
}

// The store's are the only files that this program maps.
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static const char message[] =
        "ghatrace: the store's files cannot be used: their disk is full or has failed, or one of "
        "them was cut short while it was in use; nothing that was acknowledged is changed by "
        "this; see to the disk, then start again\n";
    (void)context;
    if (info->si_code == SI_USER || info->si_code == SI_TKILL) {
        (void)signal(number, SIG_DFL); // somebody sent it
        (void)raise(number);
        return;
    }
    end_process(message, sizeof message - 1);
}

static void on_assertion(MDB_env *env, const char *message)
{
    (void)env;
    log_error("the store is damaged: restore its folder, or move it away to start afresh",
              LOG_STRING("error", message));
    end_process("", 0);
}

void store_guard_map(MDB_env *env)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
    (void)mdb_env_set_assert(env, on_assertion);
}
