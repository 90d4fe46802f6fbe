// The file of receivers.
#include <assert.h>
#include <stdio.h>

#include "ghatrace/base/bytes.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/notify/notices.h"

const char *const notice_form_names[NOTICE_FORMS] = {
    [NOTICE_JSON] = "json", [NOTICE_SLACK] = "slack", [NOTICE_NTFY] = "ntfy"};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

// The next word of a line; empty at its end.
static struct slice take_word(struct slice *rest)
{
    while (rest->len > 0 && is_blank(rest->data[0]))
        *rest = slice_skip(*rest, 1);
    struct slice word = {rest->data, 0};
    while (word.len < rest->len && !is_blank(rest->data[word.len]))
        word.len++;
    *rest = slice_skip(*rest, word.len);
    return word;
}

static bool find_form(struct slice word, enum notice_form *form)
{
    for (int i = 0; i < NOTICE_FORMS; i++) {
        *form = (enum notice_form)i;
        if (slice_equals(word, slice_from_string(notice_form_names[i])))
            return true;
    }
    return false;
}

// RFC 6750 2.1: visible ASCII, in effect; anything else could end the header field.
static enum error_code read_token(struct slice word, struct notice_receiver *receiver,
                                  struct error *error)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] <= ' ' || word.data[i] > '~')
            return error_set(error, ERROR_USAGE, "the token has a character that is not ASCII");
    if (word.len >= sizeof receiver->token)
        return error_set(error, ERROR_USAGE, "the token is longer than %d characters",
                         NOTICE_TOKEN_SIZE - 1);
    if (word.len > 0 && receiver->endpoint.userinfo[0] != '\0')
        return error_set(error, ERROR_USAGE,
                         "a token and a password in the URL: write one of them");
    if (word.len > 0)
        memcpy(receiver->token, word.data, word.len);
    return ERROR_NONE;
}

static bool is_topic(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_letter(text.data[i]) && !ascii_is_digit(text.data[i]) &&
            text.data[i] != '-' && text.data[i] != '_')
            return false;
    return text.len > 0 && text.len < NOTICE_TOPIC_SIZE;
}

// ntfy takes JSON at the server's root, with the topic in it; so texts need not go into header fields. A query stays.
static enum error_code take_topic(struct notice_receiver *receiver, struct error *error)
{
    char *path = receiver->endpoint.path;
    struct slice whole = slice_from_string(path);
    ptrdiff_t query = slice_find(whole, SLICE("?"));
    size_t end = query >= 0 ? (size_t)query : whole.len, start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    struct slice topic = {path + start, end - start};
    if (!is_topic(topic))
        return error_set(error, ERROR_USAGE,
                         "the URL does not end in a topic: write https://ntfy.sh/TOPIC");
    memcpy(receiver->topic, topic.data, topic.len);
    memmove(path + start, path + end, whole.len - end + 1);
    return ERROR_NONE;
}

static uint64_t receiver_id(enum notice_form form, struct slice url)
{
    uint8_t digest[SHA256_SIZE];
    digest_sha256(url, digest);
    digest[0] ^= (uint8_t)form;
    return bytes_get_be64(digest);
}

// Parse errors of URLs are not passed on, as they quote it.
static enum error_code read_receiver_line(struct slice line, struct notice_receiver *receiver,
                                          struct error *error)
{
    struct slice form = take_word(&line), url = take_word(&line), token = take_word(&line);
    struct error hidden;
    if (!find_form(form, &receiver->form))
        return error_set(error, ERROR_USAGE,
                         "does not begin with json, slack or ntfy: write FORM URL [TOKEN]");
    if (url.len == 0)
        return error_set(error, ERROR_USAGE, "has no URL: write FORM URL [TOKEN]");
    if (take_word(&line).len > 0)
        return error_set(error, ERROR_USAGE, "has more than FORM URL [TOKEN]");
    if (export_endpoint_parse(url, EXPORT_URL_WHOLE, &receiver->endpoint, &hidden) != ERROR_NONE)
        return error_set(error, ERROR_USAGE, "has no usable URL: write https://HOST/PATH");
    receiver->id = receiver_id(receiver->form, url);
    enum error_code code = read_token(token, receiver, error);
    if (code == ERROR_NONE && receiver->form == NOTICE_NTFY)
        code = take_topic(receiver, error);
    return code;
}

static bool is_known(const struct notice_receivers *receivers, uint64_t id)
{
    for (size_t i = 0; i < receivers->count; i++)
        if (receivers->items[i].id == id)
            return true;
    return false;
}

static enum error_code add_receiver(struct notice_receivers *receivers, struct slice line,
                                    struct error *error)
{
    if (receivers->count == NOTICE_RECEIVERS_MAX)
        return error_set(error, ERROR_USAGE, "more than %d receivers", NOTICE_RECEIVERS_MAX);
    struct notice_receiver *receiver = &receivers->items[receivers->count];
    enum error_code code = read_receiver_line(line, receiver, error);
    if (code == ERROR_NONE && is_known(receivers, receiver->id))
        code = error_set(error, ERROR_USAGE, "names a receiver that an earlier line has");
    if (code == ERROR_NONE)
        receivers->count++;
    return code;
}

static struct slice take_line(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, SLICE("\n"));
    struct slice line = {rest->data, end >= 0 ? (size_t)end : rest->len};
    *rest = slice_skip(*rest, end >= 0 ? line.len + 1 : line.len);
    return utf8_skip_mark(line);
}

enum error_code notice_receivers_parse(struct slice text, struct notice_receivers *receivers,
                                       struct error *error)
{
    *receivers = (struct notice_receivers){.count = 0};
    if (utf8_is_other_unicode(text))
        return error_set(error, ERROR_USAGE, "is in UTF-16: save it as UTF-8");
    for (size_t number = 1; text.len > 0; number++) {
        struct slice line = take_line(&text), rest = line, first = take_word(&rest);
        if (first.len == 0 || first.data[0] == '#')
            continue;
        enum error_code code = add_receiver(receivers, line, error);
        if (code != ERROR_NONE)
            return error_wrap(error, "line %zu", number);
    }
    if (receivers->count == 0)
        return error_set(error, ERROR_USAGE,
                         "holds no receiver: write FORM URL [TOKEN], one a line");
    return ERROR_NONE;
}

void notice_receivers_wipe(struct notice_receivers *receivers)
{
    digest_wipe(receivers, sizeof *receivers);
}
