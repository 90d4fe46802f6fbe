// Configuration files, with the values read as each setting's kind.
#include "../../src/app/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *const no_environment[] = {NULL};
    struct arena arena;
    struct settings settings;
    struct config config = {0};
    struct error error = {0};
    arena_init(&arena, 1024);
    settings_init(&settings, &arena);
    enum error_code code =
        settings_read_text(&settings, "fuzz.conf", fuzz_slice(data, size), &error);
    if (code == ERROR_NONE)
        code = config_build(&config, &settings, &options_all, no_environment, &error);
    if (code != ERROR_NONE)
        MUST(error.code == code && error.message[0] != '\0');
    arena_release(&arena);
    return 0;
}
