# The front door: targets only, for GNU make and BSD make.  `make help` lists
# them; how things are compiled is in mk/build.mk, what belongs to which program
# in the sources.mk beside its sources.

VARIANT= rel
PREFIX= /usr/local
DESTDIR=
TESTS=
CASE=
SEED=
N=
PART= core
T=
SECS=
RUN= MAKE="$(MAKE)" sh mk/run.sh
SYSDIR= /usr/src/sys
KMOD= MAKE="$(MAKE)" SYSDIR="$(SYSDIR)" sh mk/kmod.sh

all: ## build the programs into build/bin (VARIANT=dbg|rel|asan|tsan|cov: build/VARIANT/bin)
	@sh tools/setup build
	@$(RUN) $(VARIANT) all
	@$(KMOD) all

check: ## install what is missing, build, run all tests (TESTS="NAME..." only those)
	@sh tools/setup check
	@$(RUN) $(VARIANT) WERROR=-Werror tests
	@/usr/bin/python3 tests/run --variant $(VARIANT) $(TESTS)

unit: ## run the unit tests
	@sh tools/setup check
	@$(RUN) $(VARIANT) tests
	@/usr/bin/python3 tests/run --variant $(VARIANT) --only unit $(TESTS)

e2e: ## as root: the tests on real file systems
	@sh tools/setup check
	@$(RUN) $(VARIANT) tests
	@/usr/bin/python3 tests/run --variant $(VARIANT) --only e2e $(TESTS)

matrix: ## as root: every cell of who dies or stops, how, and when
	@sh tools/setup check
	@$(RUN) $(VARIANT) tests
	@/usr/bin/python3 tests/run --variant $(VARIANT) --all $(TESTS)

soak: ## as root: checkpoints with faults for SECS=600; what is held must not grow
	@sh tools/setup check
	@$(RUN) $(VARIANT) tests
	@sh mk/soak.sh $(VARIANT) "$(SECS)" "$(SEED)"

asan: ## the tests under AddressSanitizer and UBSan
	@sh tools/setup check
	@$(RUN) asan WERROR=-Werror tests
	@/usr/bin/python3 tests/run --variant asan $(TESTS)

tsan: ## the tests under ThreadSanitizer
	@sh tools/setup check
	@$(RUN) tsan WERROR=-Werror tests
	@/usr/bin/python3 tests/run --variant tsan $(TESTS)

sim: ## the simulator: SEED= replays one run, N= runs fresh ones
	@$(RUN) $(VARIANT) hv_vss_sim.t
	@sh mk/sim.sh $(VARIANT) "$(SEED)" "$(N)"

model: ## every reachable state of the engine with two applications (8 GB)
	@$(RUN) $(VARIANT) hv_vss_model.t
	@build/obj/hv_vss_model.t -a 2 -m 6000000

fuzz: ## libFuzzer on every decoder, 20 s each: T= one of them, SECS= seconds
	@sh tools/setup fuzz
	@$(RUN) fuzz fuzzers
	@sh mk/fuzz.sh run "$(T)" "$(SECS)"

fuzz-cov: ## how much of its target each corpus of fuzz/ reaches
	@sh tools/setup fuzz
	@$(RUN) fuzz fuzzers
	@sh mk/fuzz.sh cov "$(T)"

cov: ## line and branch coverage of the unit tests, with a floor for core
	@sh tools/setup check
	@$(RUN) cov unit-tests
	@tools/cov build/cov

mutants: ## break the sources on purpose; the tests must notice (PART=freezer, PART=freebsd, PART=sweep SEED= N=)
	@sh tools/setup check
	@tests/mutants/mutants --part "$(PART)" --seed "$(SEED)" --count "$(N)"

lint: ## format, static analysis, house rules, manual pages
	@sh tools/setup lint
	@$(RUN) $(VARIANT) all
	@sh tools/lint

format: ## let clang-format rewrite the C sources
	@sh tools/setup lint
	@sh tools/sources | xargs clang-format-14 -i

demo: ## as root: one checkpoint of real file systems and databases, verified
	@sh tools/setup demo
	@$(RUN) $(VARIANT) all
	@/usr/bin/python3 demo/run --variant $(VARIANT)

bench: ## as root: side-by-side figures (CASE="4fs nested/..." only those)
	@sh tools/setup bench
	@$(RUN) $(VARIANT) bench
	@/usr/bin/python3 bench/run --variant $(VARIANT) $(CASE)

kmod: ## on FreeBSD: the kernel module alone
	@$(KMOD) all

install: all ## install into $(DESTDIR)$(PREFIX)
	@sh mk/install.sh "$(DESTDIR)" "$(PREFIX)" $(VARIANT)
	@$(KMOD) install DESTDIR="$(DESTDIR)"

vm: ## as root: scenarios in whole guests under qemu (TESTS="NAME..." only those)
	@sh tools/setup vm
	@$(RUN) $(VARIANT) WERROR=-Werror tests
	@sh mk/deb.sh build/deb
	@/usr/bin/python3 tests/vm/run $(TESTS)

vm-matrix: ## as root: every cell of the matrix in whole guests, with / in it
	@sh tools/setup vm
	@$(RUN) $(VARIANT) WERROR=-Werror tests
	@/usr/bin/python3 tests/vm/run --all $(TESTS)

deb: ## build the Debian packages into build/deb
	@sh tools/setup deb
	@sh mk/deb.sh build/deb

dist: ## pack the committed tree into build/hv_vss-VERSION.tar.gz
	@mkdir -p build
	v=`sed -n 's/.*VERSION "\(.*\)"/\1/p' common/version.h` && \
	    git archive --format=tar.gz --prefix=hv_vss-$$v/ \
	    -o build/hv_vss-$$v.tar.gz HEAD

clean: ## remove what was built
	rm -rf build
	@$(KMOD) clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' Makefile | expand -t 12

.PHONY: all check unit e2e matrix soak asan tsan sim model fuzz fuzz-cov cov \
	mutants lint format demo bench kmod install deb vm vm-matrix dist clean help
