// ghatrace ids: the IDs that a run's spans have, or will have.
#include <stdio.h>
#include <string.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/run_reference.h"
#include "ghatrace/base/hex.h"
#include "ghatrace/trace/ids.h"

enum { FLAG_JOB_NAME };

static const struct flag flags[] = {
    [FLAG_JOB_NAME] = {"job-name", "NAME", "the job's name: scheme runner makes IDs from it"},
};

static const char *trace_text(struct trace_id id, char text[2 * TRACE_ID_SIZE + 1])
{
    hex_encode(id.bytes, TRACE_ID_SIZE, text);
    return text;
}

static const char *span_text(struct span_id id, char text[2 * SPAN_ID_SIZE + 1])
{
    hex_encode(id.bytes, SPAN_ID_SIZE, text);
    return text;
}

static enum error_code read_number(const char *text, const char *what, int64_t *number,
                                   struct error *error)
{
    long long value;
    if (!slice_parse_int64(slice_from_string(text), &value) || value <= 0)
        return error_set(error, ERROR_USAGE, "ids: \"%.60s\" is no %s", text, what);
    *number = value;
    return ERROR_NONE;
}

static enum error_code read_operands(const struct invocation *invocation, struct job_key *key,
                                     struct error *error)
{
    struct run_reference run;
    if (!run_reference_parse(slice_from_string(invocation->operands[0]), &run))
        return error_set(error, ERROR_USAGE, "ids: \"%.60s\" is no run: write its number",
                         invocation->operands[0]);
    enum error_code code = ERROR_NONE;
    if (invocation->operand_count > 1)
        code = read_number(invocation->operands[1], "attempt", &run.attempt, error);
    if (code == ERROR_NONE && invocation->operand_count > 2)
        code = read_number(invocation->operands[2], "job id", &run.job_id, error);
    *key = (struct job_key){.run_id = run.run_id,
                            .run_attempt = run.attempt == 0 ? 1 : run.attempt,
                            .job_id = run.job_id,
                            .job_name = slice_from_string(invocation->flags[FLAG_JOB_NAME])};
    return code;
}

static void print_job(enum id_scheme scheme, const struct job_key *key)
{
    static const char *const phases[] = {"job.waiting", "runner.queue", "runner.startup",
                                         "runner.execution"};
    char text[2 * SPAN_ID_SIZE + 1];
    printf("%-17s %s\n", "job", span_text(span_id_of_job(scheme, key), text));
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct span_id id = span_id_of_phase(scheme, key, slice_from_string(phases[i]));
        printf("%-17s %s\n", phases[i], span_text(id, text));
    }
}

static void print_ids(enum id_scheme scheme, const struct job_key *key, bool has_job)
{
    struct trace_id trace = trace_id_of_run(scheme, key->run_id, key->run_attempt);
    struct span_id root = span_id_of_run(scheme, key->run_id, key->run_attempt);
    struct span_id parent = has_job ? span_id_of_job(scheme, key) : root;
    char trace_hex[2 * TRACE_ID_SIZE + 1], span_hex[2 * SPAN_ID_SIZE + 1];
    printf("%-17s %s\n", "trace", trace_text(trace, trace_hex));
    printf("%-17s %s\n", "root", span_text(root, span_hex));
    if (has_job)
        print_job(scheme, key);
    // W3C Trace Context: version 00, the sampled flag set, because the spans will be there.
    printf("traceparent: 00-%s-%s-01\n", trace_hex, span_text(parent, span_hex));
}

static int run(struct invocation *invocation)
{
    struct config config;
    struct job_key key;
    struct error error;
    int status = invocation_configure(invocation, &config);
    if (status != EXIT_OK)
        return status;
    if (read_operands(invocation, &key, &error) != ERROR_NONE)
        return command_fail(&error);
    enum id_scheme scheme = (enum id_scheme)config.id_scheme;
    // In scheme runner the name alone identifies a job; elsewhere the number does.
    bool has_job = scheme == ID_SCHEME_RUNNER ? key.job_name.len > 0 : key.job_id != 0;
    if (scheme == ID_SCHEME_RUNNER && key.job_id != 0 && !has_job) {
        error_set(&error, ERROR_USAGE,
                  "ids: scheme runner makes a job's IDs from its name: add --job-name NAME");
        return command_fail(&error);
    }
    print_ids(scheme, &key, has_job);
    return EXIT_OK;
}

const struct command command_ids = {
    .name = "ids",
    .operands = "RUN [ATTEMPT [JOB]]",
    .operands_min = 1,
    .operands_max = 3,
    .summary = "the IDs of a run's spans, and the traceparent to hand to tools",
    .details =
        "RUN is a run's number, RUN/ATTEMPT, or the address of its page; JOB is a job's number.\n"
        "Tools inside a job that are given the traceparent put their spans into its trace.\n",
    .settings = OPTION_BIT(OPTION_ID_ID_SCHEME) | OPTION_BIT(OPTION_ID_CONFIG),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run,
};
