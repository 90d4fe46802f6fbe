// Times and durations: parsing, formatting, clocks.
#include "ghatrace/base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

// --- timestamp ------------------------------------------------------------------------------------
// Points in time: the clocks, RFC 3339 and HTTP-date, with its own calendar arithmetic.

#define LAST_YEAR 2261 // the last one that 64 bits of nanoseconds cover in full

struct civil_time {
    int year, month, day, hour, minute, second; // second may be 60
    int64_t nanoseconds;
    int offset_minutes; // east of UTC
};

static int64_t clock_now(clockid_t clock)
{
    struct timespec now;

    // None of these clocks can fail on Linux with a valid pointer.
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

timestamp_ns timestamp_now(void)
{
    return clock_now(CLOCK_REALTIME);
}

timestamp_ns timestamp_monotonic(void)
{
    return clock_now(CLOCK_MONOTONIC);
}

duration_ns duration_of_thread(void)
{
    return clock_now(CLOCK_THREAD_CPUTIME_ID);
}

// --- the calendar ---------------------------------------------------------------------------------

// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
// the leap day is a year's last; 400 years are 146097 days; 719468 days lie between 0000-03-01 and
// 1970-01-01. Good for years 0 to 9999.
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t shifted_year = month <= 2 ? year - 1 : year;
    int64_t era = (shifted_year >= 0 ? shifted_year : shifted_year - 399) / 400;
    int64_t year_of_era = shifted_year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

// The inverse, for days within 64 bits of nanoseconds (all in eras 4 and 5).
static void civil_from_days(int64_t days, struct civil_time *civil)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;

    civil->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    civil->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    civil->year = (int)(year_of_era + era * 400 + (civil->month <= 2 ? 1 : 0));
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

// Checks the fields and converts them to a timestamp.
static bool civil_to_timestamp(const struct civil_time *civil, timestamp_ns *time)
{
    if (civil->month < 1 || civil->month > 12 || civil->day < 1 ||
        civil->day > days_in_month(civil->year, civil->month) || civil->hour > 23 ||
        civil->minute > 59 || civil->second > 60 || civil->year > LAST_YEAR)
        return false;
    int64_t seconds = days_from_civil(civil->year, civil->month, civil->day) * 86400 +
                      civil->hour * 3600 + civil->minute * 60 + civil->second -
                      civil->offset_minutes * 60;
    *time = seconds < 0 ? TIMESTAMP_UNKNOWN : seconds * NS_PER_SECOND + civil->nanoseconds;
    return true;
}

// --- parsing --------------------------------------------------------------------------------------

// The unread input. Each reader consumes from the front or returns false.
struct cursor {
    struct slice rest;
};

static bool read_char(struct cursor *cursor, const char *allowed, char *found)
{
    if (cursor->rest.len == 0 || cursor->rest.data[0] == '\0' ||
        strchr(allowed, cursor->rest.data[0]) == NULL)
        return false;
    if (found != NULL)
        *found = cursor->rest.data[0];
    cursor->rest.data++;
    cursor->rest.len--;
    return true;
}

static bool read_text(struct cursor *cursor, const char *text)
{
    struct slice expected = slice_from_string(text);

    if (!slice_starts_with(cursor->rest, expected))
        return false;
    cursor->rest.data += expected.len;
    cursor->rest.len -= expected.len;
    return true;
}

static bool read_digits(struct cursor *cursor, int count, int *value)
{
    char digit;

    *value = 0;
    while (count-- > 0) {
        if (!read_char(cursor, "0123456789", &digit))
            return false;
        *value = *value * 10 + (digit - '0');
    }
    return true;
}

// Reads one of `count` names; sets `*index`.
static bool read_name(struct cursor *cursor, const char *const *names, int count, int *index)
{
    for (*index = 0; *index < count; ++*index) {
        if (read_text(cursor, names[*index]))
            return true;
    }
    return false;
}

static bool read_clock_time(struct cursor *cursor, struct civil_time *civil)
{
    return read_digits(cursor, 2, &civil->hour) && read_char(cursor, ":", NULL) &&
           read_digits(cursor, 2, &civil->minute) && read_char(cursor, ":", NULL) &&
           read_digits(cursor, 2, &civil->second);
}

static bool read_fraction(struct cursor *cursor, int64_t *nanoseconds)
{
    int64_t worth = NS_PER_SECOND / 10;
    char digit;

    if (!read_char(cursor, ".", NULL))
        return true;
    if (!read_char(cursor, "0123456789", &digit))
        return false;
    do {
        *nanoseconds += (digit - '0') * worth;
        worth /= 10;
    } while (read_char(cursor, "0123456789", &digit));
    return true;
}

static bool read_offset(struct cursor *cursor, int *offset_minutes)
{
    int hours, minutes;
    char sign;

    if (cursor->rest.len == 0 || read_char(cursor, "Zz", NULL))
        return true;
    if (!read_char(cursor, "+-", &sign) || !read_digits(cursor, 2, &hours) ||
        !read_char(cursor, ":", NULL) || !read_digits(cursor, 2, &minutes))
        return false;
    *offset_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
    return hours <= 23 && minutes <= 59;
}

bool timestamp_parse_rfc3339(struct slice text, timestamp_ns *time)
{
    struct cursor cursor = {text};
    struct civil_time civil = {0};

    return read_digits(&cursor, 4, &civil.year) && read_char(&cursor, "-", NULL) &&
           read_digits(&cursor, 2, &civil.month) && read_char(&cursor, "-", NULL) &&
           read_digits(&cursor, 2, &civil.day) && read_char(&cursor, "Tt ", NULL) &&
           read_clock_time(&cursor, &civil) && read_fraction(&cursor, &civil.nanoseconds) &&
           read_offset(&cursor, &civil.offset_minutes) && cursor.rest.len == 0 &&
           civil_to_timestamp(&civil, time);
}

// --- HTTP-date ------------------------------------------------------------------------------------

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_day_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                             "Friday", "Saturday", "Sunday"};

static bool read_month(struct cursor *cursor, int *month)
{
    if (!read_name(cursor, month_names, 12, month))
        return false;
    ++*month;
    return true;
}

// RFC 9110 5.6.7, IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
static bool read_imf_fixdate(struct cursor *cursor, struct civil_time *civil)
{
    int weekday;

    return read_name(cursor, day_names, 7, &weekday) && read_text(cursor, ", ") &&
           read_digits(cursor, 2, &civil->day) && read_char(cursor, " ", NULL) &&
           read_month(cursor, &civil->month) && read_char(cursor, " ", NULL) &&
           read_digits(cursor, 4, &civil->year) && read_char(cursor, " ", NULL) &&
           read_clock_time(cursor, civil) && read_text(cursor, " GMT");
}

// rfc850-date: Sunday, 06-Nov-94 08:49:37 GMT. RFC 9110 requires a two-digit year that appears to be more than 50 years
// ahead to mean a past year. This parser reads no clock, so 70 to 99 mean 1970 to 1999.
static bool read_rfc850_date(struct cursor *cursor, struct civil_time *civil)
{
    int weekday;

    if (!read_name(cursor, long_day_names, 7, &weekday) || !read_text(cursor, ", ") ||
        !read_digits(cursor, 2, &civil->day) || !read_char(cursor, "-", NULL) ||
        !read_month(cursor, &civil->month) || !read_char(cursor, "-", NULL) ||
        !read_digits(cursor, 2, &civil->year) || !read_char(cursor, " ", NULL) ||
        !read_clock_time(cursor, civil) || !read_text(cursor, " GMT"))
        return false;
    civil->year += civil->year >= 70 ? 1900 : 2000;
    return true;
}

// asctime-date: Sun Nov  6 08:49:37 1994
static bool read_asctime_date(struct cursor *cursor, struct civil_time *civil)
{
    int weekday;

    return read_name(cursor, day_names, 7, &weekday) && read_char(cursor, " ", NULL) &&
           read_month(cursor, &civil->month) && read_char(cursor, " ", NULL) &&
           (read_char(cursor, " ", NULL) ? read_digits(cursor, 1, &civil->day)
                                         : read_digits(cursor, 2, &civil->day)) &&
           read_char(cursor, " ", NULL) && read_clock_time(cursor, civil) &&
           read_char(cursor, " ", NULL) && read_digits(cursor, 4, &civil->year);
}

bool timestamp_parse_http_date(struct slice text, timestamp_ns *time)
{
    bool (*const forms[])(struct cursor *, struct civil_time *) = {
        read_imf_fixdate, read_rfc850_date, read_asctime_date};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct cursor cursor = {text};
        struct civil_time civil = {0};
        if (forms[i](&cursor, &civil) && cursor.rest.len == 0)
            return civil_to_timestamp(&civil, time);
    }
    return false;
}

// --- formatting -----------------------------------------------------------------------------------

static void write_digits(char **out, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        (*out)[i] = (char)('0' + value % 10);
        value /= 10;
    }
    *out += count;
}

// Without snprintf, because every log line calls this. 64 bits of nanoseconds range from 1677 to 2262, so the year has
// four digits.
char *timestamp_format_rfc3339(timestamp_ns time, bool with_ms, char text[TIMESTAMP_TEXT_SIZE])
{
    int64_t days = time / NS_PER_DAY - (time % NS_PER_DAY < 0 ? 1 : 0);
    int64_t rest = time % NS_PER_DAY + (time % NS_PER_DAY < 0 ? NS_PER_DAY : 0);
    struct civil_time civil;
    char *out = text;

    civil_from_days(days, &civil);
    write_digits(&out, civil.year, 4);
    *out++ = '-';
    write_digits(&out, civil.month, 2);
    *out++ = '-';
    write_digits(&out, civil.day, 2);
    *out++ = 'T';
    write_digits(&out, rest / NS_PER_HOUR, 2);
    *out++ = ':';
    write_digits(&out, rest / NS_PER_MINUTE % 60, 2);
    *out++ = ':';
    write_digits(&out, rest / NS_PER_SECOND % 60, 2);
    if (with_ms) {
        *out++ = '.';
        write_digits(&out, rest / NS_PER_MS % 1000, 3);
    }
    *out++ = 'Z';
    *out = '\0';
    return text;
}

char *timestamp_format_clock(timestamp_ns time, timestamp_ns now, char text[TIMESTAMP_TEXT_SIZE])
{
    char shown[TIMESTAMP_TEXT_SIZE], today[TIMESTAMP_TEXT_SIZE];
    size_t year = strlen("2026-"), day = strlen("2026-11-30");
    timestamp_format_rfc3339(time, false, shown);
    timestamp_format_rfc3339(now, false, today);
    bool is_today = strncmp(shown, today, day) == 0;
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%.*s%s%.5s", is_today ? 0 : (int)(day - year),
                   shown + year, is_today ? "" : " ", shown + day + 1);
    return text;
}

// --- durations ------------------------------------------------------------------------------------

static const struct unit {
    const char *name;
    int64_t worth;
} units[] = {
    // Longest first, so that the first exact divisor gives the shortest text.
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

// Number of units, rounded to the nearest; no overflow, because the largest unit is far below the range.
static uint64_t round_to(uint64_t duration, int64_t unit)
{
    return (duration + (uint64_t)unit / 2) / (uint64_t)unit;
}

struct unit_pair {
    unsigned low_per_high;
    char high_unit, low_unit;
    bool is_short;
};

// A duration of `low_count` of the lower of two units: 60 s gives "1m 0s".
static void format_pair(uint64_t low_count, const struct unit_pair *pair, char *text, size_t size)
{
    uint64_t high = low_count / pair->low_per_high, low = low_count % pair->low_per_high;

    if (low == 0 && pair->is_short)
        (void)snprintf(text, size, "%" PRIu64 "%c", high, pair->high_unit);
    else
        (void)snprintf(text, size, "%" PRIu64 "%c %" PRIu64 "%c", high, pair->high_unit, low,
                       pair->low_unit);
}

static void format_seconds(uint64_t duration, char *text, size_t size)
{
    uint64_t milliseconds = round_to(duration, NS_PER_MS);
    uint64_t tenths = round_to(duration, NS_PER_SECOND / 10);

    if (milliseconds == 0)
        (void)snprintf(text, size, "0s");
    else if (milliseconds < 1000)
        (void)snprintf(text, size, "%" PRIu64 "ms", milliseconds);
    else if (tenths < 100 && tenths % 10 != 0)
        (void)snprintf(text, size, "%" PRIu64 ".%" PRIu64 "s", tenths / 10, tenths % 10);
    else
        (void)snprintf(text, size, "%" PRIu64 "s", round_to(duration, NS_PER_SECOND));
}

// Each step rounds to its displayed precision and goes to the next unit if that rounds up to it: 59.6 s gives "1m 0s",
// never "60s". `is_short`: without a lower unit that comes to 0.
static void format_magnitude(uint64_t duration, bool is_short, char *text, size_t size)
{
    const struct unit_pair minutes_seconds = {60, 'm', 's', is_short};
    const struct unit_pair hours_minutes = {60, 'h', 'm', is_short};
    const struct unit_pair days_hours = {24, 'd', 'h', is_short};
    uint64_t seconds = round_to(duration, NS_PER_SECOND);
    uint64_t minutes = round_to(duration, NS_PER_MINUTE);

    if (seconds < 60)
        format_seconds(duration, text, size);
    else if (seconds < 3600)
        format_pair(seconds, &minutes_seconds, text, size);
    else if (minutes < 24 * 60)
        format_pair(minutes, &hours_minutes, text, size);
    else
        format_pair(round_to(duration, NS_PER_HOUR), &days_hours, text, size);
}

static char *format_signed(duration_ns duration, bool is_short, char text[TIMESTAMP_TEXT_SIZE])
{
    uint64_t magnitude = duration < 0 ? 0 - (uint64_t)duration : (uint64_t)duration;
    size_t sign = magnitude >= (uint64_t)NS_PER_MS / 2 && duration < 0 ? 1 : 0;

    text[0] = '-';
    format_magnitude(magnitude, is_short, text + sign, TIMESTAMP_TEXT_SIZE - sign);
    return text;
}

char *duration_format_short(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE])
{
    return format_signed(duration, false, text);
}

char *duration_format_tick(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE])
{
    return format_signed(duration, true, text);
}
