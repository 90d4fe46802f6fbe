// Reading the name of a run.
#include "ghatrace/app/run_reference.h"

#define RUNS_PATH "/actions/runs/"

static struct slice after(struct slice s, size_t len)
{
    return (struct slice){.data = s.data + len, .len = s.len - len};
}

// Up to the next '/', which is taken too.
static struct slice take_segment(struct slice *rest)
{
    ptrdiff_t slash = slice_find(*rest, SLICE("/"));
    size_t len = slash < 0 ? rest->len : (size_t)slash;
    struct slice segment = {.data = rest->data, .len = len};
    *rest = after(*rest, slash < 0 ? len : len + 1);
    return segment;
}

static bool take_id(struct slice *rest, int64_t *id)
{
    long long number;
    if (!slice_parse_int64(take_segment(rest), &number) || number <= 0)
        return false;
    *id = number;
    return true;
}

static struct slice cut_at(struct slice s, struct slice mark)
{
    ptrdiff_t position = slice_find(s, mark);
    return position < 0 ? s : (struct slice){.data = s.data, .len = (size_t)position};
}

// "123/attempts/2/job/456": what follows "/actions/runs/" in GitHub's addresses.
static bool parse_page(struct slice rest, struct run_reference *reference)
{
    if (!take_id(&rest, &reference->run_id))
        return false;
    while (rest.len > 0) {
        struct slice word = take_segment(&rest);
        bool is_known = slice_equals(word, SLICE("attempts")) || slice_equals(word, SLICE("job"));
        if (!is_known)
            return true; // another tab of the same page: "workflow", "usage"
        if (!take_id(&rest,
                     slice_equals(word, SLICE("job")) ? &reference->job_id : &reference->attempt))
            return false;
    }
    return true;
}

bool run_reference_parse(struct slice text, struct run_reference *reference)
{
    *reference = (struct run_reference){.run_id = 0};
    ptrdiff_t path = slice_find(text, SLICE(RUNS_PATH));
    if (path >= 0) {
        if (path > 0 && text.data[0] != '/')
            reference->server = (struct slice){text.data, (size_t)path};
        struct slice page = after(text, (size_t)path + sizeof RUNS_PATH - 1);
        return parse_page(cut_at(cut_at(page, SLICE("#")), SLICE("?")), reference);
    }
    bool has_attempt = slice_find(text, SLICE("/")) >= 0;
    return take_id(&text, &reference->run_id) &&
           (!has_attempt || take_id(&text, &reference->attempt)) && text.len == 0;
}
