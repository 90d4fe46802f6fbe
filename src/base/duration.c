// Lengths of time as people write and read them.
#include <inttypes.h>
#include <stdio.h>

#include "ghatrace/base/timestamp.h"

static const struct unit {
    const char *name;
    int64_t worth;
} units[] = {
    // Longest first, so that the first that divides gives the shortest text.
    {"d", NS_PER_DAY},
    {"h", NS_PER_HOUR},
    {"m", NS_PER_MINUTE},
    {"s", NS_PER_SECOND},
    {"ms", NS_PER_MS},
    {"us", 1000},
    {"ns", 1},
};
#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

static size_t count_digits(struct slice text)
{
    size_t count = 0;

    while (count < text.len && text.data[count] >= '0' && text.data[count] <= '9')
        count++;
    return count;
}

bool duration_parse(struct slice text, duration_ns *duration)
{
    size_t digits = count_digits(text);
    struct slice number = {.data = text.data, .len = digits};
    long long value;

    if (digits == 0 || !slice_parse_int64(number, &value))
        return false;
    if (digits == text.len) {
        if (value != 0)
            return false;
        *duration = 0;
        return true;
    }
    struct slice name = {.data = text.data + digits, .len = text.len - digits};
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (!slice_equals(name, slice_from_string(units[i].name)))
            continue;
        if (value > INT64_MAX / units[i].worth)
            return false;
        *duration = value * units[i].worth;
        return true;
    }
    return false;
}

char *duration_format(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE])
{
    size_t i = 0;

    if (duration == 0) {
        (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "0");
        return text;
    }
    while (duration % units[i].worth != 0)
        i++;
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%" PRId64 "%s", duration / units[i].worth,
                   units[i].name);
    return text;
}

// To the nearest; no overflow, because the largest unit is far below the range.
static uint64_t round_to(uint64_t duration, int64_t unit)
{
    return (duration + (uint64_t)unit / 2) / (uint64_t)unit;
}

static void format_pair(char *text, size_t size, uint64_t high, char high_unit, uint64_t low,
                        const char *low_format)
{
    int len = snprintf(text, size, "%" PRIu64 "%c", high, high_unit);

    if (low != 0 && len > 0)
        (void)snprintf(text + len, size - (size_t)len, low_format, (unsigned)low);
}

// Each step rounds to what it would show and passes on what that rounds up to the next unit: 59.96 s
// are 1m, never 60.0s.
static void format_magnitude(uint64_t duration, char *text, size_t size)
{
    uint64_t milliseconds = round_to(duration, NS_PER_MS);
    uint64_t tenths = round_to(duration, NS_PER_SECOND / 10);
    uint64_t seconds = round_to(duration, NS_PER_SECOND);
    uint64_t minutes = round_to(duration, NS_PER_MINUTE);
    uint64_t hours = round_to(duration, NS_PER_HOUR);

    if (milliseconds == 0)
        (void)snprintf(text, size, "0s");
    else if (milliseconds < 1000)
        (void)snprintf(text, size, "%" PRIu64 "ms", milliseconds);
    else if (tenths < 600 && tenths % 10 == 0)
        (void)snprintf(text, size, "%" PRIu64 "s", tenths / 10);
    else if (tenths < 600)
        (void)snprintf(text, size, "%" PRIu64 ".%" PRIu64 "s", tenths / 10, tenths % 10);
    else if (seconds < 3600)
        format_pair(text, size, seconds / 60, 'm', seconds % 60, "%02us");
    else if (minutes < 24 * 60)
        format_pair(text, size, minutes / 60, 'h', minutes % 60, "%02um");
    else
        format_pair(text, size, hours / 24, 'd', hours % 24, "%uh");
}

char *duration_format_short(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE])
{
    uint64_t magnitude = duration < 0 ? 0 - (uint64_t)duration : (uint64_t)duration;
    size_t sign = magnitude >= (uint64_t)NS_PER_MS / 2 && duration < 0 ? 1 : 0;

    text[0] = '-';
    format_magnitude(magnitude, text + sign, TIMESTAMP_TEXT_SIZE - sign);
    return text;
}
