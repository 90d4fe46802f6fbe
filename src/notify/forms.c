// The bodies of requests.
#include "forms.h"

#include <stdio.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/json/write.h"

const char *const notice_condition_names[NOTICE_CONDITIONS] = {NOTICE_CONDITION_LIST(LIST_NAME)};

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD
#define ELLIPSIS "\xe2\x80\xa6"    // U+2026

// --- names ----------------------------------------------------------------------------------------

// Characters that are not seen, or change how others are.
static bool is_harmful(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
        {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

// The next character of a name as it is shown; advances `*name`.
static struct slice take_character(struct slice *name)
{
    size_t len = utf8_sequence_length(*name);
    struct slice character = {name->data, len};
    *name = slice_skip(*name, len > 0 ? len : 1);
    return len == 0 || is_harmful(utf8_decode(character)) ? SLICE(REPLACEMENT) : character;
}

size_t notice_clean_name(struct slice name, char text[NOTICE_SHOWN_SIZE])
{
    size_t len = 0;
    while (name.len > 0) {
        struct slice character = take_character(&name);
        if (len + character.len > NOTICE_SHOWN_MAX) {
            memcpy(text + len, ELLIPSIS, sizeof ELLIPSIS - 1);
            return len + sizeof ELLIPSIS - 1;
        }
        memcpy(text + len, character.data, character.len);
        len += character.len;
    }
    return len;
}

// What Slack, or a service that takes its form, may read as markup or as a mention.
static const char *slack_escape(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '`':
        return "'";
    case '*':
        return "\xe2\x88\x97"; // U+2217
    case '@':
        return "\xef\xbc\xa0"; // U+FF20
    case '[':
        return "\xef\xbc\xbb"; // U+FF3B
    default:
        return NULL;
    }
}

// --- sentences ------------------------------------------------------------------------------------

// Writes text; the first failure is kept.
struct notice_text {
    struct buffer *out;
    enum notice_form form;
    timestamp_ns now;
    enum error_code code;
};

static void write_piece(struct notice_text *text, struct slice piece)
{
    if (text->code == ERROR_NONE)
        text->code = buffer_append_slice(text->out, piece);
}

static void write_words(struct notice_text *text, const char *words)
{
    write_piece(text, slice_from_string(words));
}

static void write_number(struct notice_text *text, uint64_t number, const char *words)
{
    if (text->code == ERROR_NONE)
        text->code = buffer_append_format(text->out, "%llu%s", (unsigned long long)number, words);
}

static void write_shown_name(struct notice_text *text, struct slice name)
{
    char shown[NOTICE_SHOWN_SIZE];
    struct slice rest = {shown, notice_clean_name(name, shown)};
    for (; rest.len > 0; rest = slice_skip(rest, 1)) {
        const char *escape = text->form == NOTICE_SLACK ? slack_escape(rest.data[0]) : NULL;
        if (escape != NULL)
            write_words(text, escape);
        else
            write_piece(text, (struct slice){rest.data, 1});
    }
}

static void write_duration(struct notice_text *text, duration_ns duration)
{
    char words[TIMESTAMP_TEXT_SIZE];
    write_words(text, duration_format_short(duration > 0 ? duration : 0, words));
}

static bool is_end(const struct notice *notice)
{
    return notice->state.phase == NOTICE_END_DUE;
}

static struct slice notice_name(const struct notice *notice)
{
    return (struct slice){notice->name, notice->name_len};
}

static const struct notice_subject *subject_of(const struct notice_message *message,
                                               const struct notice *notice)
{
    return notice_subjects_find(message->subjects, notice->key.condition, &notice->key.subject);
}

// As it is named in a list of ceilings: a rule's name has no parentheses.
static bool is_inferred(const struct notice *notice)
{
    return notice->key.condition == NOTICE_CEILING && notice->name_len > 0 &&
           notice->name[0] == '(';
}

// "gpu-a100: jobs wait long".
static void write_headline(struct notice_text *text, const struct notice *notice)
{
    static const char *const words[NOTICE_CONDITIONS] = {
        [NOTICE_DEAD] = ": no job runs or starts",
        [NOTICE_QUEUED] = ": jobs wait long",
        [NOTICE_CEILING] = ": at the limit of concurrent jobs",
        [NOTICE_SILENCE] = "No deliveries from GitHub"};
    write_words(text, is_end(notice) ? "Over: " : "");
    write_shown_name(text, notice_name(notice));
    write_words(text, is_inferred(notice) ? ": at an inferred limit of concurrent jobs"
                                          : words[notice->key.condition]);
}

// ". 9 queued, the oldest for 45m, 7 running".
static void write_figures(struct notice_text *text, const struct notice *notice,
                          const struct notice_subject *subject)
{
    if (subject == NULL || notice->key.condition == NOTICE_SILENCE)
        return;
    write_words(text, ". ");
    write_number(text, subject->queued, " queued");
    if (subject->oldest != TIMESTAMP_UNKNOWN) {
        write_words(text, ", the oldest for ");
        write_duration(text, text->now - subject->oldest);
    }
    write_words(text, ", ");
    write_number(text, subject->running, subject->limit > 0 ? " of " : " running");
    if (subject->limit > 0)
        write_number(text, subject->limit, " running");
    if (subject->has_state && subject->state == POOL_BUSY)
        write_words(text, ": the most known in the last week");
}

static void write_time(struct notice_text *text, const char *words, timestamp_ns time)
{
    char shown[TIMESTAMP_TEXT_SIZE];
    write_words(text, words);
    write_words(text, timestamp_format_rfc3339(time, false, shown));
}

// A line without its end.
static void write_sentence(struct notice_text *text, const struct notice *notice,
                           const struct notice_subject *subject)
{
    const struct notice_state *state = &notice->state;
    write_headline(text, notice);
    if (is_end(notice)) {
        write_words(text, ", after ");
        write_duration(text, state->ended_at - state->began_at);
    } else {
        write_time(text, " since ", state->began_at);
    }
    write_figures(text, notice, subject);
    write_words(text, ".");
}

// Writes the lines about pools in which jobs have run, or those about the others; `written`: how many lines there are
// already. Returns how many there are then, NOTICE_LINES_MAX at most.
static size_t write_sentences_about(struct notice_text *text, const struct notice_message *message,
                                    bool is_proven, size_t written)
{
    for (size_t i = 0; i < message->count && written < NOTICE_LINES_MAX; i++) {
        const struct notice_subject *subject = subject_of(message, message->notices[i]);
        if ((subject != NULL && subject->is_proven) != is_proven)
            continue;
        write_words(text, written > 0 ? "\n" : "");
        write_sentence(text, message->notices[i], subject);
        written++;
    }
    return written;
}

static void write_sentences(struct notice_text *text, const struct notice_message *message)
{
    size_t shown = write_sentences_about(text, message, true, 0);
    shown = write_sentences_about(text, message, false, shown);
    if (shown < message->count) {
        write_words(text, "\nand ");
        write_number(text, message->count - shown, " more.");
    }
}

static size_t count_begins(const struct notice_message *message)
{
    size_t count = 0;
    for (size_t i = 0; i < message->count; i++)
        count += is_end(message->notices[i]) ? 0 : 1;
    return count;
}

static void write_title(struct notice_text *text, const struct notice_message *message)
{
    size_t begins = count_begins(message);
    if (message->count == 1) {
        write_headline(text, message->notices[0]);
        return;
    }
    if (begins > 0)
        write_number(text, begins, begins == 1 ? " trouble" : " troubles");
    if (begins > 0 && begins < message->count)
        write_words(text, ", ");
    if (begins < message->count)
        write_number(text, message->count - begins, " over");
}

// --- documents ------------------------------------------------------------------------------------

struct notice_document {
    struct json_out json;
    struct buffer scratch; // a text before it is escaped
    const struct notice_message *message;
    enum notice_form form;
    enum error_code code; // of texts
};

static struct notice_text begin_text(struct notice_document *document)
{
    buffer_clear(&document->scratch);
    return (struct notice_text){
        .out = &document->scratch, .form = document->form, .now = document->message->subjects->now};
}

static void end_text(struct notice_document *document, const char *name,
                     const struct notice_text *text)
{
    if (document->code == ERROR_NONE)
        document->code = text->code;
    json_out_text(&document->json, name, buffer_slice(&document->scratch));
}

static void put_title(struct notice_document *document, const char *name)
{
    struct notice_text text = begin_text(document);
    write_title(&text, document->message);
    end_text(document, name, &text);
}

static void put_lines(struct notice_document *document, const char *name)
{
    struct notice_text text = begin_text(document);
    write_sentences(&text, document->message);
    end_text(document, name, &text);
}

// The same for one begin or end, whenever it is sent, and for all receivers.
static void put_id(struct json_out *json, const struct notice *notice)
{
    char key[128];
    uint8_t digest[SHA256_SIZE];
    char digits[2 * NOTICE_SUBJECT_ID_SIZE + 1];
    hex_encode(notice->key.subject.bytes, NOTICE_SUBJECT_ID_SIZE, digits);
    (void)snprintf(key, sizeof key, "%s %s %lld %s", notice_condition_names[notice->key.condition],
                   digits, (long long)notice->state.began_at, is_end(notice) ? "ended" : "began");
    digest_sha256(slice_from_string(key), digest);
    json_out_hex(json, "id", digest, 16);
}

static void put_subject(struct json_out *json, const struct notice_subject *subject,
                        timestamp_ns now)
{
    bool is_known = subject != NULL && subject->name.len > 0;
    bool has_state = subject != NULL && subject->has_state;
    json_out_text(json, "state",
                  has_state ? slice_from_string(pool_state_names[subject->state]) : SLICE_EMPTY);
    if (is_known) {
        json_out_count(json, "queued", subject->queued);
        json_out_count(json, "running", subject->running);
    } else {
        json_out_null(json, "queued");
        json_out_null(json, "running");
    }
    if (has_state && subject->oldest != TIMESTAMP_UNKNOWN)
        json_out_seconds(json, "oldest_wait_seconds", pools_view_wait(subject->oldest, now));
    else
        json_out_null(json, "oldest_wait_seconds");
    if (subject != NULL && subject->limit > 0)
        json_out_count(json, "limit", subject->limit);
    else
        json_out_null(json, "limit");
}

// Of a pool the ceiling that holds it back.
static struct slice ceiling_of(const struct notice *notice, const struct notice_subject *subject)
{
    if (notice->key.condition == NOTICE_CEILING)
        return notice_name(notice);
    return subject != NULL ? subject->ceiling : SLICE_EMPTY;
}

static void put_notice(struct notice_document *document, const struct notice *notice)
{
    struct json_out *json = &document->json;
    const struct notice_subject *subject = subject_of(document->message, notice);
    enum notice_condition condition = notice->key.condition;
    json_out_open_object(json, NULL);
    put_id(json, notice);
    json_out_text(json, "condition", slice_from_string(notice_condition_names[condition]));
    json_out_text(json, "event", is_end(notice) ? SLICE("ended") : SLICE("began"));
    json_out_text(json, "pool", notice_is_of_pool(condition) ? notice_name(notice) : SLICE_EMPTY);
    json_out_text(json, "ceiling", ceiling_of(notice, subject));
    json_out_time(json, "since", notice->state.began_at);
    json_out_time(json, "ended_at", notice->state.ended_at);
    put_subject(json, subject, document->message->subjects->now);
    struct notice_text text = begin_text(document);
    write_sentence(&text, notice, subject);
    end_text(document, "text", &text);
    json_out_close_object(json);
}

static void put_own(struct notice_document *document)
{
    struct json_out *json = &document->json;
    json_out_text(json, "source", SLICE("ghatrace"));
    json_out_open_array(json, "notices");
    for (size_t i = 0; i < document->message->count; i++)
        put_notice(document, document->message->notices[i]);
    json_out_close_array(json);
}

// https://docs.slack.dev/messaging/formatting-message-text: `&`, `<` and `>` are escaped; with "mrkdwn" false and
// "parse" "none" nothing else is markup, a mention or a link. Services that take the same form may read more as markup.
static void put_slack(struct notice_document *document)
{
    struct json_out *json = &document->json;
    put_lines(document, "text");
    json_out_bool(json, "mrkdwn", false);
    json_out_text(json, "parse", SLICE("none"));
    json_out_count(json, "link_names", 0);
    json_out_bool(json, "unfurl_links", false);
    json_out_bool(json, "unfurl_media", false);
}

// https://docs.ntfy.sh/publish/#publish-as-json
static void put_ntfy(struct notice_document *document, const char *topic)
{
    struct json_out *json = &document->json;
    bool has_begin = count_begins(document->message) > 0;
    json_out_text(json, "topic", slice_from_string(topic));
    put_title(document, "title");
    put_lines(document, "message");
    json_out_count(json, "priority", has_begin ? 4 : 3); // high; default
    json_out_open_array(json, "tags");
    json_out_text(json, NULL, has_begin ? SLICE("warning") : SLICE("white_check_mark"));
    json_out_close_array(json);
}

size_t notice_batch_max(enum notice_form form)
{
    return form == NOTICE_JSON ? NOTICE_BATCH_MAX : NOTICE_LIST_MAX;
}

enum error_code notice_write(const struct notice_message *message,
                             const struct notice_receiver *receiver, struct buffer *body)
{
    struct notice_document document = {.message = message, .form = receiver->form};
    buffer_init(&document.scratch, NOTICE_BODY_MAX);
    json_out_init(&document.json, body);
    json_out_open_object(&document.json, NULL);
    switch (receiver->form) {
    case NOTICE_SLACK:
        put_slack(&document);
        break;
    case NOTICE_NTFY:
        put_ntfy(&document, receiver->topic);
        break;
    case NOTICE_JSON:
    case NOTICE_FORMS:
        put_own(&document);
        break;
    }
    json_out_close_object(&document.json);
    buffer_release(&document.scratch);
    enum error_code code = json_out_finish(&document.json);
    return document.code != ERROR_NONE ? document.code : code;
}
