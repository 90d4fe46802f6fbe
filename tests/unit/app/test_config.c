// The values and errors of each type, the defaults, and constraints between settings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "configuring.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/stats/stats.h"
#include "support/policy.h"

static void the_defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    if (configuring_build_all(&c) != ERROR_NONE)
        fail_msg("%s", c.error.message);
    assert_string_equal(c.config.listen, "127.0.0.1:8080");
    assert_string_equal(c.config.ingress.webhook_path, "/webhook");
    assert_null(c.config.webhook_secret_file);
    assert_string_equal(c.config.admin_listen, "127.0.0.1:8081");
    assert_true(config_has_admin(&c.config));
    assert_string_equal(c.config.db, "ghatrace.db");
    assert_int_equal(c.config.engine.policy.scheme, ID_SCHEME_ARC);
    assert_true(c.config.engine.policy.runner_spans);
    assert_true(c.config.engine.policy.steps);
    assert_int_equal(c.config.repos.count, 0);
    assert_in_range(c.config.ingress.threads, 1, 4);
    assert_int_equal(c.config.ingress.max_payload_bytes, 25 * 1024 * 1024);
    assert_int_equal(c.config.db_max_size, (uint64_t)8 << 30);
    assert_int_equal(c.config.engine.history, NS_PER_DAY);
    assert_int_equal(c.config.engine.max_series, STATS_SERIES_MAX_DEFAULT);
    assert_int_equal(c.config.log_level, LOG_INFO);
    assert_int_equal(c.config.log_format, LOG_FORMAT_TEXT);
    assert_false(c.config.exporting.is_on);
    configuring_release(&c);
}

static void the_defaults_of_the_life_cycle_equal_those_of_the_policy(void **state)
{
    (void)state;
    struct configuring c;
    struct trace_policy preset;
    configuring_init(&c);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct trace_policy *policy = &c.config.engine.policy;
    trace_policy_init(&preset);
    assert_int_equal(policy->scheme, preset.scheme);
    assert_int_equal(policy->runner_spans, preset.runner_spans);
    assert_int_equal(policy->steps, preset.steps);
    assert_int_equal(policy->root_grace, preset.root_grace);
    assert_int_equal(policy->job_grace, preset.job_grace);
    assert_int_equal(policy->job_timeout, preset.job_timeout);
    assert_int_equal(policy->approval_timeout, preset.approval_timeout);
    assert_int_equal(policy->run_idle, preset.run_idle);
    assert_int_equal(policy->linger, preset.linger);
    assert_int_equal(policy->arc_grace, preset.arc_grace);
    assert_int_equal(policy->arc_runners.count, 0);
    assert_int_equal(policy->service_name.len, 0);
    configuring_release(&c);
}

static void sizes_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *again;
    } good[] = {
        {"0", 0, "0B"},
        {"100", 100, "100B"},
        {"100B", 100, "100B"},
        {"1KiB", 1024, "1KiB"},
        {"25MiB", 25u << 20, "25MiB"},
        {"25 MiB", 25u << 20, "25MiB"},
        {"1024KiB", 1u << 20, "1MiB"},
        {"8GiB", (uint64_t)8 << 30, "8GiB"},
        {"2048GiB", (uint64_t)2048 << 30, "2048GiB"},
        {"1500B", 1500, "1500B"},
    };
    static const char *const bad[] = {"",
                                      "MiB",
                                      "25MB",
                                      "25M",
                                      "25mib",
                                      "-1B",
                                      "1.5MiB",
                                      "1 2B",
                                      "0x10",
                                      "9223372036854775807KiB",
                                      "99999999999999999999B",
                                      "+1B",
                                      "1MiBx"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes;
        char text[TIMESTAMP_TEXT_SIZE];
        assert_true(size_parse(slice_from_string(good[i].text), &bytes));
        assert_int_equal(bytes, good[i].bytes);
        assert_string_equal(size_format(bytes, text), good[i].again);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;
        if (size_parse(slice_from_string(bad[i]), &bytes))
            fail_msg("\"%s\" was read as %llu bytes", bad[i], (unsigned long long)bytes);
    }
}

static void invalid_values_are_refused_with_the_valid_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *message;
    } cases[] = {
        {"max-payload", "25MB",
         "--max-payload: \"25MB\" is not a size: write a number and B, KiB, MiB or GiB"},
        {"max-payload", "1023", "--max-payload: 1023 is too small: the least is 1KiB"},
        {"max-payload", "2GiB", "--max-payload: 2GiB is too large: the most is 1GiB"},
        {"db-max-size", "5", "--db-max-size: 5 is too small: the least is 1MiB"},
        {"root-grace", "soon",
         "--root-grace: \"soon\" is not a time: write a number and ms, s, m, h or d"},
        {"root-grace", "10",
         "--root-grace: \"10\" is not a time: write a number and ms, s, m, h or d"},
        {"linger", "0", "--linger: 0 is too small: the least is 1ms"},
        {"otlp-timeout", "2h", "--otlp-timeout: 2h is too large: the most is 1h"},
        {"ingress-threads", "0", "--ingress-threads: 0 is too small: the least is 1"},
        {"ingress-threads", "257", "--ingress-threads: 257 is too large: the most is 256"},
        {"ingress-threads", "-1", "--ingress-threads: \"-1\" is not a whole number"},
        {"ingress-threads", "two", "--ingress-threads: \"two\" is not a whole number"},
        {"ingress-threads", "1.5", "--ingress-threads: \"1.5\" is not a whole number"},
        {"steps", "maybe", "--steps: \"maybe\" is neither on nor off"},
        {"id-scheme", "mine", "--id-scheme: \"mine\" is not one of arc|collector|runner"},
        {"otlp-protocol", "http",
         "--otlp-protocol: \"http\" is not one of http/protobuf|http/json|grpc"},
        {"log-level", "", "--log-level: has no value"},
        {"db", "", "--db: has no value"},
        {"repos", "", "--repos: has no value"},
        {"repos", "[af*/x",
         "--repos: \"[af*/x\" has a [ without its ]; a comma or a blank ends a glob"},
        {"repos", "a/*, ![x,y]/z",
         "--repos: \"![x\" has a [ without its ]; a comma or a blank ends a glob"},
        {"repos", "[z-a]/x",
         "--repos: \"[z-a]/x\" has a range that runs backwards; a comma or a blank ends a glob"},
        {"repos", "acme/x\\",
         "--repos: \"acme/x\\\" has a backslash with nothing behind it; a comma or a blank ends a "
         "glob"},
        {"repos", "acme/{x}",
         "--repos: \"acme/{x}\" can match no repository: no name has a '{'; write OWNER/NAME with "
         "*, ? and [a-z], one glob for each"},
        {"repos", "acme/\\*",
         "--repos: \"acme/\\*\" can match no repository: no name has a '*'; write OWNER/NAME with "
         "*, ? and [a-z], one glob for each"},
        {"repos", "!!acme/x",
         "--repos: \"!!acme/x\" can match no repository: no name has a '!'; write OWNER/NAME with "
         "*, ? and [a-z], one glob for each"},
        {"repos", "!", "--repos: \"!\" can match no repository: write OWNER/NAME or OWNER/*"},
        {"repos", "acme", "--repos: \"acme\" can match no repository: write OWNER/NAME or OWNER/*"},
        {"webhook-path", "webhook", "--webhook-path: \"webhook\" does not start with /"},
        {"webhook-path", "/a?b",
         "--webhook-path: \"/a?b\" contains a character that no path may have: "
         "percent-encode it"},
        {"webhook-path", "/a b",
         "--webhook-path: \"/a b\" contains a character that no path may have: "
         "percent-encode it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_flag(&c, cases[i].name, cases[i].value);
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        assert_string_equal(c.error.message, cases[i].message);
        configuring_release(&c);
    }
}

static void a_bad_address_is_named_with_its_setting(void **state)
{
    (void)state;
    static const char *const names[] = {"listen", "admin-listen"};
    for (size_t i = 0; i < 2; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_flag(&c, names[i], "127.0.0.1:99999");
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        assert_non_null(strstr(c.error.message, names[i]));
        assert_non_null(strstr(c.error.message, "127.0.0.1:99999"));
        configuring_release(&c);
    }
}

static void switches_accept_several_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool value;
    } cases[] = {{"on", true},   {"ON", true},     {"true", true}, {"yes", true}, {"1", true},
                 {"off", false}, {"False", false}, {"no", false},  {"0", false},  {" off ", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_flag(&c, "steps", cases[i].text);
        assert_int_equal(configuring_build_all(&c), ERROR_NONE);
        assert_int_equal(c.config.engine.policy.steps, cases[i].value);
        configuring_release(&c);
    }
}

static void repos_are_split_at_commas_and_blanks(void **state)
{
    (void)state;
    static const char *const wanted[] = {"a/*", "!a/b", "c/d", "*", "[!af]*/x-[0-9]", "A_b/.C"};
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "repos", " a/*, !a/b,,");
    configuring_flag(&c, "repos", "c/d\t*");
    configuring_flag(&c, "repos", "[!af]*/x-[0-9],A_b/.C");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_int_equal(c.config.repos.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(slice_equals(c.config.repos.items[i], slice_from_string(wanted[i])));
    configuring_release(&c);
}

static void runners_are_split_and_checked(void **state)
{
    static const struct {
        const char *value, *message;
    } bad[] = {
        {"arc-*, [x",
         "--runner-spans-off: \"[x\" has a [ without its ]; a comma or a blank ends a glob"},
        {"!arc-gpu",
         "--runner-spans-off: selects no runner: write a glob without ! first, * for all"},
        {" , ", "--runner-spans-off: selects no runner: write a glob without ! first, * for all"},
    };
    struct configuring c;
    (void)state;
    configuring_init(&c);
    configuring_flag(&c, "runner-spans-off", "arc-*, !arc-gpu");
    configuring_flag(&c, "runner-spans-off", "GitHub?Actions");
    configuring_flag(&c, "job-spans-off", "linux");
    configuring_flag(&c, "steps-off", "x64 *");
    configuring_flag(&c, "id-scheme", "runner");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct trace_policy *policy = &c.config.engine.policy;
    assert_int_equal(policy->runner_spans_off.count, 3);
    assert_true(slice_equals(policy->runner_spans_off.items[1], SLICE("!arc-gpu")));
    assert_int_equal(policy->job_spans_off.count, 1);
    assert_int_equal(policy->steps_off.count, 2);
    configuring_release(&c);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        configuring_init(&c);
        configuring_flag(&c, "runner-spans-off", bad[i].value);
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        assert_string_equal(c.error.message, bad[i].message);
        configuring_release(&c);
    }
}

// With other schemes the phases would have no parent.
static void jobs_are_left_to_their_runners_with_the_scheme_runner_only(void **state)
{
    struct configuring c;
    (void)state;
    configuring_init(&c);
    configuring_flag(&c, "job-spans-off", "linux");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_int_equal(c.config.engine.policy.job_spans_off.count, 0);
    bool is_warned = false;
    for (size_t i = 0; i < c.config.warnings.count; i++)
        is_warned |= strstr(c.config.warnings.items[i], "job-spans-off is not used") != NULL;
    assert_true(is_warned);
    configuring_release(&c);
}

static void runners_are_selected_by_globs(void **state)
{
    (void)state;
    static const struct slice labels[] = {{"self-hosted", 11}, {"ARC-linux", 9}};
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "arc-runners", "arc-*, !arc-gpu");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct runner_globs *globs = &c.config.engine.policy.arc_runners;
    assert_int_equal(globs->count, 2);
    assert_true(runner_globs_select(globs, labels, 2, SLICE("Default")));
    assert_true(runner_globs_select(globs, labels, 1, SLICE("arc-pool")));
    assert_false(runner_globs_select(globs, labels, 1, SLICE("Default")));
    assert_false(runner_globs_select(globs, labels, 2, SLICE("arc-gpu")));
    configuring_release(&c);
    configuring_init(&c);
    configuring_flag(&c, "arc-runners", "!arc-gpu");
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    configuring_release(&c);
}

static enum error_code build_receiver(struct configuring *c, const char *listen, const char *name,
                                      const char *value)
{
    configuring_init(c);
    configuring_flag(c, "otlp-listen", listen);
    if (name != NULL)
        configuring_flag(c, name, value);
    return configuring_build_all(c);
}

static void beyond_loopback_spans_are_received_only_with_access_control(void **state)
{
    static const char *const open[] = {":4318", "0.0.0.0:4318", "[::]:4318", "192.0.2.1:4318"};
    struct configuring c;

    (void)state;
    assert_int_equal(build_receiver(&c, "off", NULL, NULL), ERROR_NONE);
    assert_false(c.config.engine.has_receiver);
    configuring_release(&c);
    assert_int_equal(build_receiver(&c, "[::1]:4318", NULL, NULL), ERROR_NONE);
    assert_true(c.config.engine.has_receiver);
    configuring_release(&c);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_int_equal(build_receiver(&c, open[i], NULL, NULL), ERROR_USAGE);
        assert_non_null(strstr(c.error.message, "--otlp-listen: "));
        configuring_release(&c);
        assert_int_equal(build_receiver(&c, open[i], "otlp-token-file", "tokens"), ERROR_NONE);
        configuring_release(&c);
    }
    // A certificate of clients needs one of the server.
    assert_int_equal(build_receiver(&c, ":4318", "otlp-client-ca", "ca.pem"), ERROR_USAGE);
    configuring_release(&c);
    assert_int_equal(build_receiver(&c, "localhost", NULL, NULL), ERROR_USAGE);
    configuring_release(&c);
}

static void spans_of_jobs_have_a_share_of_the_outbox(void **state)
{
    struct configuring c;

    (void)state;
    assert_int_equal(build_receiver(&c, "127.0.0.1:0", "outbox-max-size", "1000MiB"), ERROR_NONE);
    assert_int_equal(c.config.engine.forwarded_max, 200ULL << 20);
    configuring_release(&c);
    assert_int_equal(build_receiver(&c, "127.0.0.1:0", "otlp-outbox-share", "100"), ERROR_NONE);
    assert_true(c.config.engine.forwarded_max <= c.config.engine.outbox_max);
    configuring_release(&c);
    assert_int_equal(build_receiver(&c, "127.0.0.1:0", "otlp-outbox-share", "0"), ERROR_USAGE);
    configuring_release(&c);
    assert_int_equal(build_receiver(&c, "127.0.0.1:0", "otlp-outbox-share", "101"), ERROR_USAGE);
    configuring_release(&c);
}

static void pools_are_named_by_rules(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_file(&c, "runner-pool = gpu: arc-gpu-*, a100\n"
                                          "runner-pool = big :*-xl; windows: win*;\n"
                                          "runner-label-ignore = run-* id-*\n"
                                          "runner-label-ignore = tmp-*\n"),
                     ERROR_NONE);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct pool_rules *rules = &c.config.engine.pool_rules;
    assert_int_equal(rules->count, 3);
    assert_true(slice_equals(rules->rules[0].name, SLICE("gpu")));
    assert_int_equal(rules->rules[0].glob_count, 2);
    assert_true(slice_equals(rules->rules[0].globs[1], SLICE("a100")));
    assert_true(slice_equals(rules->rules[1].name, SLICE("big")));
    assert_true(slice_equals(rules->rules[2].globs[0], SLICE("win*")));
    assert_int_equal(rules->ignored_count, 3);
    assert_true(slice_equals(rules->ignored[2], SLICE("tmp-*")));
    assert_int_equal(c.config.engine.max_pools, STATS_POOLS_MAX_DEFAULT);
    configuring_release(&c);
}

// Refused, and the message has `part`.
static void assert_refused(const char *name, const char *value, const char *part)
{
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, name, value);
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, part));
    configuring_release(&c);
}

static void wrong_rules_for_pools_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"runner-pool", "gpu"},         {"runner-pool", "gpu:"},
        {"runner-pool", ": a"},         {"runner-pool", "a b: c"},
        {"runner-pool", "a,b: c"},      {"runner-pool", "(one-off): c"},
        {"runner-pool", "gpu: !a"},     {"runner-pool", "gpu: [a"},
        {"runner-pool", "gpu: a; big"}, {"runner-label-ignore", "!a"},
        {"runner-label-ignore", "["},
    };
    struct configuring c;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i][0], bad[i][1], bad[i][0]);
    configuring_init(&c);
    configuring_flag(&c, "runner-pool", "a: b; c: d; e: f");
    configuring_flag(&c, "metrics-max-pools", "2");
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, "metrics-max-pools"));
    configuring_release(&c);
}

static void ceilings_are_read_from_rules(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_file(&c, "runner-ceiling = hosted : 60: ubuntu-*, mac* !own\n"
                                          "runner-ceiling = mac:5:macos-*; big: 1000000 : *-xl;\n"
                                          "pool-dead-after = 20m\njob-grace = 3m\n"),
                     ERROR_NONE);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct ceiling_rules *ceilings = &c.config.pools.ceilings;
    assert_int_equal(ceilings->count, 3);
    assert_true(slice_equals(ceilings->rules[0].name, SLICE("hosted")));
    assert_int_equal(ceilings->rules[0].limit, 60);
    assert_int_equal(ceilings->rules[0].globs.count, 3);
    assert_true(slice_equals(ceilings->rules[0].globs.items[2], SLICE("!own")));
    assert_int_equal(ceilings->rules[1].limit, 5);
    assert_int_equal(ceilings->rules[2].limit, 1000000);
    assert_int_equal(c.config.pools.dead_after, 20 * NS_PER_MINUTE);
    assert_int_equal(c.config.pools.job_grace, 3 * NS_PER_MINUTE);
    configuring_release(&c);
}

// More than there may be.
#define MANY_CEILINGS                                                                              \
    "a:1:b;b:1:b;c:1:b;d:1:b;e:1:b;f:1:b;g:1:b;h:1:b;i:1:b;j:1:b;k:1:b;l:1:b;m:1:b;n:1:b;o:1:b;"   \
    "p:1:b;q:1:b"

static void wrong_ceilings_are_refused(void **state)
{
    static const char *const bad[] = {
        "hosted",     "hosted: 60", "hosted: 60:", "hosted: ubuntu-*", ": 60: a",
        "a b: 60: c", "a: 0: c",    "a: -1: c",    "a: 1000001: c",    "a: 60 61: c",
        "a: x: c",    "a: 6: !c",   "a: 6: [c",    "a: 6: b; A:7:c",   "(a): 6: c",
        "a: 6: b; c", MANY_CEILINGS};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused("runner-ceiling", bad[i], "runner-ceiling");
}

#define HAS(label) SERIES_HAS(SERIES_##label)

static void labels_of_metrics_are_read_kind_by_kind(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct series_options *series = &c.config.engine.series;
    assert_int_equal(series->labels[SERIES_JOB], HAS(POOL) | HAS(RUNNER_LABELS) | HAS(RESULT));
    assert_int_equal(series->labels[SERIES_RUN], HAS(EVENT) | HAS(DEFAULT_BRANCH) | HAS(RESULT));
    assert_int_equal(series->labels[SERIES_STEP], SERIES_LABELS_OFF);
    configuring_release(&c);
    configuring_init(&c);
    configuring_flag(&c, "metrics-labels", " step : step, result;; job:repository ");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_int_equal(series->labels[SERIES_JOB], HAS(REPOSITORY));
    assert_int_equal(series->labels[SERIES_STEP], HAS(STEP_NAME) | HAS(RESULT));
    assert_int_equal(series->labels[SERIES_RUN], HAS(EVENT) | HAS(DEFAULT_BRANCH) | HAS(RESULT));
    configuring_release(&c);
}

static void bounds_of_metrics_are_times_in_ascending_order(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    const struct series_bounds *bounds = &c.config.engine.series.bounds;
    assert_memory_equal(bounds, &series_bounds_before, sizeof *bounds);
    configuring_release(&c);
    configuring_init(&c);
    configuring_flag(&c, "metrics-bounds", "1ms,15 2m,  35d");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_int_equal(bounds->count, 4);
    assert_int_equal(bounds->at[0], NS_PER_MS);
    assert_int_equal(bounds->at[1], 15 * NS_PER_SECOND);
    assert_int_equal(bounds->at[3], 35 * NS_PER_DAY);
    configuring_release(&c);
}

static void wrong_labels_and_bounds_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"metrics-labels", "pool"},
        {"metrics-labels", "pools: pool"},
        {"metrics-labels", "job:"},
        {"metrics-labels", "job: pool off"},
        {"metrics-labels", "job: event"},
        {"metrics-labels", "run: pool"},
        {"metrics-labels", "step: branch"},
        {"metrics-bounds", ","},
        {"metrics-bounds", "1 2 2"},
        {"metrics-bounds", "0 1"},
        {"metrics-bounds", "-1"},
        {"metrics-bounds", "1us"},
        {"metrics-bounds", "36d"},
        {"metrics-bounds", "99999999999999"},
        {"metrics-bounds", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i][0], bad[i][1], bad[i][0]);
}

static void networks_are_split_and_checked(void **state)
{
    static const char *const bad[] = {"10.0.0.1/8", "example.org", "10.0.0.0/8;::1", ",", " , "};

    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_file(&c, "trusted-proxies = 10.0.0.0/8\n"), ERROR_NONE);
    configuring_flag(&c, "allow-from", "192.0.2.0/24, 2001:db8::/32,203.0.113.9");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_int_equal(c.config.ingress.allow_from.count, 3);
    assert_int_equal(c.config.ingress.allow_from.items[2].bits, 128);
    assert_int_equal(c.config.ingress.trusted_proxies.count, 1);
    assert_int_equal(c.config.ingress.max_connections, 4096);
    configuring_release(&c);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused("allow-from", bad[i], "--allow-from");
}

static void the_limit_of_memory_must_hold_the_largest_body(void **state)
{
    struct configuring c;
    (void)state;
    configuring_init(&c);
    configuring_flag(&c, "insecure-no-signature", "on");
    configuring_flag(&c, "max-payload-memory", "25MiB");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    configuring_release(&c);
    configuring_init(&c);
    configuring_flag(&c, "insecure-no-signature", "on");
    configuring_flag(&c, "max-payload-memory", "24MiB");
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, "--max-payload-memory: less than max-payload"));
    configuring_release(&c);
}

// Added to a current time, the longest duration does not overflow.
static void the_longest_duration_does_not_overflow_times(void **state)
{
    static const char *const names[] = {"root-grace", "job-grace", "job-timeout", "run-idle",
                                        "linger",     "arc-grace", "history"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_flag(&c, names[i], "36501d");
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        configuring_release(&c);
        configuring_init(&c);
        configuring_flag(&c, names[i], "36500d");
        configuring_flag(&c, "insecure-no-signature", "on");
        assert_int_equal(configuring_build_all(&c), ERROR_NONE);
        configuring_release(&c);
    }
    assert_true(36500 * NS_PER_DAY < INT64_MAX - INT64_C(4000000000) * NS_PER_SECOND);
}

static void a_start_without_a_secret_is_refused(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_build(&c, &options_all), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, "no webhook secret"));
    assert_non_null(strstr(c.error.message, "GITHUB_WEBHOOK_SECRET"));
    assert_non_null(strstr(c.error.message, "webhook-secret-file"));
    assert_non_null(strstr(c.error.message, "insecure-no-signature"));
    configuring_release(&c);
}

static void a_secret_in_the_environment_is_enough_unless_it_is_empty(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, "GITHUB_WEBHOOK_SECRET=It's a Secret to Everybody");
    assert_int_equal(configuring_build(&c, &options_all), ERROR_NONE);
    assert_string_equal(c.config.github_webhook_secret, "It's a Secret to Everybody");
    assert_int_equal(c.config.warnings.count, 0);
    configuring_release(&c);

    configuring_init(&c);
    configuring_variable(&c, "GITHUB_WEBHOOK_SECRET=");
    assert_int_equal(configuring_build(&c, &options_all), ERROR_USAGE);
    configuring_release(&c);
}

static void unused_and_unsafe_settings_cause_warnings(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_true(configuring_warns(&c, "unsigned webhooks are accepted from any client"));
    configuring_release(&c);

    configuring_init(&c);
    configuring_variable(&c, "GITHUB_WEBHOOK_SECRET=x");
    configuring_flag(&c, "webhook-secret-file", "/some/file");
    assert_int_equal(configuring_build(&c, &options_all), ERROR_NONE);
    assert_true(configuring_warns(&c, "GITHUB_WEBHOOK_SECRET is not used"));
    configuring_release(&c);
}

static void a_command_does_not_fail_for_settings_that_it_does_not_use(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, "GHATRACE_MAX_PAYLOAD=nonsense");
    configuring_variable(&c, "OTEL_EXPORTER_OTLP_ENDPOINT=nonsense");
    configuring_variable(&c, "GHATRACE_DB=here");
    assert_int_equal(configuring_build(&c, OPTION_SET([OPTION_ID_DB] = true)), ERROR_NONE);
    assert_string_equal(c.config.db, "here");
    configuring_release(&c);
}

static void the_admin_listener_can_be_off(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "admin-listen", "Off");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_false(config_has_admin(&c.config));
    configuring_release(&c);
}

static enum error_code build_with_everything(struct configuring *c)
{
    enum error_code code;
    configuring_init(c);
    configuring_variable(c, "GHATRACE_REPOS=a/b,c/*");
    configuring_variable(c, "GITHUB_WEBHOOK_SECRET=x");
    configuring_variable(c, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318");
    configuring_variable(c, "OTEL_EXPORTER_OTLP_HEADERS=a=b,c=d");
    configuring_variable(c, "OTEL_RESOURCE_ATTRIBUTES=service.name=x,e=f");
    code = configuring_file(c, "db = here\notlp-header = x=y\n");
    return code == ERROR_NONE ? configuring_build(c, &options_all) : code;
}

static void every_refused_allocation_is_reported(void **state)
{
    (void)state;
    struct configuring c;
    memory_fail_after(-1);
    assert_int_equal(build_with_everything(&c), ERROR_NONE);
    configuring_release(&c);
    long count = memory_count_allocations();
    assert_true(count > 0);
    for (long i = 0; i < count; i++) {
        memory_fail_after(i);
        enum error_code code = build_with_everything(&c);
        // A warning may be lost, as documented; everything else must be reported.
        if (code != ERROR_MEMORY && code != ERROR_NONE)
            fail_msg("allocation %ld: %s", i, c.error.message);
        if (code == ERROR_NONE)
            assert_string_equal(c.config.db, "here");
        configuring_release(&c);
    }
    memory_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_table),
        cmocka_unit_test(the_defaults_of_the_life_cycle_equal_those_of_the_policy),
        cmocka_unit_test(sizes_are_read_and_written),
        cmocka_unit_test(invalid_values_are_refused_with_the_valid_ones),
        cmocka_unit_test(a_bad_address_is_named_with_its_setting),
        cmocka_unit_test(switches_accept_several_words),
        cmocka_unit_test(repos_are_split_at_commas_and_blanks),
        cmocka_unit_test(runners_are_split_and_checked),
        cmocka_unit_test(jobs_are_left_to_their_runners_with_the_scheme_runner_only),
        cmocka_unit_test(runners_are_selected_by_globs),
        cmocka_unit_test(beyond_loopback_spans_are_received_only_with_access_control),
        cmocka_unit_test(spans_of_jobs_have_a_share_of_the_outbox),
        cmocka_unit_test(pools_are_named_by_rules),
        cmocka_unit_test(wrong_rules_for_pools_are_refused),
        cmocka_unit_test(ceilings_are_read_from_rules),
        cmocka_unit_test(wrong_ceilings_are_refused),
        cmocka_unit_test(labels_of_metrics_are_read_kind_by_kind),
        cmocka_unit_test(bounds_of_metrics_are_times_in_ascending_order),
        cmocka_unit_test(wrong_labels_and_bounds_are_refused),
        cmocka_unit_test(networks_are_split_and_checked),
        cmocka_unit_test(the_limit_of_memory_must_hold_the_largest_body),
        cmocka_unit_test(the_longest_duration_does_not_overflow_times),
        cmocka_unit_test(a_start_without_a_secret_is_refused),
        cmocka_unit_test(a_secret_in_the_environment_is_enough_unless_it_is_empty),
        cmocka_unit_test(unused_and_unsafe_settings_cause_warnings),
        cmocka_unit_test(a_command_does_not_fail_for_settings_that_it_does_not_use),
        cmocka_unit_test(the_admin_listener_can_be_off),
        cmocka_unit_test(every_refused_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
