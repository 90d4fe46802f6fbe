# ghatrace: `make demo` shows it, `make test` proves it, `make check` is what a change must pass.

# --- what to build with -------------------------------------------------------------------------
# VARIANT: release | strict (the same, warnings are errors) | dev | asan | tsan | fuzz (clang only) | flow (for
# scripts/flow) | coverage (for scripts/coverage).   CC: gcc or clang.
VARIANT ?= dev
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
VERSION := 0.1.0

# -Wswitch-enum: a switch over an enum names all its values, so that a new kind, phase or outcome does not compile
# before each of these places says what it does with it.
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum
CPPFLAGS += -Iinclude -D_GNU_SOURCE -DGHATRACE_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_strict  := $(CFLAGS_release) -Werror
CFLAGS_dev     := -Og -g -Werror
CFLAGS_asan    := -O1 -g -Werror -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -g -Werror -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -Werror -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_coverage := -O0 --coverage -fprofile-update=atomic
LDFLAGS_coverage := --coverage
CFLAGS_flow    := -O0 -g -finstrument-functions -fno-pie
LDFLAGS_flow   := -no-pie
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_strict  := $(LDFLAGS_release)
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread
LDFLAGS_fuzz    := -fsanitize=address,undefined
ALL_CFLAGS  := -std=c11 $(WARNINGS) $(CFLAGS_$(VARIANT)) $(CFLAGS) -pthread
ALL_LDFLAGS := $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -pthread

# Debian 12's mbedTLS has no pkg-config file, so the libraries are named here.
LIBS := -lcurl -levent_core -levent_pthreads -lmbedtls -lmbedx509 -lmbedcrypto -llmdb -linih -lutf8proc -lz -lm

# --- the rooms, from the ground up: a room may use those before it in this list ------------------
ROOMS := base json net http client github trace otlp store stats engine webhook receiver export view notify admin term app

BUILD   := build/$(VARIANT)-$(notdir $(CC))
OBJECTS  = $(patsubst src/%.c,$(BUILD)/src/%.o,$(filter-out src/app/main.c,$(wildcard src/$(1)/*.c)))
ARCHIVE  = $(BUILD)/lib/$(1).a
# the archives of a room and of all rooms before it, topmost first, as the linker wants them
upto     = $(if $(1),$(call upto_,$(1),$(ROOMS)))
upto_    = $(if $(filter $(1),$(firstword $(2))),$(firstword $(2)),$(call upto_,$(1),$(wordlist 2,99,$(2))) $(firstword $(2)))

BINARY := $(BUILD)/ghatrace
TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*/test_*.c)) \
          $(patsubst %,$(BUILD)/tests/fuzz/seeds_%,$(TARGETS))

.PHONY: all demo test unit-test blackbox check format format-check imports-check kinds-check bootstrap clean install
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BINARY)

# --- building -------------------------------------------------------------------------------------
# One line for each file; the whole commands with `make V=1`, nothing with `make -s`.
SAY = @$(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),:,echo "  $(1)  $@")
Q   = $(if $(V),,@)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call SAY,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define archive_rule
$(call ARCHIVE,$(1)): $(call OBJECTS,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call archive_rule,$(room))))

# The live page is part of the program.
PAGE := $(wildcard src/admin/page/*)
$(call ARCHIVE,admin): $(BUILD)/src/admin/page_files.o
$(BUILD)/src/admin/page_files.c: scripts/embed $(PAGE)
	@mkdir -p $(@D)
	$(Q)scripts/embed $(PAGE) >$@
$(BUILD)/src/admin/page_files.o: CPPFLAGS += -Isrc/admin
$(BUILD)/src/admin/page_files.o: $(BUILD)/src/admin/page_files.c
	$(call SAY,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BINARY): $(BUILD)/src/app/main.o $(if $(filter flow,$(VARIANT)),$(BUILD)/tests/support/flow.o) $(foreach room,$(call upto,app),$(call ARCHIVE,$(room)))
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# A unit test sees its room and those before it, and nothing else: the linker checks the layering.
# A test that needs more names it in a line `/* wrap: symbol symbol */` (linker --wrap, for faults).
define test_rule
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $(BUILD)/tests/support.a $(foreach room,$(call upto,$(1)),$(call ARCHIVE,$(room)))
	$$(call SAY,LD)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $$$$(sed -n 's|^/\* wrap: \(.*\) \*/$$$$|\1|p' tests/unit/$(1)/$$*.c | tr ' ' '\n' | sed 's/^/-Wl,--wrap=/') \
	  -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach room,$(ROOMS),$(eval $(call test_rule,$(room))))

# A fuzz target sees all rooms. Its seeds are an ordinary test; libFuzzer drives it in `make fuzz`.
SEEDS_OF   = $(if $(filter github_job github_run,$(1)),tests/fixtures/github,tests/fuzz/seeds/$(1))
ALL_ROOMS := $(foreach room,$(call upto,app),$(call ARCHIVE,$(room)))

$(BUILD)/tests/fuzz/seeds_%.o: tests/fuzz/seeds.c
	@mkdir -p $(@D)
	$(call SAY,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DSEEDS='"$(call SEEDS_OF,$*)"' -MMD -MP -c -o $@ $<

$(BUILD)/tests/fuzz/seeds_%: $(BUILD)/tests/fuzz/seeds_%.o $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/support.a $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/fuzz/make_seeds: $(BUILD)/tests/fuzz/make_seeds.o $(BUILD)/tests/support.a $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(BUILD)/tests/support.a: $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/support/flow.c,$(wildcard tests/support/*.c)))
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/%.o: CPPFLAGS += -Itests

-include $(shell find build -path build/platforms -prune -o -name '*.d' -print 2>/dev/null)

# --- testing --------------------------------------------------------------------------------------
# As many jobs as cores, unless the make above already hands out jobs.
JOBS     = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE  = +@$(MAKE) --no-print-directory $(JOBS)
BLACKBOX := $(wildcard tests/blackbox/run.py)

# The programs of the unit tests, and the one that the black-box tests drive: built, not run.
.PHONY: programs
programs: $(BINARY) $(TESTS) crash-tools

test: bootstrap
	$(SUBMAKE) programs
	@scripts/run-tests $(if $(BLACKBOX),--blackbox $(BINARY)) $(TESTS)
	$(SUBMAKE) test-simulate

# The compiler sees more when it optimizes. A user's build, with a newer compiler perhaps, only warns.
.PHONY: release-check
release-check:
	$(SUBMAKE) all VARIANT=strict CC=gcc
	$(SUBMAKE) all VARIANT=strict CC=clang

# All of them, or with T=name those whose program's name contains it: `make unit-test T=codec`.
T ?=
CHOSEN_TESTS = $(strip $(foreach test,$(TESTS),$(if $(T),$(if $(findstring $(T),$(notdir $(test))),$(test)),$(test))))
unit-test: bootstrap
	$(if $(CHOSEN_TESTS),,$(error no unit test program has "$(T)" in its name: see tests/unit))
	$(SUBMAKE) $(CHOSEN_TESTS)
	@scripts/run-tests $(CHOSEN_TESTS)

blackbox: bootstrap
	$(SUBMAKE) $(BINARY) crash-tools
	@scripts/run-tests --blackbox $(BINARY)

# Both compilers, and what the sanitizers see: out of bounds, undefined, leaked, raced for.
check: bootstrap format-check imports-check kinds-check release-check
	$(SUBMAKE) unit-test VARIANT=dev  CC=gcc
	$(SUBMAKE) unit-test VARIANT=dev  CC=clang
	$(SUBMAKE) unit-test VARIANT=asan CC=gcc
	$(SUBMAKE) unit-test VARIANT=asan CC=clang
	$(SUBMAKE) unit-test VARIANT=tsan CC=clang
	$(if $(BLACKBOX),$(SUBMAKE) blackbox VARIANT=asan CC=clang)
	$(if $(BLACKBOX),$(SUBMAKE) blackbox VARIANT=tsan CC=clang)
	$(SUBMAKE) test-simulate VARIANT=asan CC=clang

# The live page in a real browser; and pictures of it, to be looked at, in build/screenshots: some minutes; PICTURES chooses
# days and views. An incident to be found by somebody who does not know it: `make incident INCIDENT=flood MINUTES=20`.
.PHONY: test-browser screenshots incident
test-browser:
	@scripts/bootstrap --all
	$(SUBMAKE) $(BINARY) $(BUILD)/tests/siege/fill_store
	@GHATRACE=$(BINARY) tests/browser/browse.py $(BROWSE)

screenshots:
	@scripts/bootstrap --all
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/browser/screenshots.py build/screenshots $(PICTURES)

# Each view by the rules of axe-core, which npm fetches: some minutes, by hand; AXE chooses views.
.PHONY: axe
axe:
	@scripts/bootstrap --all
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/browser/axe.py $(AXE)

incident:
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/browser/incidents.py --incident $(INCIDENT) $(if $(MINUTES),--minutes $(MINUTES))

# Octokit's example payloads, and payloads made from its schemas, which npm fetches: some minutes, by hand.
.PHONY: octokit
octokit:
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/octokit/octokit.py $(OCTOKIT)

# The dashboards against the types that Grafana publishes, which npm fetches; by hand.
.PHONY: grafana-types
grafana-types:
	@tests/interop/grafana_types.py

# The real Collector, its githubreceiver, Jaeger, nginx and tinyproxy. They are built by Go once (some minutes), and kept
# in build/interop; INTEROP chooses among the tests. Says what is missing, and fails then.
.PHONY: interop
interop:
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/interop/interop.py $(INTEROP)

# Hostile company of every kind, on loopback, against the release binary: some ten minutes, by hand.
.PHONY: siege
siege:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace
	@tests/siege/siege.py $(SIEGE)

# What otlp-listen costs: 10,000 spans a second beside 1,000 deliveries a second, and those alone; some six minutes.
.PHONY: receive-load
receive-load:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace
	@tests/siege/receive_load.py $(MODES)

# Incidents of an organization with known pools, by a clock that runs 60 times faster (Debian's faketime): what the daemon
# says at each minute against the truth. Four minutes; SCENE chooses among the scenes.
.PHONY: scene
scene:
	$(SUBMAKE) $(BINARY)
	@GHATRACE=$(BINARY) tests/scene/scene.py $(SCENE)

# The daemon under a virtual clock and virtual sockets (tests/simulate/machine.py): what is preloaded into it. Never linked
# into the program; optimized in each variant, as it is called all the time.
VIRTUAL  := $(BUILD)/tests/simulate/virtual.so
SIMULATE_CFLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -Werror -O2 -g -fPIC -shared -pthread -ftls-model=initial-exec
$(VIRTUAL): $(wildcard tests/simulate/virtual/*.[ch])
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(SIMULATE_CFLAGS) -o $@ $(filter %.c,$^) -lmbedtls -lmbedx509 -lmbedcrypto

.PHONY: test-simulate
test-simulate:
	$(SUBMAKE) $(BINARY) $(VIRTUAL)
	@GHATRACE=$(BINARY) python3 -B -m unittest discover -s tests/simulate -t tests/simulate

# DAYS simulated days from SEED on, with an organization's deliveries and faults (tests/simulate/simulate.py); RESUME=FILE goes on
# where it stopped, MINUTES limits a piece, WORLD=N lives one again and shrinks what is found. simulate-planted: planted bugs are
# noticed, and after how many days.
.PHONY: simulate simulate-planted
simulate: bootstrap
	$(SUBMAKE) $(BINARY) $(VIRTUAL)
	@GHATRACE=$(BINARY) tests/simulate/simulate.py $(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) \
	$(if $(RESUME),--resume $(RESUME)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WORLD),--world $(WORLD) --shrink)

simulate-planted: bootstrap
	@tests/simulate/planted.py $(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) $(PLANTED)

# The admin side with a million open jobs.
.PHONY: scale
scale:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace build/release-gcc/tests/siege/fill_store
	@tests/siege/scale.py

# 3,000 repositories, 40 workflows, 30 pools: a simulated month, then every figure against the simulation's own count; some
# four minutes. MONTH="invented=50000": numbers of tests/siege/month.c.
.PHONY: month
month:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace build/release-gcc/tests/siege/month
	@tests/siege/month.py $(MONTH)

# Restarts under load, with a store of 4 GiB and a dead collector, then behind proxies: some fifteen minutes.
.PHONY: restarts
restarts:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace build/release-gcc/tests/siege/fill_store
	@tests/siege/restarts.py $(SCENES)

# Everything at once, against the binary with the address sanitizer: 20 minutes, or SOAK_SECONDS.
.PHONY: soak
soak:
	$(SUBMAKE) VARIANT=asan CC=clang build/asan-clang/ghatrace
	@tests/siege/soak.py

# A collector that comes and goes over HTTP, HTTPS and gRPC, for OUTAGES_SECONDS (3600): nothing missing, nothing grows.
.PHONY: outages
outages:
	$(SUBMAKE) VARIANT=release build/release-gcc/ghatrace
	@tests/siege/outages.py

# What a delivery costs on disk while it is remembered; NOTES="300000 100 3": deliveries, a second, jobs of a run.
.PHONY: note-cost
note-cost:
	$(SUBMAKE) VARIANT=release build/release-gcc/tests/siege/note_cost
	@folder=$$(mktemp -d) && build/release-gcc/tests/siege/note_cost $$folder/db $(NOTES); rm -rf $$folder

$(BUILD)/tests/siege/fill_store $(BUILD)/tests/siege/note_cost $(BUILD)/tests/siege/month: %: %.o $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# --- every crash ---
# What a power cut may leave at each moment of a real run, each state opened and checked; some minutes. CRASH="seed=7
# states=400": numbers of tests/crash/explore.c. And whether it finds the faults of tests/crash/planted.
CRASH_PLANTED = $(patsubst tests/crash/planted/%.c,$(BUILD)/tests/crash/planted/%,$(wildcard tests/crash/planted/*.c))
CRASH_TOOLS   = $(BUILD)/tests/crash/record.so $(BUILD)/tests/crash/explore $(CRASH_PLANTED)
.PHONY: crash crash-planted crash-power crash-tools
crash-tools: $(CRASH_TOOLS)

crash: bootstrap
	$(SUBMAKE) VARIANT=release CC=gcc build/release-gcc/ghatrace crash-tools
	@GHATRACE=build/release-gcc/ghatrace tests/crash/crash.py $(CRASH)

crash-planted: bootstrap
	$(SUBMAKE) VARIANT=release CC=gcc build/release-gcc/ghatrace crash-tools
	@GHATRACE=build/release-gcc/ghatrace tests/crash/crash.py planted $(CRASH)
	$(SUBMAKE) VARIANT=release CC=gcc $(LOSSY)
	@GHATRACE=build/release-gcc/ghatrace tests/crash/power.py planted

# A hundred power cuts on a file system that loses what was not synced. As root, with FUSE; by hand.
LOSSY := build/release-gcc/tests/crash/lossy
crash-power: bootstrap
	$(SUBMAKE) VARIANT=release CC=gcc build/release-gcc/ghatrace $(LOSSY)
	@GHATRACE=build/release-gcc/ghatrace tests/crash/power.py $(CRASH)

$(LOSSY): tests/crash/lossy.c
	@pkg-config --exists fuse3 && [ -e /dev/fuse ] || { echo "crash-power needs FUSE: /dev/fuse, and libfuse3-dev and fuse3 of Debian" >&2; exit 1; }
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(WARNINGS) -Werror -O1 -g $$(pkg-config --cflags fuse3) -o $@ $< $$(pkg-config --libs fuse3)

# Preloaded into a daemon of any variant, so without a sanitizer of its own.
$(BUILD)/tests/crash/record.so: tests/crash/record.c tests/crash/log.h
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(WARNINGS) -Werror -O1 -g -fPIC -shared -o $@ $< -ldl

$(BUILD)/tests/crash/explore: $(addprefix $(BUILD)/tests/crash/,explore.o check.o disk.o) $(BUILD)/tests/support.a $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(BUILD)/tests/crash/planted/%: $(BUILD)/tests/crash/planted/%.o $(BUILD)/src/app/main.o $(ALL_ROOMS)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) $$(sed -n 's|^/\* wrap: \(.*\) \*/$$|\1|p' tests/crash/planted/$*.c | tr ' ' '\n' | sed 's/^/-Wl,--wrap=/') \
	  -o $@ $^ $(LIBS)

# On bare Debian machines, made by debootstrap: the image that conf/Containerfile builds; what the README says to type,
# typed verbatim and run by a systemd of the machine's own. As root, some minutes for each of SUITES, by hand.
SUITES ?= bookworm trixie
.PHONY: test-container test-platforms
test-container:
	@tests/platforms/containerfile.py $(SUITES)

test-platforms: test-container
	@tests/platforms/readme.py $(SUITES)

# Each fuzz target for FUZZ_SECONDS, one after the other, and a table of them: `make fuzz`; one alone: `make fuzz-http_request`.
# What they find lands in build/fuzz, where the corpus grows.
FUZZ_SECONDS ?= 60
DICT_OF  = $(firstword $(wildcard tests/fuzz/$(1).dict tests/fuzz/$(firstword $(subst _, ,$(1))).dict))
FUZZ_OF  = $(1)=$(call SEEDS_OF,$(1)),-max_len=$(if $(filter github_% http_%,$(1)),65536,4096)$(addprefix \
  $(COMMA)-dict=,$(call DICT_OF,$(1)))$(addprefix $(COMMA),$(FUZZ_FLAGS))
COMMA   := ,
.PHONY: fuzz $(addprefix fuzz-,$(TARGETS))
fuzz: bootstrap
	$(SUBMAKE) VARIANT=fuzz CC=clang $(addprefix build/fuzz-clang/tests/fuzz/fuzz_,$(TARGETS))
	@tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(foreach target,$(TARGETS),'$(strip $(call FUZZ_OF,$(target)))')

$(addprefix fuzz-,$(TARGETS)): fuzz-%:
	$(SUBMAKE) VARIANT=fuzz CC=clang build/fuzz-clang/tests/fuzz/fuzz_$*
	@tests/fuzz/run.py --seconds $(FUZZ_SECONDS) '$(strip $(call FUZZ_OF,$*))'

# The seeds that are not text, made again: needed when the layout of what is stored changes.
.PHONY: fuzz-seeds
fuzz-seeds: $(BUILD)/tests/fuzz/make_seeds
	$<
	protoc -Itests --encode=opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest otlp.proto \
	  <tests/fuzz/otlp_full.txt >tests/fuzz/seeds/otlp_json/full
	cp tests/fuzz/seeds/otlp_json/full tests/fuzz/seeds/otlp_decode/full
	cp tests/fuzz/seeds/otlp_json/full tests/fuzz/seeds/otlp_request/full
	protoc -Itests --encode=opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest otlp.proto \
	  <tests/fuzz/otlp_arc.txt >tests/fuzz/seeds/otlp_request/arc

# Changes the sources at places drawn by SEED, EACH of a room, and counts which changes the tests notice: by hand, for MINUTES,
# and again to go on. MUTATE="--rooms trace --again": options of tests/mutate/mutate.py.
SEED    ?= 1
EACH    ?= 25
MINUTES ?= 60
.PHONY: mutate coverage coverage-programs coverage-report
mutate: bootstrap
	@tests/mutate/mutate.py --seed $(SEED) --each $(EACH) --minutes $(MINUTES) $(MUTATE)

# Branch coverage of the rooms of tests/coverage-floors, by the unit tests of these and of the rooms before them, and by
# the fuzz targets' seeds: some minutes, by hand. COVERAGE=-v lists the lines with a branch that is not taken.
COVERAGE_TESTS = $(filter $(foreach room,$(call upto,engine),$(BUILD)/tests/unit/$(room)/%) $(BUILD)/tests/fuzz/%,$(TESTS))
coverage: bootstrap
	$(SUBMAKE) VARIANT=coverage CC=gcc coverage-programs
	@$(MAKE) -s --no-print-directory VARIANT=coverage CC=gcc coverage-report

coverage-programs: $(COVERAGE_TESTS)
coverage-report:
	@scripts/coverage $(COVERAGE) $(BUILD) $(COVERAGE_TESTS)

# The formatter's versions disagree with each other, so one of them decides.
FORMAT_VERSION := 14
CLANG_FORMAT    = $(firstword $(shell command -v clang-format-$(FORMAT_VERSION)) \
                    $(shell clang-format --version 2>/dev/null | grep -q 'version $(FORMAT_VERSION)\.' && echo clang-format))
FORMATTED       = $(shell find src include tests -name '*.[ch]')

format:
	$(or $(CLANG_FORMAT),$(error clang-format $(FORMAT_VERSION) is not here)) -i $(FORMATTED)

format-check:
	@$(if $(CLANG_FORMAT),$(CLANG_FORMAT) --dry-run --Werror $(FORMATTED),echo "format-check: skipped, clang-format $(FORMAT_VERSION) is not here")

imports-check:
	@scripts/check-imports

# Kinds are distinguished by switches, which the compiler checks. `scripts/places ENUM` lists them.
kinds-check:
	@CC=$(CC) scripts/places --check github_event_kind codec_kind

bootstrap:
	@scripts/bootstrap

demo:
	@scripts/demo

# --- installing -----------------------------------------------------------------------------------
# `make install` brings what is missing to build, too (apt-get). Packages: DESTDIR=... PREFIX=/usr. A configuration
# that is there is left alone; the units find the program and the configuration where these are.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
INSTALLED  ?= build/release-$(notdir $(CC))/ghatrace
SHARE      := $(DESTDIR)$(PREFIX)/share
CONFIGURED := $(DESTDIR)$(SYSCONFDIR)/ghatrace/ghatrace.conf
HERE_IS     = sed 's|/usr/local/|$(PREFIX)/|g; s|/etc/ghatrace|$(SYSCONFDIR)/ghatrace|g'
# The sample, with what the units expect switched on.
SET_UP      = sed 's|^\#db = .*|db = /var/lib/ghatrace|; s|^\#webhook-secret-file = .*|webhook-secret-file = $(SYSCONFDIR)/ghatrace/secret|'

.PHONY: install-files
install:
	@scripts/bootstrap --build-only
	$(SUBMAKE) all VARIANT=release
	$(SUBMAKE) install-files

install-files:
	install -D -m 755 $(INSTALLED) $(DESTDIR)$(PREFIX)/bin/ghatrace
	$(HERE_IS) conf/ghatrace.service | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/ghatrace.service
	$(HERE_IS) conf/ghatrace.socket | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/ghatrace.socket
	$(HERE_IS) conf/ghatrace.sysusers | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/sysusers.d/ghatrace.conf
	$(HERE_IS) conf/ghatrace.tmpfiles | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/ghatrace.conf
	install -D -m 644 -t $(SHARE)/ghatrace/grafana conf/grafana/*.json conf/grafana/datasource.yml
	install -D -m 644 -t $(SHARE)/ghatrace/prometheus conf/prometheus/ghatrace-rules.yml conf/prometheus/prometheus.yml
	install -D -m 644 -t $(SHARE)/doc/ghatrace README.md LICENSE conf/NOTICE conf/ghatrace.conf
	[ -e $(CONFIGURED) ] || $(SET_UP) conf/ghatrace.conf | install -D -m 644 /dev/stdin $(CONFIGURED)

clean:
	rm -rf build
