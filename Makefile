# portreeve: make, make install, make demo, make check. `make help` lists the rest.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BUILD      ?= build
DESTDIR    ?=

VERSION := 0.1.0

CC      ?= cc
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes
HARDEN  := -fstack-protector-strong -fPIE
ifeq ($(WERROR),1)
WARN    += -Werror
endif
ifneq ($(SANITIZE),)
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SANITIZE)
else
HARDEN  += -D_FORTIFY_SOURCE=2
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DPORTREEVE_VERSION='"$(VERSION)"' $(INCLUDE) $(WARN) $(HARDEN) $(CFLAGS) $(LIB_CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# library:Debian package, for the programs and for the unit tests
LIBRARIES      := libmnl:libmnl-dev libnetfilter_queue:libnetfilter-queue-dev libnftnl:libnftnl-dev \
                  inih:libinih-dev jansson:libjansson-dev
TEST_LIBRARIES := check:check

ifeq ($(filter clean help demo check bench uninstall fresh-%,$(MAKECMDGOALS)),)
MISSING := $(strip $(foreach l,$(LIBRARIES),$(shell pkg-config --exists $(firstword $(subst :, ,$(l))) 2>/dev/null || echo $(lastword $(subst :, ,$(l))))))
ifneq ($(MISSING),)
ifeq ($(shell command -v pkg-config),)
$(error pkg-config is missing: apt-get install pkg-config)
endif
$(error Libraries are missing. On Debian and Ubuntu: apt-get install $(MISSING))
endif
LIB_CFLAGS := $(shell pkg-config --cflags $(foreach l,$(LIBRARIES),$(firstword $(subst :, ,$(l)))))
DAEMON_LIBS := $(shell pkg-config --libs libmnl libnetfilter_queue libnftnl inih jansson) -pthread
CTL_LIBS := $(shell pkg-config --libs jansson)
CHECK_LIBS = $(shell pkg-config --libs check)
endif

# Each layer sees its own headers and those below it, so that dependencies point inward.
INCLUDE_NAT       := -Iinclude/nat
INCLUDE_NETFILTER := $(INCLUDE_NAT) -Iinclude/netfilter
INCLUDE_DAEMON    := $(INCLUDE_NETFILTER) -Iinclude/daemon
INCLUDE            = $(INCLUDE_DAEMON)
$(BUILD)/src/nat/%.o: INCLUDE = $(INCLUDE_NAT)
$(BUILD)/src/netfilter/%.o: INCLUDE = $(INCLUDE_NETFILTER)
$(BUILD)/src/ctl/%.o: INCLUDE = $(INCLUDE_NAT)

NAT_OBJECTS       := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/nat/*.c)))
NETFILTER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/netfilter/*.c)))
DAEMON_OBJECTS    := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/daemon/*.c)))
CTL_OBJECTS       := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/ctl/*.c)))
# Everything of the daemon but main(), for unit tests
DAEMON_TESTABLE   := $(filter-out $(BUILD)/src/daemon/main.o,$(DAEMON_OBJECTS))
UNIT_SUPPORT      := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/unit/support*.c)))
UNIT_TESTS        := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

# `make unit TEST=tcp` runs one program, TEST=tcp:wrap those of its tests that have "wrap" in their names. A program
# may be named in part, too: TEST=translate.
ifneq ($(filter unit,$(MAKECMDGOALS)),)
ifneq ($(TEST),)
UNIT_PROGRAM := $(firstword $(subst :, ,$(TEST)))
UNIT_NAMES   := $(patsubst $(BUILD)/tests/unit/test_%,%,$(UNIT_TESTS))
UNIT_CHOSEN  := $(or $(filter $(UNIT_PROGRAM),$(UNIT_NAMES)),\
                  $(strip $(foreach name,$(UNIT_NAMES),$(if $(findstring $(UNIT_PROGRAM),$(name)),$(name)))))
ifeq ($(UNIT_CHOSEN),)
$(error No unit test program is called $(UNIT_PROGRAM). There are: $(UNIT_NAMES))
endif
UNIT_TESTS   := $(UNIT_CHOSEN:%=$(BUILD)/tests/unit/test_%)
endif
endif

all: $(BUILD)/portreeved $(BUILD)/portreeve $(BUILD)/libnat-is-pure ## Build both programs

# make V=1 shows the commands.
Q   := $(if $(V),,@)
say  = @printf '  %-5s %s\n' $(1) $(2)

# The pure core: a library of its own that needs nothing but libc.
$(BUILD)/libnat.a: $(NAT_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/portreeved: $(DAEMON_OBJECTS) $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/portreeve: $(CTL_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

# Sums over 64 KiB packets are worth vector instructions: three times as fast as with -O2.
ifeq ($(SANITIZE),)
$(BUILD)/src/nat/checksum.o: CFLAGS += -O3
# A lookup compares the fifteen entries of a line at once.
$(BUILD)/src/nat/index.o: CFLAGS += -O3
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# src/nat asks libc for memory, copying and text, and nothing else: no files, no sockets, no clock.
PURE := abort aligned_alloc bcmp calloc free getservby.* inet_(ntop|pton) malloc mem(chr|cmp|cpy|move|set) qsort realloc \
        (v)?snprintf str(r?chr|cmp|cspn|len|ncmp|nlen|spn|toull) __.*_chk __stack_chk_fail __errno_location \
        __ctype_.* __assert_fail __popcountdi2 timegm _GLOBAL_OFFSET_TABLE_
$(BUILD)/libnat-is-pure: $(BUILD)/libnat.a
ifeq ($(SANITIZE),)
	@nm --undefined-only --no-sort $< | awk '$$1 == "U" {print $$2}' | sort -u > $@.needs; \
	nm --defined-only $< | awk 'NF == 3 {print $$3}' | sort -u > $@.has; \
	impure=$$(comm -23 $@.needs $@.has | grep -vxE '$(subst $() ,|,$(strip $(PURE)))'); \
	if [ -n "$$impure" ]; then echo "src/nat is no longer pure, it needs:" $$impure >&2; exit 1; fi
endif
	@touch $@

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_SUPPORT) $(DAEMON_TESTABLE) $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) $(CHECK_LIBS)

# What the translation table costs, as JSON; the core alone, on the pages that the daemon gives it.
$(BUILD)/tests/bench/table_bench: $(BUILD)/tests/bench/table_bench.o $(BUILD)/src/daemon/large_pages.o $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# Installing

install: all ## Install programs, man pages, configuration and unit file (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(SYSCONFDIR)/portreeve
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/doc/portreeve/examples $(DESTDIR)$(UNITDIR)
	install -m 755 $(BUILD)/portreeved $(DESTDIR)$(PREFIX)/sbin/portreeved
	install -m 755 $(BUILD)/portreeve $(DESTDIR)$(PREFIX)/bin/portreeve
	install -m 644 doc/portreeve.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 doc/portreeve.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 doc/portreeved.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 doc/control-protocol.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/portreeve/
	install -m 644 conf/examples/*.conf $(DESTDIR)$(PREFIX)/share/doc/portreeve/examples/
	sed 's|@PREFIX@|$(PREFIX)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g' systemd/portreeved.service.in > $(BUILD)/portreeved.service
	install -m 644 $(BUILD)/portreeved.service $(DESTDIR)$(UNITDIR)/portreeved.service
	@# An edited configuration is never overwritten.
	test -e $(DESTDIR)$(SYSCONFDIR)/portreeve/portreeve.conf || \
	    install -m 644 conf/portreeve.conf $(DESTDIR)$(SYSCONFDIR)/portreeve/portreeve.conf

uninstall: ## Remove what install put there, except the configuration
	rm -f $(DESTDIR)$(PREFIX)/sbin/portreeved $(DESTDIR)$(PREFIX)/bin/portreeve
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/portreeve.1 $(DESTDIR)$(PREFIX)/share/man/man5/portreeve.conf.5
	rm -f $(DESTDIR)$(PREFIX)/share/man/man8/portreeved.8 $(DESTDIR)$(UNITDIR)/portreeved.service
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/portreeve

# Trying and testing. demo and check install what they need, then call make anew with it.

demo: ## Show the main job in a small network of namespaces (root)
	tests/install-deps.sh build demo
	$(MAKE) all
	tests/demo.sh $(if $(KEEP),--keep)

check: ## Install what the tests need; unit, sanitizer and end-to-end tests (root)
	tests/install-deps.sh build unit e2e
	tests/lint.sh
	$(MAKE) unit
	$(MAKE) unit control e2e BUILD=build-asan SANITIZE=address,undefined
	$(MAKE) kernel e2e
	$(MAKE) e2e OFFLOAD=off

unit: $(UNIT_TESTS) $(if $(TEST),,all) ## Unit tests
	@PORTREEVE_TEST='$(word 2,$(subst :, ,$(TEST)))' tests/unit/run.sh $(UNIT_TESTS)

e2e: all ## End-to-end tests in namespaces (root); OFFLOAD=off: by the queue alone
	PORTREEVE_BUILD=$(abspath $(BUILD)) PORTREEVE_OFFLOAD=$(or $(OFFLOAD),on) /usr/bin/python3 -m pytest -q tests/e2e

kernel: all ## Tests of what we assume of the kernel (root)
	PORTREEVE_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q tests/kernel

# Each fuzzer over its seeds and FUZZ_RUNS mutations of them, with the sanitizers. `make fuzz-build CC=clang
# SANITIZE=fuzzer,address` makes libFuzzer programs of the same sources.
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_RUNS ?= 100000
FUZZ_MAIN  = $(if $(findstring fuzzer,$(SANITIZE)),,$(BUILD)/tests/fuzz/standalone.o)

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(DAEMON_TESTABLE) $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

# These run the control server over a stub of the gateway, which needs neither root nor a kernel.
STUBBED := $(BUILD)/tests/control/stub_gateway.o $(filter-out $(BUILD)/src/daemon/gateway%.o $(BUILD)/src/daemon/worker.o,$(DAEMON_TESTABLE)) \
           $(NETFILTER_OBJECTS) $(BUILD)/libnat.a

$(BUILD)/tests/control/stub: $(BUILD)/tests/control/stub_main.o $(STUBBED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/tests/fuzz/fuzz_control: $(BUILD)/tests/fuzz/fuzz_control.o $(FUZZ_MAIN) $(STUBBED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

fuzz-build: $(addprefix $(BUILD)/tests/fuzz/,$(FUZZERS))

fuzz: ## Run every fuzzer FUZZ_RUNS times
	$(MAKE) --no-print-directory fuzz-build BUILD=build-asan SANITIZE=address,undefined
	@for fuzzer in $(FUZZERS); do \
	    echo "$$fuzzer"; \
	    build-asan/tests/fuzz/$$fuzzer -r $(FUZZ_RUNS) 1 tests/fuzz/corpus/$${fuzzer#fuzz_} || exit 1; \
	done

# The benchmark's programs; those of its measures that portreeve's own modules are part of link them.
BENCH_PROGRAMS := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(filter-out %/support.c,$(sort $(wildcard tests/bench/*.c))))

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/bench/support.o $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -lm

bench-build: all $(BENCH_PROGRAMS)

# What bench takes, by these names or as --rounds and so on; `tests/bench/bench.py --help` says what they mean.
BENCH_KNOBS = $(foreach knob,ROUNDS DURATION WORK CONTENDERS SESSIONS OUTPUT,$(if $($(knob)),$(knob)='$($(knob))'))

bench: ## Benchmark against the kernel's NAT and proxies (root); ROUNDS, DURATION, WORK, CONTENDERS
	tests/install-deps.sh build bench
	$(MAKE) bench-build
	PORTREEVE_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py $(BENCH_KNOBS)

control: all $(BUILD)/tests/control/stub ## Tests of the control socket and the client
	PORTREEVE_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q tests/control

lint: ## Static checks, with the linters that are installed
	LINT_TOOLS=1 tests/lint.sh

clean: ## Remove everything that was built
	rm -rf build build-*

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all install uninstall demo check unit control e2e kernel fuzz fuzz-build bench bench-build lint clean help
