# ghatrace: `make demo` shows it, `make test` proves it, `make check` is what a change must pass.

# --- what to build with -------------------------------------------------------------------------
# VARIANT: release | dev | asan | tsan.   CC: gcc or clang.
VARIANT ?= dev
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
VERSION := 0.1.0

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
CPPFLAGS += -Iinclude -D_GNU_SOURCE -DGHATRACE_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_dev     := -Og -g -Werror
CFLAGS_asan    := -O1 -g -Werror -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -g -Werror -fsanitize=thread
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread
ALL_CFLAGS  := -std=c11 $(WARNINGS) $(CFLAGS_$(VARIANT)) $(CFLAGS) -pthread
ALL_LDFLAGS := $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -pthread

# Debian 12's mbedTLS has no pkg-config file, so the libraries are named here.
LIBS := -levent_core -levent_pthreads -lmbedtls -lmbedx509 -lmbedcrypto -llmdb -linih -lz

# --- the rooms, from the ground up: a room may use those before it in this list ------------------
ROOMS := base http net github trace otlp store engine ingress export view app

BUILD   := build/$(VARIANT)-$(notdir $(CC))
OBJECTS  = $(patsubst src/%.c,$(BUILD)/src/%.o,$(filter-out src/app/main.c,$(wildcard src/$(1)/*.c)))
ARCHIVE  = $(BUILD)/lib/$(1).a
# the archives of a room and of all rooms before it, topmost first, as the linker wants them
upto     = $(if $(1),$(call upto_,$(1),$(ROOMS)))
upto_    = $(if $(filter $(1),$(firstword $(2))),$(firstword $(2)),$(call upto_,$(1),$(wordlist 2,99,$(2))) $(firstword $(2)))

BINARY := $(BUILD)/ghatrace
TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*/test_*.c))

.PHONY: all demo test unit-test blackbox check format format-check imports-check bootstrap clean install
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BINARY)

# --- building -------------------------------------------------------------------------------------
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define archive_rule
$(call ARCHIVE,$(1)): $(call OBJECTS,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call archive_rule,$(room))))

$(BINARY): $(BUILD)/src/app/main.o $(foreach room,$(call upto,app),$(call ARCHIVE,$(room)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# A unit test sees its room and those before it, and nothing else: the linker checks the layering.
# A test that needs more names it in a line `/* wrap: symbol symbol */` (linker --wrap, for faults).
define test_rule
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $(BUILD)/tests/support.a $(foreach room,$(call upto,$(1)),$(call ARCHIVE,$(room)))
	$$(CC) $$(ALL_LDFLAGS) $$$$(sed -n 's|^/\* wrap: \(.*\) \*/$$$$|\1|p' tests/unit/$(1)/$$*.c | tr ' ' '\n' | sed 's/^/-Wl,--wrap=/') \
	  -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach room,$(ROOMS),$(eval $(call test_rule,$(room))))

$(BUILD)/tests/support.a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/tests/%.o: CPPFLAGS += -Itests

-include $(shell find build -name '*.d' 2>/dev/null)

clean:
	rm -rf build
