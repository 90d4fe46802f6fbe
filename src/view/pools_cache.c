// Keeps pools that took long to read.
#include "ghatrace/view/pools_cache.h"

#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/view/pools_summary.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define REST 9 // how many times as long as reading took

duration_ns pools_cache_kept(duration_ns took)
{
    if (took < POOLS_CACHE_LEAST)
        return 0;
    return took < POOLS_CACHE_KEPT_MAX / REST ? took * REST : POOLS_CACHE_KEPT_MAX;
}

void pools_cache_init(struct pools_cache *cache)
{
    *cache = (struct pools_cache){.kept_until = 0};
    arena_init(&cache->arena, ARENA_BLOCK_BYTES);
}

void pools_cache_release(struct pools_cache *cache)
{
    arena_release(&cache->arena);
}

static enum error_code load_all(const struct view_reader *reader,
                                const struct pools_view_settings *settings, timestamp_ns now,
                                struct pools_view *view)
{
    const struct ended_rule rule = {now, settings->job_grace};
    enum error_code code = pools_view_load(reader, settings, now, view);
    if (code == ERROR_NONE && pools_summary_needs_oldest(view, now))
        code = pools_view_count_oldest(reader, view);
    if (code == ERROR_NONE)
        code = pools_view_find_fillers(reader, view);
    return code == ERROR_NONE ? pools_view_count_fillers(reader, &rule, view) : code;
}

enum error_code pools_cache_read(struct pools_cache *cache, const struct view_reader *reader,
                                 const struct pools_view_settings *settings, timestamp_ns now,
                                 struct pools_view *view)
{
    if (cache == NULL)
        return load_all(reader, settings, now, view);
    if (timestamp_monotonic() < cache->kept_until) {
        *view = cache->view;
        return ERROR_NONE;
    }
    const struct view_reader own = {reader->transaction, &cache->arena, reader->error};
    duration_ns begun_at = duration_of_thread();
    arena_clear(&cache->arena);
    cache->kept_until = 0;
    enum error_code code = load_all(&own, settings, now, &cache->view);
    if (code != ERROR_NONE)
        return code;
    cache->kept_until = timestamp_monotonic() + pools_cache_kept(duration_of_thread() - begun_at);
    *view = cache->view;
    return ERROR_NONE;
}
