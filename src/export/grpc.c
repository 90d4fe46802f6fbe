// A unary gRPC call as it is sent over HTTP/2.
#include "grpc.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/http/gzip.h"
#include "ghatrace/otlp/decode.h"

#define MESSAGE_MAX ((size_t)64 << 10) // of an answer, expanded

// --- the call -------------------------------------------------------------------------------------

void grpc_write_frame_head(char head[GRPC_FRAME_HEAD], size_t len, bool is_compressed)
{
    assert(len <= UINT32_MAX);
    head[0] = is_compressed ? 1 : 0;
    for (int i = 1; i < GRPC_FRAME_HEAD; i++)
        head[i] = (char)(len >> (8 * (GRPC_FRAME_HEAD - 1 - i)) & 0xff);
}

char *grpc_format_timeout(duration_ns timeout, char text[GRPC_TIMEOUT_SIZE])
{
    // Milliseconds are exact for all settings that are usual.
    static const struct {
        char letter;
        duration_ns unit;
    } units[] = {{'m', NS_PER_MS}, {'S', NS_PER_SECOND}, {'M', NS_PER_MINUTE}, {'H', NS_PER_HOUR}};
    const duration_ns most = 99999999; // "positive integer as ASCII string of at most 8 digits"
    size_t i = 0;
    assert(timeout > 0);
    while (i < 3 && (timeout - 1) / units[i].unit + 1 > most)
        i++;
    long long count = (timeout - 1) / units[i].unit + 1;
    (void)snprintf(text, GRPC_TIMEOUT_SIZE, "%lld%c", count, units[i].letter);
    return text;
}

bool grpc_is_reserved(struct slice name)
{
    const struct slice prefix = SLICE("grpc-");
    struct slice head = {.data = name.data, .len = prefix.len};
    return name.len >= prefix.len && slice_equals_ignoring_case(head, prefix);
}

// "Header-Name → 1*( %x30-39 / %x61-7A / "_" / "-" / ".")", in lower case.
static bool lower_name(struct slice name, char *out)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool is_allowed =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
        if (!is_allowed)
            return false;
        out[i] = c;
    }
    return name.len > 0;
}

// "ASCII-Value → 1*( %x20-%x7E )".
static bool is_ascii_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    return true;
}

// "implementations ... should emit un-padded values".
static bool encode_binary(struct slice value, struct arena *arena, struct slice *encoded)
{
    char *text = arena_allocate(arena, BASE64_SIZE(value.len));
    if (text == NULL)
        return false;
    *encoded = (struct slice){.data = text, .len = base64_encode(value, text)};
    while (slice_ends_with(*encoded, SLICE("=")))
        encoded->len--;
    return true;
}

enum error_code grpc_make_metadata(const struct http_header *header, struct arena *arena,
                                   struct http_header *metadata, struct error *error)
{
    char *name = arena_allocate(arena, header->name.len + 1);
    if (name == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (!lower_name(header->name, name))
        return error_set(
            error, ERROR_USAGE,
            "header \"%.*s\": gRPC allows letters, digits, \"_\", \"-\" and \".\" in names",
            SLICE_ARGS(header->name));
    metadata->name = (struct slice){.data = name, .len = header->name.len};
    bool is_binary = slice_ends_with(metadata->name, SLICE("-bin"));
    if (!is_binary && !is_ascii_value(header->value))
        return error_set(error, ERROR_USAGE,
                         "value of header \"%.*s\": gRPC allows printable ASCII only, "
                         "or any bytes if the name ends in -bin",
                         SLICE_ARGS(header->name));
    bool is_made = is_binary ? encode_binary(header->value, arena, &metadata->value)
                             : arena_copy_slice(arena, header->value, &metadata->value);
    return is_made ? ERROR_NONE : error_set(error, ERROR_MEMORY, "out of memory");
}

enum error_code export_header_check_grpc(const struct http_header *header, struct arena *arena,
                                         struct error *error)
{
    struct http_header metadata;
    return grpc_make_metadata(header, arena, &metadata, error);
}

// --- the answer -----------------------------------------------------------------------------------

// "Status → "grpc-status" 1*DIGIT". A number that is not defined means UNKNOWN, as it does in gRPC's own libraries.
static int read_code(struct slice text)
{
    long long number;
    if (text.len == 0)
        return EXPORT_NO_GRPC_CODE;
    if (!slice_parse_int64(text, &number) || number < 0 || number > GRPC_UNAUTHENTICATED)
        return GRPC_UNKNOWN;
    return (int)number;
}

// "Percent-Encoded → 1*(Percent-Byte-Unencoded / Percent-Byte-Encoded)"; "implementations ... MUST NOT error due to
// receiving an invalid Percent-Byte-Encoded": it is kept as it is.
static struct slice decode_percent(struct slice text, struct arena *arena)
{
    char *out = arena_allocate(arena, text.len + 1);
    size_t len = 0;
    if (out == NULL)
        return SLICE_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte == '%' && text.len - i >= 3 && hex_decode(text.data + i + 1, 2, &byte, 1))
            i += 2;
        out[len++] = (char)byte;
    }
    return (struct slice){.data = out, .len = len};
}

// "implementations MUST accept padded and un-padded values".
static bool decode_binary(struct slice text, struct arena *arena, struct slice *bytes)
{
    while (slice_ends_with(text, SLICE("=")))
        text.len--;
    size_t padded_len = (text.len + 3) / 4 * 4;
    char *padded = arena_allocate(arena, padded_len + 1);
    char *out = arena_allocate(arena, padded_len + 1);
    if (padded == NULL || out == NULL || text.len == 0)
        return false;
    memset(padded, '=', padded_len);
    memcpy(padded, text.data, text.len);
    size_t len;
    if (!base64_decode((struct slice){padded, padded_len}, out, padded_len, &len))
        return false;
    *bytes = (struct slice){.data = out, .len = len};
    return true;
}

static void read_details(struct slice text, struct arena *arena, struct export_answer *answer)
{
    struct slice status;
    duration_ns delay;
    if (!decode_binary(text, arena, &status) || !otlp_decode_retry_info(status, &delay))
        return;
    answer->has_retry_info = true;
    if (delay > 0)
        answer->retry_after = delay;
}

static struct slice expand_message(struct slice packed, struct arena *arena)
{
    struct buffer expanded;
    struct slice copy = SLICE_EMPTY;
    buffer_init(&expanded, MESSAGE_MAX);
    if (gzip_expand(packed, &expanded) != ERROR_NONE ||
        !arena_copy_slice(arena, buffer_slice(&expanded), &copy))
        copy = SLICE_EMPTY;
    buffer_release(&expanded);
    return copy;
}

// True if the body is one message in full.
static bool is_one_frame(struct slice body)
{
    size_t len = 0;
    if (body.len < GRPC_FRAME_HEAD || (unsigned char)body.data[0] > 1)
        return false;
    for (int i = 1; i < GRPC_FRAME_HEAD; i++)
        len = len << 8 | (unsigned char)body.data[i];
    return len == body.len - GRPC_FRAME_HEAD;
}

// The one message of a unary answer. Empty if there is none, or not in full, or with more after it.
static struct slice read_frame(struct slice body, bool is_gzip, struct arena *arena)
{
    if (!is_one_frame(body))
        return SLICE_EMPTY;
    struct slice message = {.data = body.data + GRPC_FRAME_HEAD, .len = body.len - GRPC_FRAME_HEAD};
    if (body.data[0] == 0)
        return message;
    return body.data[0] == 1 && is_gzip ? expand_message(message, arena) : SLICE_EMPTY;
}

void grpc_read_answer(const struct grpc_response *response, struct arena *arena,
                      struct export_answer *answer)
{
    // An answer that has only headers ("Trailers-Only") has the status there.
    bool has_trailers = slice_trim(response->trailers.code).len > 0;
    const struct grpc_status_fields *fields =
        has_trailers ? &response->trailers : &response->headers;
    answer->is_grpc = true;
    answer->grpc_code = read_code(slice_trim(fields->code));
    answer->body = response->body;
    // libcurl 7.88 drops trailers that come together with the announced end of the connection (GOAWAY). Only a call that
    // succeeds is answered with a message.
    if (answer->grpc_code == EXPORT_NO_GRPC_CODE && answer->status == 200 &&
        is_one_frame(response->body))
        answer->grpc_code = GRPC_OK;
    if (answer->grpc_code == EXPORT_NO_GRPC_CODE)
        return;
    answer->grpc_message = decode_percent(slice_trim(fields->message), arena);
    read_details(slice_trim(fields->details), arena, answer);
    bool is_gzip = slice_equals_ignoring_case(slice_trim(response->encoding), SLICE("gzip"));
    answer->body = read_frame(response->body, is_gzip, arena);
}

// --- codes ----------------------------------------------------------------------------------------

const char *grpc_code_text(int code)
{
    static const char *const texts[] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    bool is_defined = code >= 0 && (size_t)code < sizeof texts / sizeof texts[0];
    return is_defined ? texts[code] : texts[GRPC_UNKNOWN];
}
