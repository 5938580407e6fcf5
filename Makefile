# SPDX-License-Identifier: BSD-2-Clause
# A thin door to meson. `make help` lists what it opens.
BUILD ?= build
PREFIX ?= /usr/local
PYTHON := /usr/bin/python3

.PHONY: all help deps demo check check-quick check-vhost soak soak-qemu \
  soak-vhost fuzz bench bench-instructions bench-migration install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

help:
	@echo 'make              build into $(BUILD)/'
	@echo 'make demo         migrate a real guest without and with tapferry;'
	@echo '                  RATE=1000 (frames/s) SIZE=64 (bytes) RUNS=1'
	@echo 'make check        every test (root)'
	@echo 'make check-quick  the tests that need no virtual machine'
	@echo 'make check-vhost  real vhost-net in a nested machine; RUNS=3 RATE=400'
	@echo 'make soak         blackouts by the thousand; SEED=1 COUNT=1000 JOBS=3'
	@echo 'make soak-qemu    live migrations of a real guest; COUNT=24'
	@echo 'make soak-vhost   the same on real vhost-net, nested; RUNS=24'
	@echo 'make fuzz         each fuzzing target for SECONDS=60'
	@echo 'make bench        how fast, beside every peer, in build/bench/; ROUNDS=5'
	@echo '                  SECONDS=0.5 FULL=1 SECTIONS="path latency ..."'
	@echo 'make bench-instructions  of the main loops, for a frame'
	@echo 'make bench-migration  real migrations without and with; RUNS=10'
	@echo 'make install      honours DESTDIR and PREFIX'

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(PREFIX) >/dev/null || \
	  { echo 'meson failed; try: tools/install-deps build' >&2; exit 1; }

deps:
	@tools/install-deps build

demo:
	@tools/install-deps build demo
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/lab/demo.py

check:
	@tools/install-deps build demo check bench
	@$(MAKE) --no-print-directory all
	@tests/run-all

check-quick:
	@tools/install-deps build check
	@$(MAKE) --no-print-directory all
	@tests/run-all --quick

check-vhost:
	@tools/install-deps build demo check
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/vhost/check.py

soak:
	@tools/install-deps build check
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/blackout --long --seed $(or $(SEED),1) \
	  --count $(or $(COUNT),1000) --jobs $(or $(JOBS),3)

soak-qemu:
	@tools/install-deps build demo
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/lab/soak.py

soak-vhost:
	@tools/install-deps build demo check
	@$(MAKE) --no-print-directory all
	@SOAK=1 $(PYTHON) tests/vhost/check.py

fuzz:
	@tools/install-deps build check
	@tests/fuzz/run --build $(BUILD)/fuzz --seconds $(or $(SECONDS),60)

bench:
	@tools/install-deps build demo bench
	@$(MAKE) --no-print-directory all
	@cd tests && $(PYTHON) -m bench $(SECTIONS)

bench-instructions:
	@tools/install-deps build check
	@$(MAKE) --no-print-directory all
	@cd tests && $(PYTHON) -m bench.instructions.run

bench-migration:
	@tools/install-deps build demo
	@$(MAKE) --no-print-directory all
	@cd tests && $(PYTHON) -m bench.migration

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@$(MAKE) --no-print-directory all
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR))

clean:
	@rm -rf $(BUILD)
