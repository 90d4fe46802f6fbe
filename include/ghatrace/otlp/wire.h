// The protobuf wire format: fields in, fields out. No schema is known here. Pure.
//
// https://protobuf.dev/programming-guides/encoding
#ifndef GHATRACE_OTLP_WIRE_H
#define GHATRACE_OTLP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Groups (3 and 4) are not among them: OTLP has none, and a reader calls them damage.
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t integer;   // of WIRE_VARINT, WIRE_FIXED64 and WIRE_FIXED32
    struct slice bytes; // of WIRE_BYTES; a view of what is read
};

// Reads the fields of one message in the order in which they stand. No allocation, no release.
struct wire_reader {
    const char *position;
    const char *end;
    bool is_corrupt; // set by wire_read_field
};

void wire_reader_init(struct wire_reader *reader, struct slice message);
// The next field. False at the end and where the bytes are no field; `is_corrupt` tells which.
bool wire_read_field(struct wire_reader *reader, struct wire_field *field) MUST_CHECK;

// Writes a message from its end to its start: when the length of a nested message has to be
// written, it is known, and one pass is enough. So the last field is put first.
//
// Life cycle: wire_writer_init (no allocation), put, wire_writer_release. The first failure sticks:
// after it nothing is written, and `failure` says why (ERROR_MEMORY or ERROR_TOO_LARGE).
struct wire_writer {
    char *data;      // owned; the message is its last `len` bytes
    size_t len;      // bytes written
    size_t capacity; // bytes allocated
    size_t max;      // cap on len, in bytes
    enum error_code failure;
};

void wire_writer_init(struct wire_writer *writer, size_t max_bytes);
void wire_writer_release(struct wire_writer *writer);
// What is written so far; valid until the next put.
struct slice wire_writer_slice(const struct wire_writer *writer);

void wire_put_varint(struct wire_writer *writer, uint32_t number, uint64_t value);
void wire_put_fixed64(struct wire_writer *writer, uint32_t number, uint64_t value);
void wire_put_fixed32(struct wire_writer *writer, uint32_t number, uint32_t value);
void wire_put_bytes(struct wire_writer *writer, uint32_t number, struct slice bytes);
// Makes a nested message of all that was put since the writer's `len` was `mark`.
void wire_put_message(struct wire_writer *writer, uint32_t number, size_t mark);

#endif
