// Configuration files, with the values read as each setting's kind.
#include "fuzz.h"
#include "ghatrace/app/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct settings settings;
    struct error error = {0};
    arena_init(&arena, 65536);
    settings_init(&settings, &arena);
    if (settings_read_text(&settings, "fuzz.conf", fuzz_slice(data, size), &error) != ERROR_NONE)
        MUST(error.message[0] != '\0');
    arena_release(&arena);
    return 0;
}
