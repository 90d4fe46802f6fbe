// Whatever is pasted into the search has a meaning, which points into it and is complete.
#include "fuzz.h"
#include "ghatrace/view/run_search.h"

static void check_inside(struct slice part, struct slice text)
{
    MUST(part.len == 0 || (part.data >= text.data && part.data + part.len <= text.data + text.len));
}

static void check_meaning(const struct run_search *search, struct slice text)
{
    MUST(search->kind < RUN_SEARCH_KINDS);
    check_inside(search->server, text);
    check_inside(search->repository, text);
    check_inside(search->branch, text);
    check_inside(search->file, text);
    check_inside(search->sha, text);
    MUST(search->word_count <= RUN_SEARCH_WORDS_MAX);
    for (size_t i = 0; i < search->word_count; i++) {
        check_inside(search->words[i], text);
        MUST(search->words[i].len > 0);
    }
    MUST(search->run_id >= 0 && search->run_attempt >= 0 && search->job_id >= 0);
    MUST((search->kind == RUN_SEARCH_RUN) == (search->run_id > 0));
    MUST(search->kind != RUN_SEARCH_JOB || search->job_id > 0);
    MUST(search->kind != RUN_SEARCH_PULL || search->pull > 0);
    MUST(search->kind != RUN_SEARCH_WORKFLOW || search->file.len > 0);
    MUST((search->kind == RUN_SEARCH_COMMIT) == (search->sha.len > 0));
    MUST(search->sha.len == 0 ||
         (search->sha.len >= RUN_SEARCH_SHA_MIN && search->sha.len <= RUN_SEARCH_SHA_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_slice(data, size);
    const struct run_view run = {.run_id = 1, .title = text, .workflow = text};
    const struct run_search_root root = {.revision = text, .workflow_path = text};
    struct run_search search;
    run_search_parse(text, &search);
    check_meaning(&search, text);
    (void)run_search_match(&search, &run);
    (void)run_search_match_root(&search, &root);
    MUST(run_search_kind_text(search.kind) != NULL);
    return 0;
}
