// Files of tests/fixtures, and copies of them with one thing changed.
#include "fixture.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *allocate(size_t size)
{
    void *block = malloc(size);
    if (block == NULL)
        abort();
    return block;
}

static void give_up(const char *what, const char *on)
{
    fprintf(stderr, "fixture: %s: %s\n", what, on);
    exit(2);
}

struct slice fixture_read(const char *path)
{
    const size_t most = 1 << 20;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        give_up("cannot open, are you at the top of the source tree?", path);
    char *data = allocate(most);
    size_t len = fread(data, 1, most, file);
    fclose(file);
    // Of the exact size, so that a sanitizer detects a read past the end.
    char *exact = allocate(len > 0 ? len : 1);
    memcpy(exact, data, len);
    free(data);
    return (struct slice){.data = exact, .len = len};
}

struct slice fixture_replace(struct slice text, const char *find, const char *replacement)
{
    size_t find_len = strlen(find);
    size_t replacement_len = strlen(replacement);
    const char *at = memmem(text.data, text.len, find, find_len);
    if (at == NULL)
        give_up("not found in the fixture", find);
    size_t head = (size_t)(at - text.data);
    size_t tail = text.len - head - find_len;
    char *data = allocate(head + replacement_len + tail + 1);
    memcpy(data, text.data, head);
    memcpy(data + head, replacement, replacement_len);
    memcpy(data + head + replacement_len, at + find_len, tail);
    return (struct slice){.data = data, .len = head + replacement_len + tail};
}

void fixture_free(struct slice fixture)
{
    free((void *)(uintptr_t)fixture.data);
}
