// Points in time and durations, in all forms in use.
#include "fuzz.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/write.h"

#define START_OF_2262 (INT64_C(9214646400) * NS_PER_SECOND)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = fuzz_slice(data, size);
    char formatted[TIMESTAMP_TEXT_SIZE];
    timestamp_ns time;
    timestamp_ns again;
    duration_ns duration;
    duration_ns back;
    // A leap second or an offset may lead into 2262, which the parser refuses as a year.
    if (timestamp_parse_rfc3339(text, &time) && time != TIMESTAMP_UNKNOWN && time < START_OF_2262) {
        MUST(time > 0);
        timestamp_format_rfc3339(time, false, formatted);
        MUST(timestamp_parse_rfc3339(slice_from_string(formatted), &again));
        MUST(time - time % NS_PER_SECOND == again);
    }
    (void)!timestamp_parse_http_date(text, &time);
    if (duration_parse(text, &duration)) {
        MUST(duration >= 0);
        duration_format(duration, formatted);
        MUST(duration_parse(slice_from_string(formatted), &back) && back == duration);
        duration_format_short(duration, formatted);
    }
    if (http_parse_retry_after(text, 1788409017 * NS_PER_SECOND, &duration))
        MUST(duration >= 0);
    return 0;
}
