// Errors as values: texts for codes, and messages with context.
#include "ghatrace/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *error_code_text(enum error_code code)
{
    switch (code) {
#define X(name, value, text)                                                                       \
    case name:                                                                                     \
        return text;
        ERROR_CODES(X)
#undef X
    }
    return "unknown error";
}

// A message must be one line, but file names and texts from peers in it can contain control characters.
static void replace_controls(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

// Formats into a separate buffer first: an argument may be the message that is about to be overwritten.
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
{
    char message[sizeof(error->message)];
    va_list arguments;

    if (error == NULL)
        return code;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    replace_controls(message);
    error->code = code;
    memcpy(error->message, message, sizeof(message));
    return code;
}

enum error_code error_wrap(struct error *error, const char *format, ...)
{
    char message[sizeof(error->message)];
    va_list arguments;
    size_t len;

    if (error == NULL)
        return ERROR_NONE;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    replace_controls(message);
    len = strlen(message);
    const char *inner = error->message[0] != '\0' ? error->message : error_code_text(error->code);
    // A result that does not fit is truncated.
    if (snprintf(message + len, sizeof(message) - len, ": %s", inner) < 0)
        message[len] = '\0';
    memcpy(error->message, message, sizeof(message));
    return error->code;
}
