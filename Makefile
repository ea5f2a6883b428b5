# make alone prints help. .ci/run calls these targets.

SHELL := bash
GO ?= go
# What is checked or tested: make test PKG=./shard/...
PKG ?= ./...
# Version of the release; empty keeps the one in version.go of cmd/wadm and cmd/wadmctl.
VERSION ?=
# Folder with the real wasmCloud host, upstream wadm, wash and components; see e2e.
REAL ?=
FUZZTIME ?= 1m
BENCHTIME ?= 1s
RAPID_CHECKS ?= 100000
# Seed of prop; empty draws another one each time.
RAPID_SEED ?=
# Seeds of chaos-long (n or from-to; 1-50 unless given) and of churn (a list; 1 2 3 unless given).
SEEDS ?=
# Further flags of churn.
CHURN ?= --lattices 5 --hosts 6 --duration 10m --settle 2m

LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION:v%=%))
LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
COMMANDS := $(notdir $(wildcard cmd/*))

.DEFAULT_GOAL := help
.PHONY: help build dev test test-short test-cluster prop fuzz bench bench-once chaos chaos-long measure lint vet fmt fmt-check arch generate generate-check churn e2e ci clean chaos-proof

help: ## print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the commands into bin/, static and reproducible
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(COMMANDS))

dev: build ## run a server with everything it needs inside
	bin/wadm dev

test: ## all tests without a build tag, with the race detector, in random order
	$(GO) test -race -shuffle=on -timeout 20m $(PKG)

test-short: ## the tests that take seconds
	$(GO) test -short -timeout 5m $(PKG)

test-cluster: ## tests against NATS clusters of several servers
	$(GO) test -race -tags cluster -timeout 30m $(PKG)

chaos-proof: ## that the chaos suite would notice: mutations of the program, late effects, a herd, another ring
	$(GO) test -count=1 -tags chaos -timeout 30m ./loadtest/chaos -run 'Mutation|Quarantine|HandOver|Windows|Herd|AnotherRing' -v

chaos: ## real processes, broken on purpose, about 5 minutes
	set -o pipefail; $(GO) test -count=1 -tags chaos -timeout 20m ./loadtest/chaos -run '^TestLong$$' -v -chaos.seeds 1-10 | grep -v 'inflict.go'

chaos-long: ## the same with seeds of choice: make chaos-long SEEDS=1-50
	set -o pipefail; $(GO) test -count=1 -tags chaos -timeout 10h ./loadtest/chaos -run '^TestLong$$' -v -chaos.seeds $(or $(SEEDS),1-50) | grep -v 'inflict.go'

measure: ## what failover, hand-over and more instances cost, about 20 minutes on a machine left alone
	set -o pipefail; $(GO) test -count=1 -tags chaos -timeout 60m ./loadtest/chaos -run '^TestMeasure' -v | grep -v 'inflict.go'

prop: ## property tests with many more draws (RAPID_CHECKS)
	@for pkg in $$(grep -rl --include='*_test.go' 'pgregory.net/rapid' . | xargs -n1 dirname | sort -u); do \
		$(GO) test -timeout 60m "$$pkg" -rapid.checks=$(RAPID_CHECKS) $(if $(RAPID_SEED),-rapid.seed=$(RAPID_SEED)) || exit 1; \
	done

fuzz: ## every fuzz target for FUZZTIME
	@set -o pipefail; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) | tail -n 3 || exit 1; \
		done; \
	done

bench: ## all benchmarks; compare two runs with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -timeout 60m $(PKG)

bench-once: ## every benchmark once, so that none rots
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m $(PKG)

lint: fmt-check vet ## formatting, go vet, golangci-lint (pinned)
	$(LINT) run $(PKG)

vet: ## go vet
	$(GO) vet $(PKG)

fmt: ## format the source
	gofmt -w $$(git ls-files '*.go')

fmt-check: ## fail when something is not formatted
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not formatted, run make fmt:"; echo "$$out"; exit 1; }

arch: ## the import rules
	$(GO) test -count=1 ./docs/archtest

generate: ## rewrite what is generated from the source
	$(GO) generate $(PKG)

generate-check: generate ## fail when generated files are not current
	@git diff --exit-code -- docs/reference

churn: build ## random operations on simulated lattices, then compare: make churn SEEDS="1 2 3" CHURN="--duration 10m"
	@for seed in $(or $(SEEDS),1 2 3); do \
		bin/loadtest churn --run 'bin/wadm -s {nats} --command-deadline 15s' --seed $$seed $(CHURN) || exit 1; \
	done

e2e: ## end to end with real hosts: make e2e REAL=folder
	@if [ -z "$(REAL)" ]; then echo "e2e: NOT RUN, REAL names no folder with the real programs"; exit 0; fi; \
	pkgs=$$(grep -rl --include='*_test.go' '^//go:build e2e' . | xargs -r -n1 dirname | sort -u); \
	if [ -z "$$pkgs" ]; then echo "e2e: NOT RUN, no test carries the build tag e2e"; exit 0; fi; \
	REAL="$(REAL)" $(GO) test -count=1 -tags e2e -run '^TestReal' -timeout 30m -v $$pkgs

ci: fmt-check vet lint arch test bench-once ## what to run before a change is handed in; the merge is gated by .ci/run
	@$(MAKE) --no-print-directory build

clean: ## remove what was built
	rm -rf bin dist
