// The parts of a payload, each with its reader. Private to this module.
#ifndef GHATRACE_GITHUB_PAYLOADS_H
#define GHATRACE_GITHUB_PAYLOADS_H

#include "fields.h"
#include "ghatrace/github/event.h"

// The members of a delivery's outermost object, JSON_NONE where absent.
struct envelope {
    struct slice action;
    json_value workflow_job;
    json_value workflow_run;
    json_value workflow;
    json_value repository;
    json_value deployment;
};

// They expect a zeroed struct; the caller sets `action`.
enum error_code repository_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_repository *repository) MUST_CHECK;
enum error_code job_read(const struct payload *payload, const struct envelope *envelope,
                         struct github_job *job) MUST_CHECK;
enum error_code run_read(const struct payload *payload, const struct envelope *envelope,
                         struct github_run *run) MUST_CHECK;
// Reads a ping's outermost object. Skips what it cannot read.
void hook_read(const struct payload *payload, struct github_hook *hook);

// The "steps" of a job: a field_reader whose target is a struct github_job.
field_reader steps_read;

// A workflow's name; empty if it is only blanks.
struct slice payload_name(struct slice text);

#endif
