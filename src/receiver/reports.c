// The last reports of ARC and what became of them, for the page and the API.
#include "ghatrace/base/utf8.h"
#include "private.h"

#define SANITIZED_MAX (RECEIVER_NAME_SIZE * 3)

static void copy_name(struct slice name, char out[RECEIVER_NAME_SIZE])
{
    char clean[SANITIZED_MAX];

    if (name.len > RECEIVER_NAME_SIZE)
        name.len = RECEIVER_NAME_SIZE;
    struct slice text = {clean, utf8_sanitize(name, clean)};
    text = utf8_cut(text, RECEIVER_NAME_SIZE - 1);
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    out[text.len] = '\0';
}

void receiver_note_report(struct receiver_reports *reports, const struct arc_report *report,
                          enum arc_outcome outcome, const struct arc_match *match, timestamp_ns at)
{
    struct arc_match of = {.run_id = report->run_id, .job_id = report->job_id};

    if (match != NULL && match->job_id != 0)
        of = *match;
    pthread_mutex_lock(&reports->mutex);
    struct receiver_report *place = &reports->items[reports->next];
    place->at = at;
    place->outcome = outcome;
    place->run_id = of.run_id;
    place->run_attempt = of.run_attempt;
    place->job_id = of.job_id;
    copy_name(report->repository, place->repository);
    copy_name(report->job_name, place->job_name);
    copy_name(report->runner_name, place->runner_name);
    reports->next = (reports->next + 1) % RECEIVER_REPORTS;
    if (reports->count < RECEIVER_REPORTS)
        reports->count++;
    pthread_mutex_unlock(&reports->mutex);
}

size_t receiver_read_reports(struct receiver *receiver,
                             struct receiver_report out[RECEIVER_REPORTS])
{
    struct receiver_reports *reports = &receiver->reports;

    pthread_mutex_lock(&reports->mutex);
    size_t count = reports->count;
    for (size_t i = 0; i < count; i++)
        out[i] = reports->items[(reports->next + RECEIVER_REPORTS - 1 - i) % RECEIVER_REPORTS];
    pthread_mutex_unlock(&reports->mutex);
    return count;
}
