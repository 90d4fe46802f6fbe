// JSON: exactly what the grammar of RFC 8259 allows is accepted; and a text that is read and written again gives the
// same values.
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/utf8.h"
#include "naive_json.h"

#define GETS_MAX 16 // keys of an object that are looked up: each look-up walks the whole object

struct walk {
    const struct json_document *document;
    struct arena *arena;
    struct buffer out;
};

// Removes one character from the front of valid UTF-8.
static uint32_t take_character(struct slice *text)
{
    const uint8_t lead = (uint8_t)text->data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = size == 1 ? lead : lead & (0x7fU >> size);
    for (size_t i = 1; i < size; i++)
        character = character << 6 | ((uint8_t)text->data[i] & 0x3f);
    *text = (struct slice){text->data + size, text->len - size};
    return character;
}

static void write_unit(struct walk *walk, uint32_t unit)
{
    MUST(buffer_append_format(&walk->out, "\\u%04x", unit) == ERROR_NONE);
}

// Everything that can be escaped is, so that the second parse decodes what the first one copied unchanged.
static struct slice write_string(struct walk *walk, json_value value)
{
    struct slice text;
    MUST(json_string(walk->document, value, walk->arena, &text));
    MUST(utf8_is_valid(text) && slice_find(text, SLICE("\0")) < 0);
    MUST(buffer_append_string(&walk->out, "\"") == ERROR_NONE);
    for (struct slice rest = text; rest.len > 0;) {
        uint32_t character = take_character(&rest);
        if (character >= 0x10000) {
            write_unit(walk, 0xd800 + ((character - 0x10000) >> 10));
            write_unit(walk, 0xdc00 + (character & 0x3ff));
        } else {
            write_unit(walk, character);
        }
    }
    MUST(buffer_append_string(&walk->out, "\"") == ERROR_NONE);
    return text;
}

static void write_value(struct walk *walk, json_value value);

static void write_object(struct walk *walk, json_value object)
{
    const struct json_document *document = walk->document;
    int gets = 0;
    MUST(buffer_append_string(&walk->out, "{") == ERROR_NONE);
    for (json_value key = json_first_key(document, object); key != JSON_NONE;) {
        struct slice name = write_string(walk, key);
        MUST(json_key_equals(document, key, name));
        if (gets++ < GETS_MAX) {
            json_value found = json_get(document, object, name);
            MUST(found != JSON_NONE && found <= json_key_value(document, key));
        }
        MUST(buffer_append_string(&walk->out, ":") == ERROR_NONE);
        write_value(walk, json_key_value(document, key));
        key = json_next_key(document, key);
        MUST(key == JSON_NONE || buffer_append_string(&walk->out, ",") == ERROR_NONE);
    }
    MUST(buffer_append_string(&walk->out, "}") == ERROR_NONE);
}

static void write_array(struct walk *walk, json_value array)
{
    size_t count = 0;
    MUST(buffer_append_string(&walk->out, "[") == ERROR_NONE);
    for (json_value element = json_first_element(walk->document, array); element != JSON_NONE;) {
        count++;
        write_value(walk, element);
        element = json_next_element(walk->document, element);
        MUST(element == JSON_NONE || buffer_append_string(&walk->out, ",") == ERROR_NONE);
    }
    MUST(json_count(walk->document, array) == count);
    MUST(buffer_append_string(&walk->out, "]") == ERROR_NONE);
}

static void write_value(struct walk *walk, json_value value)
{
    struct slice raw = json_raw(walk->document, value);
    int64_t whole;
    switch (json_type_of(walk->document, value)) {
    case JSON_OBJECT:
        MUST(slice_starts_with(raw, SLICE("{")) && slice_ends_with(raw, SLICE("}")));
        write_object(walk, value);
        break;
    case JSON_ARRAY:
        MUST(slice_starts_with(raw, SLICE("[")) && slice_ends_with(raw, SLICE("]")));
        write_array(walk, value);
        break;
    case JSON_STRING:
        (void)write_string(walk, value);
        break;
    case JSON_NUMBER:
        // What is not a whole number is not read as one.
        if (json_int64(walk->document, value, &whole))
            MUST(buffer_append_format(&walk->out, "%lld", (long long)whole) == ERROR_NONE);
        else
            MUST(buffer_append_string(&walk->out, "0.5") == ERROR_NONE);
        break;
    case JSON_NULL:
        MUST(buffer_append_string(&walk->out, "null") == ERROR_NONE);
        break;
    case JSON_TRUE:
        MUST(buffer_append_string(&walk->out, "true") == ERROR_NONE);
        break;
    case JSON_FALSE:
        MUST(buffer_append_string(&walk->out, "false") == ERROR_NONE);
        break;
    }
}

// False: refused. Otherwise `again` is the same document, written in the one way we write it.
static bool rewrite(struct slice text, struct arena *arena, struct buffer *again)
{
    struct json_document document;
    struct error error = {0};
    struct walk walk = {.document = &document, .arena = arena};
    buffer_init(&walk.out, 1 << 26);
    enum error_code code = json_parse(text, arena, &document, &error);
    MUST(code == ERROR_NONE || error.message[0] != '\0');
    if (code == ERROR_NONE)
        write_value(&walk, JSON_ROOT);
    *again = walk.out;
    return code == ERROR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = fuzz_slice(data, size);
    struct arena arena;
    struct buffer first;
    struct buffer second = {0};
    arena_init(&arena, 1024);
    bool is_json = naive_is_json(text);
    MUST(rewrite(text, &arena, &first) == is_json);
    if (is_json) {
        MUST(rewrite(buffer_slice(&first), &arena, &second));
        MUST(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    }
    buffer_release(&first);
    buffer_release(&second);
    arena_release(&arena);
    return 0;
}
