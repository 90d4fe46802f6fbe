// Lower-case hexadecimal.
#ifndef GHATRACE_BASE_HEX_H
#define GHATRACE_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Writes 2 * len digits and a NUL to `text`, which has room for them.
void hex_encode(const uint8_t *bytes, size_t len, char *text);
// 0 to 15 for a digit of either case, -1 for anything else.
int hex_digit_value(char c);
// Reads exactly 2 * len digits, either case. False on anything else.
bool hex_decode(const char *text, size_t text_len, uint8_t *bytes, size_t len);

#endif
