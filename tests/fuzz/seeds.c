// Runs a target over its seeds, as an ordinary test: SEEDS is the folder, named by the Makefile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "fuzz.h"
#include "support/fixture.h"

static void every_seed_and_every_prefix_of_it_is_survived(void **state)
{
    struct dirent **entries = NULL;
    int seeds = 0;
    (void)state;
    int count = scandir(SEEDS, &entries, NULL, alphasort);
    if (count < 0)
        fail_msg("no seeds in %s", SEEDS);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", SEEDS, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            struct slice seed = fixture_read(path);
            size_t step = 1 + seed.len / 200;
            for (size_t len = 0; len < seed.len; len += step)
                (void)LLVMFuzzerTestOneInput((const uint8_t *)seed.data, len);
            (void)LLVMFuzzerTestOneInput((const uint8_t *)seed.data, seed.len);
            fixture_free(seed);
            seeds++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(seeds > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_and_every_prefix_of_it_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
