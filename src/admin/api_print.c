// Responses of the API that commands make from the store beside the daemon.
#include "ghatrace/admin/api_print.h"

#include "api.h"

struct print_call {
    struct view_sources sources;
    struct api_call call;
};

// `of` must not move afterwards.
static const struct api_call *begin_print(const struct api_print *print, struct print_call *of,
                                          struct error *error)
{
    of->sources = (struct view_sources){.store = print->store,
                                        .pools = print->pools,
                                        .id_scheme = print->id_scheme,
                                        .trace_url = print->trace_url};
    of->call = (struct api_call){&of->sources, print->now, print->arena, print->out, error};
    return &of->call;
}

enum error_code api_print_pools(const struct api_print *print, struct error *error)
{
    struct print_call of;
    return api_render_pools(begin_print(print, &of, error));
}

enum error_code api_print_pool(const struct api_print *print, struct slice name,
                               struct error *error)
{
    struct print_call of;
    return api_render_pool(begin_print(print, &of, error), name);
}

enum error_code api_print_pool_jobs(const struct api_print *print, struct slice name, size_t limit,
                                    struct error *error)
{
    const struct api_pool_jobs_query query = {.limit = limit};
    struct print_call of;
    return api_render_pool_jobs(begin_print(print, &of, error), name, &query);
}

enum error_code api_print_run(const struct api_print *print, const struct run_selector *question,
                              struct error *error)
{
    struct print_call of;
    return api_render_run(begin_print(print, &of, error), question);
}

enum error_code api_print_commit(const struct api_print *print, struct slice text,
                                 struct error *error)
{
    struct print_call of;
    return api_render_commit(begin_print(print, &of, error), text);
}

enum error_code api_print_runs_page(const struct api_print *print,
                                    const struct api_print_page *page, struct error *error)
{
    const struct api_runs_query query = {.open = page->open,
                                         .repository = page->repository,
                                         .workflow = page->workflow,
                                         .text = page->search,
                                         .cursor = page->cursor,
                                         .limit = page->limit};
    struct print_call of;
    return api_render_runs(begin_print(print, &of, error), &query);
}

enum error_code api_print_queue(const struct api_print *print, size_t limit, struct error *error)
{
    const struct api_queue_query query = {.limit = limit};
    struct print_call of;
    return api_render_queue(begin_print(print, &of, error), &query);
}
