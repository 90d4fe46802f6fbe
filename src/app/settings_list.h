// The only list of settings. A row defines a flag, a variable, a line of the file, the help, a line of `ghatrace
// check`, and the field that receives the value; its default is written here and nowhere else. A new setting needs a
// row here, the field that it names, in struct config or in the options of the part that uses it, and its lines in
// conf/ghatrace.conf and the README, which a test compares with this list.
//
//   SETTING(ID, name, TYPE(field of struct config), default, values, help, further members of struct option)
//
// Included by settings.h, which builds enum option_id from it, and by settings.c, which builds options[]: so there is
// no include guard. The types are those of enum option_type; a field with a different C type does not compile.
// clang-format off

SETTING(LISTEN, "listen", TEXT(listen), "127.0.0.1:8080", "HOST:PORT",
        "address for webhooks; [V6]:PORT works, port 0 takes any free one")
SETTING(WEBHOOK_PATH, "webhook-path", TEXT(ingress.webhook_path), "/webhook", "PATH",
        "path of the webhook's URL")
SETTING(WEBHOOK_SECRET_FILE, "webhook-secret-file", TEXT(webhook_secret_file), NULL, "FILE",
        "webhook secrets, one a line; a signature with any of them is valid; read again on SIGHUP",
        .unpreset = "GITHUB_WEBHOOK_SECRET")
SETTING(INSECURE_NO_SIGNATURE, "insecure-no-signature", SWITCH(ingress.insecure_no_signature),
        "off", "on|off",
        "accept unsigned webhooks from any client: for trying things out")
SETTING(TLS_CERT, "tls-cert", TEXT(ingress.tls.certificate_file), NULL, "FILE",
        "certificate of the webhook listener with its chain, PEM; read again on SIGHUP",
        .unpreset = "plain HTTP")
SETTING(TLS_KEY, "tls-key", TEXT(ingress.tls.key_file), NULL, "FILE",
        "the certificate's private key, PEM, without password; read again on SIGHUP",
        .unpreset = "plain HTTP")
SETTING(TLS_CLIENT_CA, "tls-client-ca", TEXT(ingress.tls.client_ca_file), NULL, "FILE",
        "authorities of client certificates, PEM: webhooks only from clients that have one",
        .unpreset = "no client certificates")
SETTING(ADMIN_LISTEN, "admin-listen", TEXT(admin_listen), "127.0.0.1:8081", "HOST:PORT|off",
        "where the live page, metrics, API and health are served")
SETTING(ADMIN_TOKEN_FILE, "admin-token-file", TEXT(admin_token_file), NULL, "FILE",
        "tokens for these, one a line, as password or bearer token; read again on SIGHUP",
        .unpreset = "none: from localhost only")
SETTING(ADMIN_TLS, "admin-tls", SWITCH(admin_tls), "off", "on|off",
        "serve them by HTTPS, with tls-cert and tls-key")
SETTING(ADMIN_CLIENT_CA, "admin-client-ca", TEXT(admin_client_ca), NULL, "FILE",
        "authorities of client certificates, PEM: by HTTPS, and only for clients that have one",
        .unpreset = "no client certificates")
SETTING(TRACE_URL, "trace-url", TEXT(trace_url), NULL, "URL",
        "where the tracing backend shows a trace, with {trace_id} in it: the live page links to it",
        .unpreset = "no links")
SETTING(METRICS_MAX_SERIES, "metrics-max-series", COUNT(engine.max_series), "1000", "N",
        "sets of labels of jobs, of runs and of steps; beyond it the one unused for longest is added "
        "to \"other\"",
        .least = 1, .most = 5000, .why_most = "/metrics would take hundreds of megabytes")
SETTING(METRICS_LABELS, "metrics-labels", TEXT(metrics_labels),
        "job: pool runner_labels result; run: event default_branch result; step: off", "KIND: LABEL...; ...",
        "labels of the histograms of jobs, runs and steps, of each kind that is named; or off: job and run: repository, "
        "workflow, default_branch, result; job: pool, runner_labels, runner_group; run: event; step: repository, "
        "workflow, step, result")
SETTING(METRICS_BOUNDS, "metrics-bounds", TEXT(metrics_bounds),
        "1s 2s 5s 10s 15s 30s 1m 2m 5m 10m 20m 30m 1h 2h 4h 6h", "TIME...",
        "upper bounds of the buckets of jobs, runs and waits, ascending, at most 20; when they change, these begin anew")
SETTING(METRICS_IDLE, "metrics-idle", DURATION(engine.series.idle), "7d", "TIME",
        "a set of labels that nothing was counted in for longer is dropped; 0: none is",
        .least = 0, .most = NEVER)
SETTING(METRICS_MAX_POOLS, "metrics-max-pools", COUNT(engine.max_pools), "2000", "N",
        "pools of runners; beyond it sets of labels that no rule names and where few jobs started are "
        "one pool, \"(one-off)\"",
        .least = 1, .most = 10000, .why_most = "lists of pools would take seconds")
SETTING(RUNNER_POOL, "runner-pool", LIST(runner_pools), NULL, "NAME: GLOB",
        "names a pool: jobs with a label that a glob matches, in any case; the first such rule "
        "decides; several globs, and repeated for several pools",
        .unpreset = "each set of labels is a pool")
SETTING(RUNNER_LABEL_IGNORE, "runner-label-ignore", LIST(ignored_labels), NULL, "GLOB",
        "labels that make no pool, such as those that hold an id, as globs in any case; may be repeated",
        .unpreset = "none")
SETTING(RUNNER_CEILING, "runner-ceiling", LIST(runner_ceilings), NULL, "NAME: LIMIT: GLOB",
        "a limit of running jobs that pools share, such as that of hosted runners: those with a label that the last matching "
        "glob selects, ! in front excludes; may be repeated",
        .unpreset = "ceilings are inferred")
SETTING(POOL_DEAD_AFTER, "pool-dead-after", DURATION(pools.dead_after), "15m", "TIME",
        "how long jobs wait in a pool where none runs and none starts until it is called dead",
        .least = NS_PER_MINUTE, .most = NS_PER_DAY)
SETTING(DB, "db", TEXT(db), "ghatrace.db", "FOLDER",
        "folder of the local store")
SETTING(OTLP_ENDPOINT, "otlp-endpoint", TEXT(otlp_endpoint), NULL, "URL",
        "base URL of the OTLP collector; v1/traces is added unless it is there, or its path ignored for grpc; empty: no export",
        .unpreset = "OTEL_EXPORTER_OTLP_*, else no export", .may_be_empty = true)
SETTING(OTLP_PROTOCOL, "otlp-protocol", CHOICE(otlp_protocol), "http/protobuf", "http/protobuf|http/json|grpc",
        "protocol and encoding of what is exported")
SETTING(OTLP_HEADER, "otlp-header", LIST(otlp_headers), NULL, "NAME=VALUE",
        "header of each export request, as in OTEL_EXPORTER_OTLP_HEADERS; may be repeated",
        .unpreset = "none")
SETTING(OTLP_HEADER_FILE, "otlp-header-file", TEXT(otlp_header_file), NULL, "FILE",
        "headers of each export request, one `Name: value` a line; read again when it changes, on 401, on SIGHUP",
        .unpreset = "none")
SETTING(OTLP_PROXY, "otlp-proxy", TEXT(otlp_proxy), NULL, "URL|off",
        "proxy to the collector: http, https, socks5 or socks5h; off: none, whatever the variables say",
        .unpreset = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY")
SETTING(OTLP_TIMEOUT, "otlp-timeout", DURATION(otlp_timeout), "10s", "TIME",
        "time for one export request; 0 means no limit",
        .least = 0, .most = NS_PER_HOUR)
SETTING(OTLP_COMPRESSION, "otlp-compression", CHOICE(otlp_compression), "none", "none|gzip",
        "compression of what is exported")
SETTING(OTLP_CERTIFICATE, "otlp-certificate", TEXT(otlp_certificate), NULL, "FILE",
        "authorities to trust for an https collector, PEM",
        .unpreset = "OTEL_EXPORTER_OTLP_CERTIFICATE, else the system's")
SETTING(OTLP_CLIENT_CERTIFICATE, "otlp-client-certificate", TEXT(otlp_client_certificate), NULL, "FILE",
        "certificate to show to an https collector, PEM",
        .unpreset = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, else none")
SETTING(OTLP_CLIENT_KEY, "otlp-client-key", TEXT(otlp_client_key), NULL, "FILE",
        "its private key, PEM, without password",
        .unpreset = "OTEL_EXPORTER_OTLP_CLIENT_KEY, else none")
SETTING(METRICS_EXPORTER, "metrics-exporter", CHOICE(metrics_exporter), "none", "none|otlp",
        "otlp: push metrics to the collector, too, at v1/metrics; instead of OTEL_METRICS_EXPORTER")
SETTING(NOTIFY_URL_FILE, "notify-url-file", TEXT(notify_url_file), NULL, "FILE",
        "receivers of notices about pools in trouble, one `FORM URL [TOKEN]` a line; read again on SIGHUP",
        .unpreset = "none")
SETTING(NOTIFY_QUEUED_AFTER, "notify-queued-after", DURATION(notices.after[NOTICE_QUEUED]), "15m", "TIME",
        "how long the oldest queued job of a pool waits until a notice is sent; 0: none is",
        .least = 0, .most = NEVER)
SETTING(NOTIFY_DEAD_AFTER, "notify-dead-after", DURATION(notices.after[NOTICE_DEAD]), "15m", "TIME",
        "likewise how long a pool is dead (pool-dead-after)",
        .least = 0, .most = NEVER)
SETTING(NOTIFY_CEILING_AFTER, "notify-ceiling-after", DURATION(notices.after[NOTICE_CEILING]), "15m", "TIME",
        "likewise how long a ceiling is reached",
        .least = 0, .most = NEVER)
SETTING(NOTIFY_DELIVERIES_STOPPED_AFTER, "notify-deliveries-stopped-after", DURATION(notices.after[NOTICE_SILENCE]),
        "0", "TIME",
        "likewise how long no event was accepted",
        .least = 0, .most = NEVER)
SETTING(NOTIFY_HOLD, "notify-hold", DURATION(notices.hold), "5m", "TIME",
        "how long a trouble has to be over until the notice of its end is sent",
        .least = 0, .most = NEVER)
SETTING(OTLP_LISTEN, "otlp-listen", TEXT(otlp_listen), "off", "HOST:PORT|off",
        "address for OTLP/HTTP, for what ARC reports and for spans of programs inside jobs")
SETTING(OTLP_TOKEN_FILE, "otlp-token-file", TEXT(otlp_token_file), NULL, "FILE",
        "bearer tokens for it, one a line, as `arc TOKEN` or `job TOKEN`; read again on SIGHUP",
        .unpreset = "none: from localhost only, as arc")
SETTING(OTLP_TLS, "otlp-tls", SWITCH(otlp_tls), "off", "on|off",
        "serve it by HTTPS, with tls-cert and tls-key")
SETTING(OTLP_CLIENT_CA, "otlp-client-ca", TEXT(otlp_client_ca), NULL, "FILE",
        "authorities of client certificates, PEM: by HTTPS, and only for clients that have one",
        .unpreset = "no client certificates")
SETTING(OTLP_OUTBOX_SHARE, "otlp-outbox-share", COUNT(otlp_outbox_share), "20", "PERCENT",
        "how much of outbox-max-size spans of jobs may use; beyond it they are refused",
        .least = 1, .most = 100)
SETTING(SERVICE_NAME, "service-name", TEXT(service_name), NULL, "NAME",
        "service.name of all traces",
        .unpreset = "OTEL_SERVICE_NAME, else the repository")
SETTING(ID_SCHEME, "id-scheme", CHOICE(engine.policy.scheme), "arc", "arc|collector|runner",
        "the scheme of trace and span IDs")
SETTING(RUNNER_SPANS, "runner-spans", SWITCH(engine.policy.runner_spans), "on", "on|off",
        "spans for waiting, queue, start-up and execution; off where the runners send them")
SETTING(RUNNER_SPANS_OFF, "runner-spans-off", LIST(runner_spans_off), NULL, "GLOB",
        "jobs without these spans, as globs on runner labels or group in any case, !GLOB excludes; the "
        "last that matches decides; may be repeated",
        .unpreset = "none")
SETTING(JOB_SPANS_OFF, "job-spans-off", LIST(job_spans_off), NULL, "GLOB",
        "jobs whose span the runner sends, likewise; with id-scheme runner only",
        .unpreset = "none")
SETTING(STEPS, "steps", SWITCH(engine.policy.steps), "on", "on|off",
        "spans for steps")
SETTING(STEPS_OFF, "steps-off", LIST(steps_off), NULL, "GLOB",
        "jobs whose step spans the runner sends, likewise",
        .unpreset = "none")
SETTING(REPOS, "repos", LIST(repos), NULL, "GLOB",
        "repositories to trace, as OWNER/NAME globs (*, ?, [a-z]) in any case, !GLOB excludes; the last "
        "that matches decides; may be repeated",
        .unpreset = "all")
SETTING(INGRESS_THREADS, "ingress-threads", COUNT(ingress.threads), NULL, "N",
        "threads that receive webhooks",
        .least = 1, .most = 256, .unpreset = "one a core, at most 4")
SETTING(ALLOW_FROM, "allow-from", LIST(allow_from), NULL, "NETWORK",
        "networks that webhooks may come from, as 192.0.2.0/24 or 2001:db8::/32; may be repeated",
        .unpreset = "everywhere")
SETTING(TRUSTED_PROXIES, "trusted-proxies", LIST(trusted_proxies), NULL, "NETWORK",
        "networks of proxies whose X-Forwarded-For names the client; may be repeated",
        .unpreset = "none")
SETTING(MAX_CONNECTIONS, "max-connections", COUNT(ingress.max_connections), "4096", "N",
        "webhook connections at a time; beyond it, one that waits for a request is closed",
        .least = 1, .most = 1 << 20)
SETTING(MAX_CONNECTIONS_PER_ADDRESS, "max-connections-per-address",
        COUNT(ingress.max_connections_per_address), "256", "N",
        "of these from one address, or one IPv6 /64, four times that from a /48, but for trusted "
        "proxies; 0 means no limit",
        .least = 0, .most = 1 << 20)
SETTING(MAX_PAYLOAD, "max-payload", SIZE(ingress.max_payload_bytes), "25MiB", "SIZE",
        "largest webhook body; GitHub's own limit is 25 MB",
        .least = 1024, .most = GIB)
SETTING(MAX_PAYLOAD_MEMORY, "max-payload-memory", SIZE(ingress.payload_memory_bytes), "128MiB", "SIZE",
        "memory for bodies above 64 KiB that are being received; beyond it they are answered 503",
        .least = 1024, .most = 64 * GIB)
SETTING(ROOT_GRACE, "root-grace", DURATION(engine.policy.root_grace), "10s", "TIME",
        "how long the span of a finished run waits for jobs still open",
        .least = 0, .most = NEVER)
SETTING(JOB_GRACE, "job-grace", DURATION(engine.policy.job_grace), "10m", "TIME",
        "how long an open job of a finished run is waited for",
        .least = 0, .most = NEVER)
SETTING(JOB_TIMEOUT, "job-timeout", DURATION(engine.policy.job_timeout), "6d", "TIME",
        "how long a job without further events is waited for; one that waits for approval, 35 days",
        .least = NS_PER_MS, .most = NEVER)
SETTING(RUN_IDLE, "run-idle", DURATION(engine.policy.run_idle), "1h", "TIME",
        "when a run that is known only from its jobs counts as over",
        .least = NS_PER_MS, .most = NEVER)
SETTING(LINGER, "linger", DURATION(engine.policy.linger), "3d", "TIME",
        "how long repeated and late deliveries are recognized",
        .least = NS_PER_MS, .most = NEVER)
SETTING(ARC_RUNNERS, "arc-runners", LIST(arc_runners), NULL, "GLOB",
        "jobs whose runner.* spans wait for the times that ARC reports, as globs on runner labels or group in any "
        "case, !GLOB excludes; the last that matches decides; may be repeated",
        .unpreset = "none")
SETTING(ARC_GRACE, "arc-grace", DURATION(engine.policy.arc_grace), "60s", "TIME",
        "how long they wait, from the receipt of the job's end",
        .least = 0, .most = NEVER)
SETTING(HISTORY, "history", DURATION(engine.history), "24h", "TIME",
        "how long finished traces stay in the local store for viewing",
        .least = 0, .most = NEVER)
SETTING(HISTORY_JOBS, "history-jobs", COUNT(engine.history_jobs), "1000000", "N",
        "completed jobs of which it is kept when they waited and ran, for `whatif`: 32 to 50 bytes each; 0: none",
        .least = 0, .most = 100000000)
SETTING(DB_MAX_SIZE, "db-max-size", SIZE(db_max_size), "8GiB", "SIZE",
        "largest size of the local store; what does not fit is answered 503",
        .least = MIB, .most = 16384 * GIB)
SETTING(OUTBOX_MAX_SIZE, "outbox-max-size", SIZE(engine.outbox_max), "4GiB", "SIZE",
        "how much may wait for the collector; beyond it deliveries are answered 503",
        .least = 1024, .most = 16384 * GIB)
SETTING(DEAD_LETTERS_MAX_SIZE, "dead-letters-max-size", SIZE(engine.dead_letters_max), "256MiB", "SIZE",
        "how much of what the collector refused is kept; beyond it the oldest is dropped",
        .least = 1024, .most = 16384 * GIB)
SETTING(DEAD_LETTERS_MAX_AGE, "dead-letters-max-age", DURATION(engine.dead_letters_age_max), "30d", "TIME",
        "how long what the collector refused is kept",
        .least = NS_PER_MS, .most = NEVER)
SETTING(LOG_LEVEL, "log-level", CHOICE(log_level), "info", "debug|info|warn|error",
        "least level that is logged")
SETTING(LOG_FORMAT, "log-format", CHOICE(log_format), "text", "text|json",
        "logfmt or JSON lines, on standard error")
SETTING(CONFIG, "config", TEXT(config), NULL, "FILE",
        "file with settings, one `name = value` a line; --no-config: none",
        .unpreset = "$XDG_CONFIG_HOME/ghatrace/ghatrace.conf, else " SETTINGS_SYSTEM_FILE ", if there",
        .may_be_empty = true)

// clang-format on
