// Decodes the JSON of a webhook delivery into a `struct github_event`. Pure.
//
// Rules about GitHub's behaviour are documented where they are applied, with the public thread or document that they
// come from.
#ifndef GHATRACE_GITHUB_EVENT_H
#define GHATRACE_GITHUB_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// The kinds of events, and the types in X-GitHub-Event: with the name of the type, how the webhook handles it, and its
// decoder (github/payloads.h). /metrics and the API list them in this order. IGNORED: not processed, `ignored_because`
// has the reason; as a type: all others. Code that handles events switches over the kind: a new one, added before the
// last, does not compile until each place handles it (`scripts/places github_event_kind` lists them).
#define GITHUB_EVENT_LIST(ROW)                                                                     \
    ROW(GITHUB_EVENT_JOB, "workflow_job", GITHUB_EVENT_USE_STORE, job_decode)                      \
    ROW(GITHUB_EVENT_RUN, "workflow_run", GITHUB_EVENT_USE_STORE, run_decode)                      \
    ROW(GITHUB_EVENT_PING, "ping", GITHUB_EVENT_USE_ANSWER, ping_decode)                           \
    ROW(GITHUB_EVENT_IGNORED, "other", GITHUB_EVENT_USE_NONE, other_decode)
#define GITHUB_EVENT_CONSTANT(kind, name, use, decode) kind,
enum github_event_kind { GITHUB_EVENT_LIST(GITHUB_EVENT_CONSTANT) };
#define GITHUB_EVENT_KINDS (GITHUB_EVENT_IGNORED + 1)

// In the order of a job's life cycle, except for waiting, which may come before or after queued.
enum github_job_action {
    GITHUB_JOB_QUEUED,
    GITHUB_JOB_WAITING,
    GITHUB_JOB_IN_PROGRESS,
    GITHUB_JOB_COMPLETED,
};

enum github_run_action {
    GITHUB_RUN_REQUESTED,
    GITHUB_RUN_IN_PROGRESS,
    GITHUB_RUN_COMPLETED,
};

// In all structs below, a slice of length 0, an id of 0 and a time of TIMESTAMP_UNKNOWN mean that the payload has
// null, "", 0, no value, or a value of another type or form: except for its identity (action, run id, job id), no
// invalid field may cause an event to be refused. Strings are valid UTF-8 without NUL: escapes are resolved, invalid
// bytes are U+FFFD. They point into the body or into the arena.

// Longer texts and lists are truncated when they are decoded: GitHub sends none, and spans repeat texts many times.
// All steps are kept.
#define GITHUB_TEXT_MAX 4096      // bytes of any text, truncated at a character boundary
#define GITHUB_LABELS_MAX 100     // of a job
#define GITHUB_REFERENCES_MAX 256 // workflows that a run refers to
// Memory limit in bytes of an event and its tokens, in addition to the body. A job of 100,000 steps takes 40 MiB.
#define GITHUB_EVENT_MEMORY_MAX ((size_t)72 * 1024 * 1024)

struct github_repository {
    struct slice full_name; // "owner/name"; built from the two if it is missing, and vice versa
    struct slice owner;     // repository.owner.login
    struct slice name;
    struct slice html_url;
    struct slice default_branch;
    struct slice service_name; // custom_properties.service_name
};

struct github_step {
    struct slice name; // free text, repeats within a job; "step 3" if the third has none
    int64_t number;    // unique within the job, with gaps
    struct slice status;
    struct slice conclusion;
    timestamp_ns started_at;
    timestamp_ns completed_at;
};

// The members of a job and of a run, a row each, but for those that identify the event. Made of each list are the struct
// below, the digest of an event (trace/merge.c), the stored form of a body (store/codec.c) and what `ghatrace inspect`
// prints of it (term/inspect.c); all in the order of the list, which cannot be changed, as bytes are stored in it: a
// new member comes last. The columns:
//
//   type    as in GITHUB_TYPE_… below; of a LIST, that of its elements
//   member  its name; of a LIST, also that of its length
//   layout  the first stored layout of a job or a run (store/versions.h) whose body has it; 0: it is not stored with the
//           body, but by a line of its own in store/codec.c
//   words   its name in `ghatrace inspect`; "": printed by a line of its own in term/inspect.c
//
// github/payloads.c has their places in the payload.
// clang-format off
#define GITHUB_JOB_FIELDS(FIELD, LIST)                                                                          \
    FIELD(text,   name,                   1, "name")                                                            \
    FIELD(text,   workflow_name,          1, "workflow")          /* not only blanks */                         \
    FIELD(text,   head_branch,            1, "branch")                                                          \
    FIELD(text,   head_sha,               1, "commit")                                                          \
    FIELD(text,   html_url,               1, "URL")                                                             \
    FIELD(text,   status,                 1, "status")            /* as received; action, conclusion decide */  \
    FIELD(text,   conclusion,             1, "conclusion")                                                      \
    FIELD(time,   created_at,             1, "")                  /* absent in payloads before 2023 */          \
    FIELD(time,   started_at,             1, "started")           /* queued, waiting: time of queueing */       \
    FIELD(time,   completed_at,           1, "completed")                                                       \
    FIELD(number, runner_id,              0, "")                                                                \
    FIELD(text,   runner_name,            0, "")                                                                \
    FIELD(text,   runner_group_name,      0, "")                                                                \
    LIST(text,    labels, label_count,    1, "labels")                                                          \
    LIST(step,    steps, step_count,      1, "steps")             /* sorted by number */                        \
    FIELD(number, deployment_id,          0, "")                  /* of the top-level `deployment` */           \
    FIELD(text,   deployment_environment, 0, "")

#define GITHUB_RUN_FIELDS(FIELD, LIST)                                                                          \
    FIELD(text,   workflow_name,          0, "workflow")          /* workflow.name, else its file's path */     \
    FIELD(text,   display_title,          1, "title")                                                           \
    FIELD(text,   event_name,             1, "event")             /* workflow_run.event */                      \
    FIELD(text,   workflow_path,          1, "workflow file")                                                   \
    FIELD(text,   status,                 1, "status")                                                          \
    FIELD(text,   conclusion,             1, "conclusion")                                                      \
    FIELD(text,   head_branch,            0, "branch")                                                          \
    FIELD(text,   head_sha,               1, "commit")                                                          \
    FIELD(text,   actor,                  1, "actor")             /* actor.login */                             \
    FIELD(text,   triggering_actor,       1, "triggering actor")  /* triggering_actor.login */                  \
    FIELD(time,   created_at,             1, "created")                                                         \
    FIELD(time,   updated_at,             1, "updated")           /* used as the end when completed */          \
    FIELD(time,   run_started_at,         1, "started")                                                         \
    LIST(text,    referenced_workflows, referenced_workflow_count,                                              \
                                          1, "uses workflows")    /* "path@sha" each */                         \
    FIELD(number, pull_request_number,    1, "pull request")      /* first of pull_requests; 0 for forks */     \
    FIELD(text,   pull_request_base,      1, "pull request base") /* its base.ref */
// clang-format on

#define GITHUB_TYPE_number int64_t
#define GITHUB_TYPE_time timestamp_ns
#define GITHUB_TYPE_flag bool
#define GITHUB_TYPE_text struct slice
#define GITHUB_TYPE_step struct github_step
#define GITHUB_FIELD(type, member, layout, words) GITHUB_TYPE_##type member;
#define GITHUB_LIST(type, member, count, layout, words)                                            \
    const GITHUB_TYPE_##type *member;                                                              \
    size_t count;

struct github_job {
    int64_t job_id;
    int64_t run_id;
    int64_t run_attempt; // 1 where absent, 0 or none
    enum github_job_action action;
    GITHUB_JOB_FIELDS(GITHUB_FIELD, GITHUB_LIST)
};

struct github_run {
    int64_t run_id;
    int64_t run_attempt; // 1 where absent, 0 or none
    int64_t run_number;
    enum github_run_action action;
    GITHUB_RUN_FIELDS(GITHUB_FIELD, GITHUB_LIST)
};

// The webhook's settings in a ping (F19). Values of a wrong type count as absent: no ping is refused because of one.
struct github_hook {
    bool has_events; // there is a list of events
    bool has_jobs;   // it is in the list, by name or as "*"
    bool has_runs;
    bool is_inactive; // `active` is false
    bool is_insecure; // config.insecure_ssl: GitHub does not verify our certificate
    int64_t hook_id;
    struct slice type;  // "Repository", "Organization", "App" and so on
    struct slice owner; // the repository's full name, or the organization's login
    struct slice url;   // config.url, without user, query and fragment, which may contain secrets
    struct slice content_type; // config.content_type: "json" or "form"
};

struct github_event {
    enum github_event_kind kind;
    // the type in the header, also for ignored events; IGNORED for all others
    enum github_event_kind type;
    bool is_malformed;           // ignored, because GitHub sent null instead of the event's subject
    const char *ignored_because; // static text, for GITHUB_EVENT_IGNORED
    struct github_repository repository; // for jobs and runs
    struct slice server;                 // the server of these ids (server.h); empty: github.com
    union {
        struct github_job job;
        struct github_run run;
        struct github_hook hook; // GITHUB_EVENT_PING
    };
};

// "workflow_job" and so on: X-GitHub-Event, the label in /metrics and the name in the API; "other" for
// GITHUB_EVENT_IGNORED.
const char *github_event_name(enum github_event_kind type);
// GITHUB_EVENT_IGNORED for all others.
enum github_event_kind github_event_type_of(struct slice name);
// How the webhook handles an event of a kind.
enum github_event_use {
    GITHUB_EVENT_USE_STORE,  // the engine adds it to the state
    GITHUB_EVENT_USE_ANSWER, // it gets a response, and is noted for the webhook's setup
    GITHUB_EVENT_USE_NONE,
};
enum github_event_use github_event_use_of(enum github_event_kind kind);

// Decodes one payload. `event_type` is the X-GitHub-Event header. Unsupported types and actions become
// GITHUB_EVENT_IGNORED after the body was checked to be JSON; so do those with a null `workflow_job`, `workflow_run`
// or `repository`, and a check run that is delivered as a job: completed, no labels, no steps, no runner, and an
// html_url with "/runs/" but without "/job/" (or "/jobs/").
//
// Ids must be positive integers in the sense of JSON Schema (GitHub's own schemas, @octokit/webhooks-schemas, have
// "integer"): 1.0 and 1e3 are valid, "1" and numbers beyond 64 bits are not.
//
// `arena` holds everything that is not verbatim in `body`, including tokens; `body` must outlive the event.
// ERROR_INVALID: not JSON, or a field of the event's identity is missing or of the wrong type; the message names it
// ("workflow_job.run_id: missing"). ERROR_TOO_LARGE: nested deeper than 64, more than 2,000,000 tokens, or larger
// than GITHUB_EVENT_MEMORY_MAX when decoded. ERROR_MEMORY.
enum error_code github_event_decode(struct slice event_type, struct slice body, struct arena *arena,
                                    struct github_event *event, struct error *error) MUST_CHECK;

#endif
