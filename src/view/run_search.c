// The search for runs: what was pasted, and which runs it means.
#include "ghatrace/view/run_search.h"

#include <string.h>

#include "ghatrace/github/server.h"

// --- parts of texts ---------------------------------------------------------------------------------------------

static struct slice slice_start(struct slice text, size_t len)
{
    return (struct slice){text.data, len < text.len ? len : text.len};
}

static size_t find_first_of(struct slice text, const char *characters)
{
    size_t i = 0;
    while (i < text.len && (text.data[i] == '\0' || strchr(characters, text.data[i]) == NULL))
        i++;
    return i;
}

// The part before the next of these characters; `*rest` begins behind it.
static struct slice take_until(struct slice *rest, const char *characters)
{
    size_t len = find_first_of(*rest, characters);
    struct slice part = slice_start(*rest, len);
    *rest = slice_skip(*rest, len < rest->len ? len + 1 : len);
    return part;
}

static bool has_prefix_ignoring_case(struct slice text, struct slice prefix)
{
    return slice_equals_ignoring_case(slice_start(text, prefix.len), prefix);
}

static bool take_prefix(struct slice *text, struct slice prefix)
{
    if (!has_prefix_ignoring_case(*text, prefix))
        return false;
    *text = slice_skip(*text, prefix.len);
    return true;
}

// A positive number of digits only; 0 for anything else.
static int64_t read_positive(struct slice text)
{
    long long number;
    if (text.len == 0 || !ascii_is_digit(text.data[0]) || !slice_parse_int64(text, &number))
        return 0;
    return number > 0 ? (int64_t)number : 0;
}

static bool is_hex(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (hex_digit_value(text.data[i]) < 0)
            return false;
    return text.len > 0;
}

static bool is_sha(struct slice text)
{
    return text.len >= RUN_SEARCH_SHA_MIN && text.len <= RUN_SEARCH_SHA_MAX && is_hex(text);
}

// "defaced" is a word, and "3129441" a number.
static bool is_probably_sha(struct slice text)
{
    size_t digits = 0;
    for (size_t i = 0; i < text.len; i++)
        digits += ascii_is_digit(text.data[i]) ? 1 : 0;
    return is_sha(text) && (text.len == RUN_SEARCH_SHA_MAX || (digits > 0 && digits < text.len));
}

static bool parse_trace_id(struct slice text, struct run_search *search)
{
    if (text.len != 2 * TRACE_ID_SIZE ||
        !hex_decode(text.data, text.len, search->trace.bytes, TRACE_ID_SIZE))
        return false;
    search->kind = RUN_SEARCH_TRACE;
    return true;
}

// --- URLs -------------------------------------------------------------------------------------------------------

#define SEGMENTS_MAX 12

struct path {
    struct slice segments[SEGMENTS_MAX];
    size_t count;
};

static void split_path(struct slice text, struct path *path)
{
    path->count = 0;
    while (text.len > 0 && path->count < SEGMENTS_MAX) {
        struct slice segment = take_until(&text, "/");
        if (segment.len > 0)
            path->segments[path->count++] = segment;
    }
}

static struct slice segment_at(const struct path *path, size_t i)
{
    return i < path->count ? path->segments[i] : SLICE_EMPTY;
}

static bool is_segment(const struct path *path, size_t i, struct slice word)
{
    return slice_equals(segment_at(path, i), word);
}

static void set_run(struct run_search *search, int64_t run_id, int64_t attempt)
{
    search->kind = RUN_SEARCH_RUN;
    search->run_id = run_id;
    search->run_attempt = attempt;
}

// "…/actions/…": `at` is the segment behind that.
static void read_actions(const struct path *path, size_t at, struct run_search *search)
{
    int64_t id = read_positive(segment_at(path, at + 1));
    if (is_segment(path, at, SLICE("runs")) && id > 0) {
        set_run(search, id, 0);
        for (size_t i = at + 2; i + 1 < path->count; i++) {
            int64_t number = read_positive(path->segments[i + 1]);
            if (is_segment(path, i, SLICE("attempts")))
                search->run_attempt = number;
            if (is_segment(path, i, SLICE("job")) || is_segment(path, i, SLICE("jobs")))
                search->job_id = number;
        }
    } else if (is_segment(path, at, SLICE("jobs")) && id > 0) {
        search->kind = RUN_SEARCH_JOB;
        search->job_id = id;
    } else if (is_segment(path, at, SLICE("workflows")) && segment_at(path, at + 1).len > 0) {
        search->kind = RUN_SEARCH_WORKFLOW;
        search->file = segment_at(path, at + 1);
    }
}

// "…/pull/12", which may go on: "/commits/SHA", "/files".
static void read_pull(const struct path *path, size_t at, struct run_search *search)
{
    int64_t number = read_positive(segment_at(path, at + 1));
    if (number > 0) {
        search->kind = RUN_SEARCH_PULL;
        search->pull = number;
    }
    if (is_segment(path, at + 2, SLICE("commits")) && is_sha(segment_at(path, at + 3))) {
        search->kind = RUN_SEARCH_COMMIT;
        search->sha = segment_at(path, at + 3);
    }
}

// What is behind "owner/name": `rest` is its text.
static void read_repository_page(const struct path *path, size_t at, struct slice rest,
                                 struct run_search *search)
{
    struct slice page = segment_at(path, at);
    search->kind = RUN_SEARCH_REPOSITORY;
    if (slice_equals(page, SLICE("actions"))) {
        read_actions(path, at + 1, search);
    } else if (slice_equals(page, SLICE("pull")) || slice_equals(page, SLICE("pulls"))) {
        read_pull(path, at, search);
    } else if ((slice_equals(page, SLICE("commit")) || slice_equals(page, SLICE("commits"))) &&
               is_sha(segment_at(path, at + 1))) {
        search->kind = RUN_SEARCH_COMMIT;
        search->sha = segment_at(path, at + 1);
    } else if (slice_equals(page, SLICE("runs")) && read_positive(segment_at(path, at + 1)) > 0) {
        search->kind = RUN_SEARCH_JOB; // a check run, which has the id of its job
        search->job_id = read_positive(segment_at(path, at + 1));
    } else if (slice_equals(page, SLICE("tree"))) {
        search->branch = rest;
    }
}

// A path of GitHub's: "owner/name/…"; of its API, too: "repos/owner/name/…".
static bool read_github_path(struct slice text, struct run_search *search)
{
    struct path path;
    size_t at = 0;
    split_path(text, &path);
    if (is_segment(&path, 0, SLICE("api")) && is_segment(&path, 2, SLICE("repos")))
        at = 3;
    else if (has_prefix_ignoring_case(search->server, SLICE("api.")) &&
             is_segment(&path, 0, SLICE("repos")))
        at = 1;
    if (at > 0 && has_prefix_ignoring_case(search->server, SLICE("api.")))
        search->server = slice_skip(search->server, 4);
    if (path.count < at + 2)
        return false;
    struct slice owner = path.segments[at], name = path.segments[at + 1];
    if (name.len > 4 && slice_ends_with(name, SLICE(".git")))
        name.len -= 4;
    search->repository = (struct slice){owner.data, (size_t)(name.data + name.len - owner.data)};
    struct slice rest = segment_at(&path, at + 3);
    if (rest.len > 0) {
        rest.len = (size_t)(text.data + text.len - rest.data);
        while (rest.len > 0 && rest.data[rest.len - 1] == '/')
            rest.len--;
    }
    read_repository_page(&path, at + 2, rest, search);
    return true;
}

// "#/runs/123/1" of the live page.
static bool read_fragment(struct slice fragment, struct run_search *search)
{
    struct path path;
    split_path(take_until(&fragment, "?"), &path);
    int64_t id = read_positive(segment_at(&path, 1));
    if (is_segment(&path, 0, SLICE("runs")) && id > 0)
        set_run(search, id, read_positive(segment_at(&path, 2)));
    else if (is_segment(&path, 0, SLICE("commits")) && is_sha(segment_at(&path, 1)))
        *search = (struct run_search){.kind = RUN_SEARCH_COMMIT, .sha = segment_at(&path, 1)};
    return search->kind == RUN_SEARCH_RUN || search->kind == RUN_SEARCH_COMMIT;
}

// A trace in another program's page: a segment that is a trace ID.
static bool read_trace_path(struct slice text, struct run_search *search)
{
    struct path path;
    split_path(text, &path);
    for (size_t i = 0; i < path.count; i++)
        if (parse_trace_id(path.segments[i], search))
            return true;
    return false;
}

// Whether the first part of an address without a scheme is a host: an owner's name has no dot.
static bool is_host(struct slice text)
{
    struct slice host = slice_start(text, find_first_of(text, "/"));
    return host.len < text.len && slice_find(host, SLICE(".")) > 0;
}

static bool parse_url(struct slice text, struct run_search *search)
{
    bool has_scheme = take_prefix(&text, SLICE("https://")) || take_prefix(&text, SLICE("http://"));
    if (!has_scheme && !is_host(text))
        return false;
    size_t address_len = find_first_of(text, "?#");
    struct slice address = slice_start(text, address_len);
    struct slice more = slice_skip(text, address_len);
    struct slice fragment = slice_skip(more, find_first_of(more, "#"));
    struct slice authority = take_until(&address, "/");
    if (fragment.len > 1 && read_fragment(slice_skip(fragment, 1), search))
        return true;
    while (find_first_of(authority, "@") < authority.len)
        (void)take_until(&authority, "@");
    search->server = slice_start(authority, find_first_of(authority, ":"));
    if (has_prefix_ignoring_case(search->server, SLICE("www.")))
        search->server = slice_skip(search->server, 4);
    if (read_trace_path(address, search)) {
        search->server = SLICE_EMPTY; // not GitHub's
        return true;
    }
    return read_github_path(address, search);
}

// --- texts --------------------------------------------------------------------------------------------------------

// "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" (W3C Trace Context, 3.2).
static bool parse_traceparent(struct slice text, struct run_search *search)
{
    if (text.len != 55 || text.data[2] != '-' || text.data[35] != '-' || text.data[52] != '-')
        return false;
    return parse_trace_id((struct slice){text.data + 3, 2 * TRACE_ID_SIZE}, search);
}

#define SPACES " \t\r\n\v\f"

static struct slice trim_spaces(struct slice text)
{
    while (text.len > 0 && find_first_of(text, SPACES) == 0)
        text = slice_skip(text, 1);
    while (text.len > 0 && find_first_of(slice_skip(text, text.len - 1), SPACES) == 0)
        text.len--;
    return text;
}

static void parse_words(struct slice text, struct run_search *search)
{
    search->kind = RUN_SEARCH_WORDS;
    while (text.len > 0 && search->word_count < RUN_SEARCH_WORDS_MAX) {
        struct slice word = take_until(&text, SPACES);
        if (word.len > 1 && word.data[0] == '@')
            word = slice_skip(word, 1);
        if (word.len > 0)
            search->words[search->word_count++] = word;
    }
    if (search->word_count != 1)
        return;
    search->number = read_positive(search->words[0]);
    if (is_probably_sha(search->words[0])) {
        search->kind = RUN_SEARCH_COMMIT;
        search->sha = search->words[0];
    }
}

// "<…>" and "(…)", and a full stop behind it, are not part of what was copied.
static struct slice strip_marks(struct slice text)
{
    while (text.len > 0 && strchr("<(\"'`", text.data[0]) != NULL && text.data[0] != '\0')
        text = slice_skip(text, 1);
    while (text.len > 0 && text.data[text.len - 1] != '\0' &&
           strchr(">)\"'`.,;", text.data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

void run_search_parse(struct slice text, struct run_search *search)
{
    struct run_selector selector;
    struct slice whole = trim_spaces(text);
    *search = (struct run_search){.kind = RUN_SEARCH_ALL};
    if (whole.len == 0)
        return;
    struct slice bare = strip_marks(whole);
    bool is_one = find_first_of(bare, SPACES) == bare.len && bare.len > 0;
    if (is_one && (parse_trace_id(bare, search) || parse_traceparent(bare, search)))
        return;
    if (is_one && slice_find(bare, SLICE("/")) > 0 && run_selector_parse(bare, &selector)) {
        set_run(search, selector.run_id, selector.run_attempt);
        return;
    }
    if (is_one && parse_url(bare, search))
        return;
    *search = (struct run_search){.kind = RUN_SEARCH_ALL};
    parse_words(whole, search);
}

const char *run_search_kind_text(enum run_search_kind kind)
{
    static const char *const texts[RUN_SEARCH_KINDS] = {
        [RUN_SEARCH_ALL] = "all",
        [RUN_SEARCH_WORDS] = "words",
        [RUN_SEARCH_RUN] = "run",
        [RUN_SEARCH_JOB] = "job",
        [RUN_SEARCH_TRACE] = "trace",
        [RUN_SEARCH_COMMIT] = "commit",
        [RUN_SEARCH_PULL] = "pull_request",
        [RUN_SEARCH_WORKFLOW] = "workflow",
        [RUN_SEARCH_REPOSITORY] = "repository",
    };
    return texts[kind];
}

// --- matching ---------------------------------------------------------------------------------------------------

// "timed out" is one word to GitHub: "timed_out".
static bool is_result_word(const struct run_view *run, struct slice word)
{
    return slice_contains_ignoring_case(run->conclusion, word) ||
           slice_contains_ignoring_case(run->result, word) ||
           (slice_equals_ignoring_case(word, SLICE("failed")) &&
            view_outcome_of(run->conclusion) == OUTCOME_FAILURE);
}

static bool has_word(const struct run_view *run, struct slice word)
{
    if (word.len > 1 && word.data[0] == '#' && read_positive(slice_skip(word, 1)) > 0)
        return run->run_number == read_positive(slice_skip(word, 1));
    return slice_contains_ignoring_case(run->repository, word) ||
           slice_contains_ignoring_case(run->workflow, word) ||
           slice_contains_ignoring_case(run->branch, word) ||
           slice_contains_ignoring_case(run->title, word) ||
           slice_contains_ignoring_case(run->actor, word) ||
           slice_contains_ignoring_case(run->event_name, word) || is_result_word(run, word);
}

static bool has_all_words(const struct run_search *search, const struct run_view *run)
{
    for (size_t i = 0; i < search->word_count; i++)
        if (!has_word(run, search->words[i]))
            return false;
    return search->word_count > 0;
}

static bool is_of_server(const struct run_search *search, const struct run_view *run)
{
    return search->server.len == 0 ||
           slice_equals_ignoring_case(search->server, github_server_name(run->server));
}

static bool is_of_repository(const struct run_search *search, const struct run_view *run)
{
    return is_of_server(search, run) &&
           (search->repository.len == 0 ||
            slice_equals_ignoring_case(search->repository, run->repository));
}

static bool is_that_run(const struct run_search *search, const struct run_view *run)
{
    return search->run_id == run->run_id && is_of_server(search, run) &&
           (search->run_attempt == 0 || search->run_attempt == run->run_attempt);
}

static enum run_search_match match_words(const struct run_search *search,
                                         const struct run_view *run)
{
    if (has_all_words(search, run) || (search->number > 0 && (search->number == run->run_id ||
                                                              search->number == run->run_number)))
        return RUN_SEARCH_YES;
    return search->number > 0 ? RUN_SEARCH_BY_JOB : RUN_SEARCH_NO;
}

enum run_search_match run_search_match(const struct run_search *search, const struct run_view *run)
{
    switch (search->kind) {
    case RUN_SEARCH_ALL:
        return RUN_SEARCH_YES;
    case RUN_SEARCH_WORDS:
        return match_words(search, run);
    case RUN_SEARCH_RUN:
        return is_that_run(search, run) ? RUN_SEARCH_YES : RUN_SEARCH_NO;
    case RUN_SEARCH_JOB:
        return is_of_repository(search, run) ? RUN_SEARCH_BY_JOB : RUN_SEARCH_NO;
    case RUN_SEARCH_TRACE:
        return trace_id_equals(&search->trace, &run->trace) ? RUN_SEARCH_YES : RUN_SEARCH_NO;
    case RUN_SEARCH_COMMIT:
        if (has_all_words(search, run))
            return RUN_SEARCH_YES;
        return is_of_repository(search, run) ? RUN_SEARCH_BY_ROOT : RUN_SEARCH_NO;
    case RUN_SEARCH_PULL:
    case RUN_SEARCH_WORKFLOW:
        return is_of_repository(search, run) ? RUN_SEARCH_BY_ROOT : RUN_SEARCH_NO;
    case RUN_SEARCH_REPOSITORY:
    case RUN_SEARCH_KINDS:
        break;
    }
    return is_of_repository(search, run) &&
                   (search->branch.len == 0 || slice_equals(search->branch, run->branch))
               ? RUN_SEARCH_YES
               : RUN_SEARCH_NO;
}

// "ci.yml" of ".github/workflows/ci.yml" or "octo/shop/.github/workflows/ci.yml@refs/heads/main".
static bool is_workflow_file(struct slice path, struct slice file)
{
    struct slice name = slice_start(path, find_first_of(path, "@"));
    while (find_first_of(name, "/") < name.len)
        (void)take_until(&name, "/");
    return slice_equals_ignoring_case(name, file);
}

bool run_search_match_root(const struct run_search *search, const struct run_search_root *root)
{
    switch (search->kind) {
    case RUN_SEARCH_COMMIT:
        return search->sha.len > 0 && has_prefix_ignoring_case(root->revision, search->sha);
    case RUN_SEARCH_PULL:
        return search->pull == root->pull;
    case RUN_SEARCH_WORKFLOW:
        return is_workflow_file(root->workflow_path, search->file);
    case RUN_SEARCH_ALL:
    case RUN_SEARCH_WORDS:
    case RUN_SEARCH_RUN:
    case RUN_SEARCH_JOB:
    case RUN_SEARCH_TRACE:
    case RUN_SEARCH_REPOSITORY:
    case RUN_SEARCH_KINDS:
        break;
    }
    return false;
}

int64_t run_search_job(const struct run_search *search)
{
    if (search->kind == RUN_SEARCH_JOB)
        return search->job_id;
    return search->kind == RUN_SEARCH_WORDS ? search->number : 0;
}
