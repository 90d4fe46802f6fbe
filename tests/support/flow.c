// For `make VARIANT=flow`: writes the address of each function that is entered, and the thread, to the file that
// FLOW_LOG names. scripts/flow reads it.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define QUIET __attribute__((no_instrument_function))

static int file = -1;

QUIET static void open_file(void) __attribute__((constructor));
QUIET static void open_file(void)
{
    const char *path = getenv("FLOW_LOG");
    if (path != NULL)
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

QUIET void __cyg_profile_func_enter(void *function, void *caller);
QUIET void __cyg_profile_func_exit(void *function, void *caller);

void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)caller;
    uint64_t entry[2] = {(uint64_t)(uintptr_t)function, (uint64_t)gettid()};
    if (file >= 0 && write(file, entry, sizeof entry) < 0)
        file = -1;
}

void __cyg_profile_func_exit(void *function, void *caller)
{
    (void)function;
    (void)caller;
}
