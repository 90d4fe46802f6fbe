// Payload files → deliveries ready to send.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ghatrace/app/files.h"
#include "ghatrace/app/replay.h"
#include "ghatrace/base/hex.h"
#include "ghatrace/base/memory.h"

#define PAYLOAD_FILE_MAX ((size_t)1 << 30)
#define SCRATCH_BLOCK 65536

struct loader {
    const struct replay_load_options *options;
    struct arena *arena;  // what stays
    struct arena scratch; // of one payload
    struct replay_deliveries *out;
    size_t capacity;
    struct error *error;
};

static enum error_code refuse_memory(struct loader *loader, const char *name)
{
    return error_set(loader->error, ERROR_MEMORY, "%s: out of memory", name);
}

static bool grow(struct loader *loader)
{
    if (loader->out->count < loader->capacity)
        return true;
    size_t capacity = loader->capacity == 0 ? 64 : 2 * loader->capacity;
    struct replay_delivery *items = arena_allocate_array(loader->arena, capacity, sizeof *items);
    if (items == NULL)
        return false;
    if (loader->out->count > 0)
        memcpy(items, loader->out->items, loader->out->count * sizeof *items);
    loader->out->items = items;
    loader->capacity = capacity;
    return true;
}

// URL Standard, application/x-www-form-urlencoded: these stay, a blank is '+', the rest is escaped.
static bool is_form_safe(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' ||
           c == '-' || c == '.' || c == '_';
}

static bool encode_form(struct arena *arena, struct slice payload, struct slice *form)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char field[] = "payload=";
    char *text = arena_allocate(arena, sizeof field + 3 * payload.len);
    if (text == NULL)
        return false;
    size_t len = sizeof field - 1;
    memcpy(text, field, len);
    for (size_t i = 0; i < payload.len; i++) {
        char c = payload.data[i];
        if (is_form_safe(c) || c == ' ') {
            text[len++] = c == ' ' ? '+' : c;
        } else {
            text[len++] = '%';
            text[len++] = digits[(unsigned char)c >> 4];
            text[len++] = digits[(unsigned char)c & 0x0f];
        }
    }
    *form = (struct slice){.data = text, .len = len};
    return true;
}

// Of a delivery from the deliveries API: its payload, event and GUID.
static enum error_code take_recording(struct loader *loader,
                                      const struct replay_recording *recording,
                                      struct slice *payload, struct replay_delivery *delivery)
{
    if (recording->payload.len == 0)
        return error_set(loader->error, ERROR_USAGE,
                         "%s: a delivery without request.payload: ask the API for this one "
                         "delivery, not for the list",
                         delivery->name);
    if (recording->guid.len >= sizeof delivery->guid)
        return error_set(loader->error, ERROR_USAGE, "%s: its guid is no UUID", delivery->name);
    if (!arena_copy_slice(loader->arena, recording->event, &delivery->event))
        return refuse_memory(loader, delivery->name);
    *payload = recording->payload;
    (void)snprintf(delivery->guid, sizeof delivery->guid, "%.*s", SLICE_ARGS(recording->guid));
    return ERROR_NONE;
}

// What the document says of its delivery. The scratch holds the document.
static enum error_code read_document(struct loader *loader, struct json_document *document,
                                     struct slice *payload, struct replay_delivery *delivery)
{
    struct replay_recording recording;
    if (replay_unwrap(document, &loader->scratch, &recording)) {
        enum error_code code = take_recording(loader, &recording, payload, delivery);
        if (code == ERROR_NONE)
            code = json_parse(*payload, &loader->scratch, document, loader->error);
        if (code != ERROR_NONE)
            return code;
    }
    if (loader->options->event != NULL)
        delivery->event = slice_from_string(loader->options->event);
    else if (delivery->event.len == 0)
        delivery->event = replay_guess_event(document);
    delivery->occurred_at = replay_event_time(document, delivery->event, &loader->scratch);
    return ERROR_NONE;
}

// A payload that is not JSON can be sent all the same, if its event is given: that is how refusals
// are tried.
static enum error_code read_facts(struct loader *loader, struct slice *payload,
                                  struct replay_delivery *delivery)
{
    struct json_document document;
    struct error reason = {.message = "its event cannot be told"};
    enum error_code code = json_parse(*payload, &loader->scratch, &document, &reason);
    if (code == ERROR_MEMORY)
        return refuse_memory(loader, delivery->name);
    if (code != ERROR_NONE) {
        delivery->event = slice_from_string(loader->options->event);
    } else {
        code = read_document(loader, &document, payload, delivery);
        if (code != ERROR_NONE)
            return code;
    }
    if (delivery->event.len > 0)
        return ERROR_NONE;
    return error_set(loader->error, ERROR_USAGE, "%s: %s: name the event with --event",
                     delivery->name, reason.message);
}

static bool sign(const struct replay_load_options *options, struct replay_delivery *delivery)
{
    uint8_t hmac[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    if (options->secret.len == 0)
        return true;
    if (!digest_hmac_sha256(options->secret, delivery->body, hmac))
        return false;
    hex_encode(hmac, sizeof hmac, hex);
    (void)snprintf(delivery->signature, sizeof delivery->signature, "sha256=%s", hex);
    return true;
}

static enum error_code add_payload(struct loader *loader, const char *name, struct slice payload)
{
    const struct replay_load_options *options = loader->options;
    struct replay_delivery delivery = {.name = name, .occurred_at = TIMESTAMP_UNKNOWN};
    enum error_code code = read_facts(loader, &payload, &delivery);
    arena_clear(&loader->scratch);
    if (code != ERROR_NONE)
        return code;
    digest_sha256(payload, delivery.digest);
    if (options->guid != NULL)
        (void)snprintf(delivery.guid, sizeof delivery.guid, "%s", options->guid);
    else if (delivery.guid[0] == '\0')
        replay_make_guid(delivery.occurred_at, delivery.digest, delivery.guid);
    // The signature is over what is sent: of a form, the form.
    bool is_made = options->is_form ? encode_form(loader->arena, payload, &delivery.body)
                                    : arena_copy_slice(loader->arena, payload, &delivery.body);
    if (!is_made || !sign(options, &delivery) || !grow(loader))
        return refuse_memory(loader, name);
    loader->out->items[loader->out->count++] = delivery;
    return ERROR_NONE;
}

static enum error_code add_lines(struct loader *loader, const char *path, struct slice text)
{
    for (unsigned number = 1; text.len > 0; number++) {
        ptrdiff_t newline = slice_find(text, SLICE("\n"));
        size_t len = newline < 0 ? text.len : (size_t)newline;
        struct slice line = {.data = text.data, .len = len};
        size_t taken = newline < 0 ? len : len + 1;
        text = (struct slice){.data = text.data + taken, .len = text.len - taken};
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (slice_trim(line).len == 0)
            continue;
        struct slice name;
        if (!arena_format(loader->arena, &name, "%s:%u%c", path, number, '\0'))
            return refuse_memory(loader, path);
        enum error_code code = add_payload(loader, name.data, line);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static bool holds_lines(const char *path)
{
    struct slice name = slice_from_string(path);
    return slice_ends_with(name, SLICE(".jsonl")) || slice_ends_with(name, SLICE(".ndjson"));
}

static enum error_code add_file(struct loader *loader, const char *path)
{
    struct buffer text;
    buffer_init(&text, PAYLOAD_FILE_MAX);
    enum error_code code = file_read(path, &text, loader->error);
    if (code == ERROR_NONE) {
        if (loader->options->has_lines || holds_lines(path))
            code = add_lines(loader, path, buffer_slice(&text));
        else
            code = add_payload(loader, path, buffer_slice(&text));
    }
    buffer_release(&text);
    return code;
}

static int is_payload_file(const struct dirent *entry)
{
    struct slice name = slice_from_string(entry->d_name);
    return slice_ends_with(name, SLICE(".json")) || holds_lines(entry->d_name);
}

// By bytes, whatever the locale says: 01, 02, 10.
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return slice_compare(slice_from_string((*a)->d_name), slice_from_string((*b)->d_name));
}

static enum error_code add_entry(struct loader *loader, const char *folder, const char *name)
{
    struct slice path;
    bool has_slash = slice_ends_with(slice_from_string(folder), SLICE("/"));
    if (!arena_format(loader->arena, &path, "%s%s%s%c", folder, has_slash ? "" : "/", name, '\0'))
        return refuse_memory(loader, folder);
    return add_file(loader, path.data);
}

static enum error_code add_folder(struct loader *loader, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_payload_file, compare_names);
    if (count < 0)
        return error_set(loader->error, ERROR_IO, "%s: %s", path, strerror(errno));
    enum error_code code = ERROR_NONE;
    if (count == 0)
        code = error_set(loader->error, ERROR_USAGE, "%s: no *.json file in it", path);
    for (int i = 0; i < count; i++) {
        if (code == ERROR_NONE)
            code = add_entry(loader, path, entries[i]->d_name);
        memory_free(entries[i]); // of scandir
    }
    memory_free(entries);
    return code;
}

enum error_code replay_load(const char *const *paths, size_t count,
                            const struct replay_load_options *options, struct arena *arena,
                            struct replay_deliveries *deliveries, struct error *error)
{
    struct loader loader = {.options = options, .arena = arena, .out = deliveries, .error = error};
    *deliveries = (struct replay_deliveries){.count = 0};
    arena_init(&loader.scratch, SCRATCH_BLOCK);
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        struct stat info;
        bool is_folder = stat(paths[i], &info) == 0 && S_ISDIR(info.st_mode);
        code = is_folder ? add_folder(&loader, paths[i]) : add_file(&loader, paths[i]);
    }
    arena_release(&loader.scratch);
    return code;
}
