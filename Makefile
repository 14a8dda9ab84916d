# portreeve: make, make install, make demo, make check. `make help` lists the rest.
#
# `make help` prints the lines that begin with ##@ (a group), those of targets that have a ##, and
# those that begin with #? (a variable).

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
USERSDIR   ?= $(PREFIX)/lib/sysusers.d
BUILD      ?= build
DESTDIR    ?=

#? CC=clang        another compiler
#? BUILD=DIR       where what is built goes; build when not given
#? SANITIZE=LIST   address,undefined or thread; give it a BUILD of its own
#? COVERAGE=1      count the lines that run (gcc); `make coverage` uses it
#? WERROR=1        warnings are errors, as in CI
#? V=1             show the commands
#? TEST=NAME       unit: a program, tcp, or tests of it by a word, tcp:wrap;
#?                 control, kernel, e2e and vm: what pytest -k takes
#? VM=bookworm     vm: on this release only; trixie is the other one
#? SUITE=e2e       vm: these tests there; unit, control and kernel too
#? OFFLOAD=off     e2e: by the queue alone
#? SOAK_SECONDS=N  soak: how long; 1200 when not given
#? SOAK_SEED=N     soak: the seed that a failure has named
#? FUZZ_RUNS=N     fuzz: mutations for each fuzzer, 100000 when not given
#? PREFIX=DIR      install: where to, /usr/local when not given
#? DESTDIR=DIR     install: below this directory, for packages

VERSION := $(shell cat VERSION)

CC      ?= cc
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wmissing-prototypes \
           -Wstrict-prototypes
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
ifneq ($(COVERAGE),)
CFLAGS  := -O1 -g --coverage
LDFLAGS += --coverage
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DPORTREEVE_VERSION='"$(VERSION)"' $(INCLUDE) $(WARN) \
             $(HARDEN) $(CFLAGS) $(LIB_CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# What is missing is said in one sentence, before anything is built.
missing  = $(shell CC='$(CC)' tests/install-deps.sh --missing $(1))
say_need = $(if $(2),$(error $(1) $(2): apt-get install $(2)))

needs_unit    := The unit tests need
needs_control := The tests of the control socket need
needs_kernel  := The tests of the kernel need
needs_e2e     := The end-to-end tests need
needs_vm      := The virtual machines need
$(foreach goal,$(filter unit control kernel e2e vm,$(MAKECMDGOALS)),\
    $(call say_need,$(needs_$(goal)),$(call missing,$(goal))))

LIBRARIES := libmnl libnetfilter_queue libnftnl inih jansson libcap-ng libseccomp
ifeq ($(filter clean help demo check bench attack uninstall lint vm,$(MAKECMDGOALS)),)
$(call say_need,portreeve needs,$(call missing,build))
LIB_CFLAGS  := $(shell pkg-config --cflags $(LIBRARIES))
DAEMON_LIBS := $(shell pkg-config --libs $(LIBRARIES)) -pthread
CTL_LIBS    := $(shell pkg-config --libs jansson)
CHECK_LIBS   = $(shell pkg-config --libs check)
endif

# Each layer sees its own headers and those below it, so that dependencies point inward.
INCLUDE_NAT       := -Iinclude/nat
INCLUDE_NETFILTER := $(INCLUDE_NAT) -Iinclude/netfilter
INCLUDE_DAEMON    := $(INCLUDE_NETFILTER) -Iinclude/protocol -Iinclude/daemon
INCLUDE            = $(INCLUDE_DAEMON)
$(BUILD)/tests/%.o: INCLUDE = $(INCLUDE_DAEMON) -Isrc/nat
$(BUILD)/src/nat/%.o: INCLUDE = $(INCLUDE_NAT)
$(BUILD)/src/netfilter/%.o: INCLUDE = $(INCLUDE_NETFILTER)
$(BUILD)/src/ctl/%.o: INCLUDE = $(INCLUDE_NAT) -Iinclude/protocol

NAT_OBJECTS       := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/nat/*.c)))
NETFILTER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/netfilter/*.c)))
DAEMON_SOURCES    := $(sort $(wildcard src/daemon/*.c src/daemon/*/*.c))
DAEMON_OBJECTS    := $(patsubst %.c,$(BUILD)/%.o,$(DAEMON_SOURCES))
CTL_OBJECTS       := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/ctl/*.c)))
# Everything of the daemon but main(), for unit tests
DAEMON_TESTABLE   := $(filter-out $(BUILD)/src/daemon/main.o,$(DAEMON_OBJECTS))
TESTABLE          := $(DAEMON_TESTABLE) $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
UNIT_SUPPORT      := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/unit/support*.c)))
UNIT_TESTS        := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c)))

# `make unit TEST=tcp` runs one program, TEST=tcp:wrap those of its tests that have "wrap" in their
# names. A program may be named in part, too: TEST=translate.
ifneq ($(filter unit,$(MAKECMDGOALS)),)
ifneq ($(TEST),)
UNIT_PROGRAM := $(firstword $(subst :, ,$(TEST)))
UNIT_NAMES   := $(patsubst $(BUILD)/tests/unit/test_%,%,$(UNIT_TESTS))
UNIT_CHOSEN  := $(or $(filter $(UNIT_PROGRAM),$(UNIT_NAMES)),$(strip \
    $(foreach name,$(UNIT_NAMES),$(if $(findstring $(UNIT_PROGRAM),$(name)),$(name)))))
ifeq ($(UNIT_CHOSEN),)
$(error No unit test program is called $(UNIT_PROGRAM). There are: $(UNIT_NAMES))
endif
UNIT_TESTS   := $(UNIT_CHOSEN:%=$(BUILD)/tests/unit/test_%)
endif
endif

##@ Building
all: $(BUILD)/portreeved $(BUILD)/portreeve $(BUILD)/libnat-is-pure ## Both programs

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
ifeq ($(SANITIZE)$(COVERAGE),)
$(BUILD)/src/nat/checksum.o: CFLAGS += -O3
# A lookup compares the fifteen entries of a line at once.
$(BUILD)/src/nat/index.o: CFLAGS += -O3
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# src/nat asks libc for memory, copying and text, and nothing else: no files, no sockets, no clock.
PURE := abort aligned_alloc bcmp calloc free getservby.* gmtime_r inet_(ntop|pton) malloc \
        mem(chr|cmp|cpy|move|set) qsort realloc (v)?snprintf \
        str(r?chr|cmp|cspn|ftime|len|ncmp|nlen|spn|toull) __.*_chk __stack_chk_fail \
        __errno_location \
        __ctype_.* __assert_fail __popcountdi2 timegm _GLOBAL_OFFSET_TABLE_
$(BUILD)/libnat-is-pure: $(BUILD)/libnat.a
ifeq ($(SANITIZE)$(COVERAGE),)
	@nm --undefined-only --no-sort $< | awk '$$1 == "U" {print $$2}' | sort -u > $@.needs; \
	nm --defined-only $< | awk 'NF == 3 {print $$3}' | sort -u > $@.has; \
	impure=$$(comm -23 $@.needs $@.has | grep -vxE '$(subst $() ,|,$(strip $(PURE)))'); \
	if [ -n "$$impure" ]; then echo "src/nat is no longer pure, it needs:" $$impure >&2; exit 1; fi
endif
	@touch $@

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_SUPPORT) $(TESTABLE)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) $(CHECK_LIBS)

# What the translation table costs, as JSON; the core alone, on the pages that the daemon gives it.
$(BUILD)/tests/bench/table_bench: $(BUILD)/tests/bench/table_bench.o \
                                  $(BUILD)/src/daemon/gateway/large_pages.o $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# Installing

MAN_DIR  = $(DESTDIR)$(PREFIX)/share/man
DOC_DIR  = $(DESTDIR)$(PREFIX)/share/doc/portreeve
CONF_DIR = $(DESTDIR)$(SYSCONFDIR)/portreeve
# The version is added to the pages when they are installed.
install_page = sed '/^\.TH /s/"portreeve"/"portreeve $(VERSION)"/' doc/$(1) >$(BUILD)/$(1) \
    && install -m 644 $(BUILD)/$(1) $(MAN_DIR)/man$(subst .,,$(suffix $(1)))/

# The unit of what is installed; its user is made at once, unless this is for a package.
$(BUILD)/portreeved.service: systemd/portreeved.service.in
	$(Q)sed 's|@PREFIX@|$(PREFIX)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g' $< > $@

.PHONY: $(BUILD)/portreeved.service

install: all $(BUILD)/portreeved.service ## Programs, man pages, configuration, unit file, user
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(CONF_DIR)
	install -d $(MAN_DIR)/man1 $(MAN_DIR)/man5 $(MAN_DIR)/man8
	install -d $(DOC_DIR)/examples $(DESTDIR)$(UNITDIR) $(DESTDIR)$(USERSDIR)
	install -m 755 $(BUILD)/portreeved $(DESTDIR)$(PREFIX)/sbin/portreeved
	install -m 755 $(BUILD)/portreeve $(DESTDIR)$(PREFIX)/bin/portreeve
	$(call install_page,portreeve.1)
	$(call install_page,portreeve.conf.5)
	$(call install_page,portreeved.8)
	install -m 644 doc/control-protocol.md LICENSE $(DOC_DIR)/
	install -m 644 conf/examples/*.conf $(DOC_DIR)/examples/
	install -m 644 $(BUILD)/portreeved.service $(DESTDIR)$(UNITDIR)/portreeved.service
	install -m 644 systemd/portreeve.sysusers.conf $(DESTDIR)$(USERSDIR)/portreeve.conf
ifeq ($(DESTDIR),)
	if command -v systemd-sysusers >/dev/null; then \
	    systemd-sysusers $(USERSDIR)/portreeve.conf; \
	else echo "make the system user 'portreeve' with a group of the same name"; fi
endif
	@# An edited configuration is never overwritten.
	test -e $(CONF_DIR)/portreeve.conf || \
	    install -m 644 conf/portreeve.conf $(CONF_DIR)/portreeve.conf

uninstall: ## Remove what install put there, except the configuration
	rm -f $(DESTDIR)$(PREFIX)/sbin/portreeved $(DESTDIR)$(PREFIX)/bin/portreeve
	rm -f $(MAN_DIR)/man1/portreeve.1 $(MAN_DIR)/man5/portreeve.conf.5
	rm -f $(MAN_DIR)/man8/portreeved.8 $(DESTDIR)$(UNITDIR)/portreeved.service
	rm -f $(DESTDIR)$(USERSDIR)/portreeve.conf
	rm -rf $(DOC_DIR)

clean: ## Remove everything that was built
	rm -rf build build-*

# Trying and testing. demo and check install what they need, then call make anew with it.

# For those: build on all processors, unless make was told how many jobs to run.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-O -j$(shell getconf _NPROCESSORS_ONLN))

##@ Trying and testing
demo: ## Show the main job in a small network of namespaces (root)
	tests/install-deps.sh build demo
	$(MAKE) $(JOBS) all
	tests/demo.sh $(if $(KEEP),--keep)

check: ## Install what the tests need, and run them all (root)
	tests/install-deps.sh build unit e2e
	tests/lint.sh
	$(MAKE) $(JOBS) unit control
	$(MAKE) $(JOBS) unit control BUILD=build-asan SANITIZE=address,undefined
	$(MAKE) kernel
	@# One after the other, and nothing beside them: they measure times and rates.
	$(MAKE) e2e BUILD=build-asan SANITIZE=address,undefined
	$(MAKE) e2e
	$(MAKE) e2e OFFLOAD=off

unit: $(UNIT_TESTS) $(if $(TEST),,all) ## Unit tests, side by side; TEST=tcp one program
	@PORTREEVE_TEST='$(word 2,$(subst :, ,$(TEST)))' tests/unit/run.sh $(UNIT_TESTS)

# Less of src/nat than this, in percent of its lines, is a failure.
COVERAGE_LEAST := 95

coverage: ## Which lines the unit tests run: at least 95 % of src/nat (gcc)
	@find build-coverage -name '*.gcda' -delete 2>/dev/null; true
	$(MAKE) $(JOBS) unit BUILD=build-coverage COVERAGE=1
	@/usr/bin/python3 tests/coverage.py build-coverage $(COVERAGE_LEAST)

PYTEST = PORTREEVE_BUILD=$(abspath $(BUILD)) PORTREEVE_OFFLOAD=$(or $(OFFLOAD),on) \
         /usr/bin/python3 -m pytest -q $(if $(TEST),-k '$(TEST)')

control: all $(BUILD)/tests/control/stub ## Tests of the control socket and the client
	$(PYTEST) tests/control

KERNEL_DRIVER := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/kernel/*.c)))

$(BUILD)/tests/kernel/driver: $(KERNEL_DRIVER) $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

kernel: $(BUILD)/tests/kernel/driver ## Tests of what we assume of the kernel (root)
	$(PYTEST) tests/kernel

e2e: all ## End-to-end tests in network namespaces (root)
	$(PYTEST) tests/e2e

soak: all ## Random traffic, restarts and faults on end, from a seed (root)
	PORTREEVE_SOAK_SECONDS=$(or $(SOAK_SECONDS),1200) PORTREEVE_SOAK_SEED=$(SOAK_SEED) \
	    $(PYTEST) -rP tests/e2e/test_soak.py

test-programs: $(UNIT_TESTS) $(BUILD)/tests/control/stub $(BUILD)/tests/kernel/driver

vm: ## Tests on stock Debian 12 and 13 in virtual machines (root)
	tests/vm/run.py $(VM:%=--release %) $(if $(SUITE),--suite $(SUITE)) \
	    $(if $(OFFLOAD),--offload $(OFFLOAD)) $(if $(TEST),-k '$(TEST)')

lint: ## Static checks, with the linters that are installed
	LINT_TOOLS=1 tests/lint.sh

# Each fuzzer over its seeds and FUZZ_RUNS mutations of them, with the sanitizers. `make fuzz-build
# CC=clang SANITIZE=fuzzer,address` makes libFuzzer programs of the same sources.
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_RUNS ?= 100000
FUZZ_MAIN  = $(if $(findstring fuzzer,$(SANITIZE)),,$(BUILD)/tests/fuzz/standalone.o)

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(TESTABLE)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

# These run the control server over a stub of the gateway, which needs neither root nor a kernel.
STUBBED := $(BUILD)/tests/control/stub_gateway.o \
           $(filter-out $(BUILD)/src/daemon/gateway/%.o,$(TESTABLE))

$(BUILD)/tests/control/stub: $(BUILD)/tests/control/stub_main.o $(STUBBED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/tests/fuzz/fuzz_control: $(BUILD)/tests/fuzz/fuzz_control.o $(FUZZ_MAIN) $(STUBBED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

fuzz: ## Every fuzzer FUZZ_RUNS times, with sanitizers
	$(MAKE) --no-print-directory $(JOBS) fuzz-build BUILD=build-asan SANITIZE=address,undefined
	@$(MAKE) --no-print-directory -s $(JOBS) -k $(FUZZERS:%=run-%)

run-fuzz_%:
	@said=$$(build-asan/tests/fuzz/fuzz_$* -r $(FUZZ_RUNS) 1 tests/fuzz/corpus/$* 2>&1); code=$$?; \
	printf '%s\n%s\n' "fuzz_$*" "$$said"; exit $$code

prove: ## No packet leads out of its bytes, by Frama-C (doc/proof.md); LENGTHS="76 100"
	@tests/proof/run.sh $(LENGTHS)

fuzz-build: $(addprefix $(BUILD)/tests/fuzz/,$(FUZZERS)) ## Only build the fuzzers

# The benchmark's programs; those of its measures that portreeve's own modules are part of link
# them.
BENCH_SHARED   := tests/bench/support.c tests/bench/frames.c
BENCH_PROGRAMS := $(filter-out $(BENCH_SHARED:%.c=$(BUILD)/%), \
                               $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c)))

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BENCH_SHARED:%.c=$(BUILD)/%.o) \
                        $(NETFILTER_OBJECTS) $(BUILD)/libnat.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -lm

# What bench takes, by these names or as --rounds and so on; `tests/bench/bench.py --help` says what
# they mean.
BENCH_NAMES := ROUNDS DURATION WORK CONTENDERS SESSIONS OUTPUT
BENCH_KNOBS  = $(foreach knob,$(BENCH_NAMES),$(if $($(knob)),$(knob)='$($(knob))'))

bench: ## Beside the kernel's NAT and proxies (root)
	tests/install-deps.sh build bench
	$(MAKE) $(JOBS) bench-build
	PORTREEVE_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py $(BENCH_KNOBS)

# What attack takes, in the same way.
ATTACK_NAMES := ROUNDS DURATION RATE ATTACKS CONTENDERS OUTPUT
ATTACK_KNOBS  = $(foreach knob,$(ATTACK_NAMES),$(if $($(knob)),$(knob)='$($(knob))'))

attack: ## Under attack, beside the kernel's NAT (root)
	tests/install-deps.sh build bench
	$(MAKE) $(JOBS) bench-build
	PORTREEVE_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/attack.py $(ATTACK_KNOBS)

bench-build: all $(BENCH_PROGRAMS) ## Only build the benchmark's programs

help: ## This list
	@awk -F ':.*## ' '/^##@ / {print (groups++ ? "\n" : "") substr($$0, 5)} \
	    /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo; echo "Variables, as in make unit TEST=tcp"
	@sed -n 's/^#? /  /p' $(firstword $(MAKEFILE_LIST))

.PHONY: all install uninstall clean demo check unit coverage control kernel e2e soak test-programs \
        vm lint fuzz fuzz-build prove bench attack bench-build help
