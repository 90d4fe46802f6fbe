// Reads the open jobs of one pool.
#include "ghatrace/view/pool_jobs.h"

#include <string.h>

#include "ghatrace/base/bytes.h"

#define PLACE_SIZE (8 + TRACE_ID_SIZE + SPAN_ID_SIZE)

// --- places as text -------------------------------------------------------------------------------

void pool_jobs_write_place(const struct pool_jobs_place *place, char text[POOL_JOBS_PLACE_TEXT + 1])
{
    uint8_t bytes[PLACE_SIZE];
    bytes_put_be64(bytes, (uint64_t)place->next.since);
    memcpy(bytes + 8, place->next.key.trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + 8 + TRACE_ID_SIZE, place->next.key.span.bytes, SPAN_ID_SIZE);
    text[0] = (char)('0' + (int)place->state);
    hex_encode(bytes, sizeof bytes, text + 1);
}

bool pool_jobs_read_place(struct slice text, struct pool_jobs_place *place)
{
    uint8_t bytes[PLACE_SIZE];
    if (text.len != POOL_JOBS_PLACE_TEXT || text.data[0] <= '0' + OPEN_JOB_NONE ||
        text.data[0] >= '0' + OPEN_JOB_STATES ||
        !hex_decode(text.data + 1, text.len - 1, bytes, sizeof bytes))
        return false;
    *place = (struct pool_jobs_place){.state = (enum open_job_kind)(text.data[0] - '0')};
    place->next.since = (timestamp_ns)bytes_get_be64(bytes);
    memcpy(place->next.key.trace.bytes, bytes + 8, TRACE_ID_SIZE);
    memcpy(place->next.key.span.bytes, bytes + 8 + TRACE_ID_SIZE, SPAN_ID_SIZE);
    return place->next.since >= 0;
}

// --- pages ----------------------------------------------------------------------------------------

struct page {
    const struct pool_jobs_query *query;
    const struct queue_view_visitor *visitor;
    struct view_reader reader; // its arena is for the current job
    struct pool_jobs_place *place;
    size_t left;
};

// Visits at most as many jobs of the state of its place as are left. ERROR_NOT_FOUND: there are no more.
static enum error_code visit_page(struct page *page)
{
    const struct queue_view_job_query job_query = {page->query->pool, page->place->state,
                                                   page->query->ended_rule};
    for (;;) {
        struct pool_job *job = &page->place->next;
        enum error_code code = pool_seek_job(page->reader.transaction, &page->query->pool->id,
                                             page->place->state, job, page->reader.error);
        if (code != ERROR_NONE || page->left == 0)
            return code;
        bool is_read;
        code = queue_view_visit(&page->reader, &job_query, job, page->visitor, &is_read);
        if (code != ERROR_NONE)
            return code;
        page->left--;
        pool_job_increment(job);
    }
}

static enum error_code walk_states(struct page *page, bool *has_more)
{
    size_t first = 0;
    *has_more = false;
    while (page->place->state != OPEN_JOB_NONE && first < QUEUE_VIEW_STATES &&
           queue_view_order[first] != page->place->state)
        first++;
    for (size_t i = first; i < QUEUE_VIEW_STATES; i++) {
        enum open_job_kind state = queue_view_order[i];
        if (page->query->state != OPEN_JOB_NONE && page->query->state != state)
            continue;
        if (page->place->state != state)
            *page->place = (struct pool_jobs_place){.state = state};
        enum error_code code = visit_page(page);
        if (code != ERROR_NOT_FOUND) {
            *has_more = code == ERROR_NONE;
            return code;
        }
    }
    return ERROR_NONE;
}

enum error_code pool_jobs_walk(const struct view_reader *reader,
                               const struct pool_jobs_query *query,
                               const struct queue_view_visitor *visitor,
                               struct pool_jobs_place *place, bool *has_more)
{
    struct arena job_arena;
    struct page page = {.query = query,
                        .visitor = visitor,
                        .reader = {reader->transaction, &job_arena, reader->error},
                        .place = place,
                        .left = query->limit};
    arena_init(&job_arena, QUEUE_VIEW_JOB_BYTES);
    enum error_code code = walk_states(&page, has_more);
    arena_release(&job_arena);
    return code;
}
