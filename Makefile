# podtap: `make demo` shows it, `make test` proves it.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
.PHONY: help setup build demo check unit netns vm test test-outer bench guest golden clean

help:
	@echo "make setup   install what is missing (apt, npm) and build"
	@echo "make demo    a VM from a manifest, running, reached through its port and its Service"
	@echo "make check   format, lint, types, layers"
	@echo "make unit    unit, golden, contract and docs tests (no root)"
	@echo "make test    everything (root)"
	@echo "make test-outer   root tests in a guest with a full kernel; T=\"bridge macvtap\" for some files of them"
	@echo "make bench   the figures of docs/benchmarks.md"

setup:
	@tools/setup.sh

build:
	@npm run --silent build

guest: setup
	@tools/guest/build.sh

demo: setup
	@tools/demo.sh

check:
	@npm run --silent check

unit:
	@npm run --silent test:unit

netns: build
	@tools/run-tests.sh netns

vm: build guest
	@tools/run-tests.sh vm

test:
	@tools/test.sh

test-outer: setup
	@tools/outer/run.sh $(T)

bench: setup guest
	@tools/bench.sh

golden:
	@PODTAP_UPDATE_GOLDEN=1 node --test 'test/golden/**/*.test.ts' 'test/docs/**/*.test.ts'

clean:
	rm -rf dist .tsbuild .cache
