# Everything one does with this repository. `make run` and `make test` start from nothing but git,
# Go and make on Debian; `make check` is exactly what CI runs.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# What `make run` passes on: make run ARGS="doctor --json". Without, the screen opens.
ARGS ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOLS   := build/tools
GOLANGCI_LINT := v2.15.0
DEADCODE      := v0.52.0
GOVULNCHECK   := v1.9.0
BENCHSTAT     := v0.0.0-20260908200009-22c9c6c9d4da
CLANG_FORMAT  ?= clang-format

# One OpenMP thread: repeatable sums, and no spinning on a machine that others use too.
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive FNF_TORCH_SHIM=$(CURDIR)/build/libfnf_torch.so
# Prints go test's own lines, of -v output, and counts the tests that skipped.
SUMMARY  := awk -f .ci/summary.awk
# Packages that neither they nor their tests need libtorch for.
PURE = $$(go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | awk '$$1 ~ /\.test$$/ && !/focusnfix\/model\/torch/ { sub(/\.test$$/, "", $$1); print $$1 }')
BASE ?= main
# The same commit and Go give the same bytes, wherever they are built.
GO_BUILD = go build -trimpath -buildvcs=false -ldflags '-s -w -X focusnfix/cmd.version=$(VERSION)'
# What `make test-isa` runs (.ci/test-isa lists the rows), and the python whose torch is its libtorch 2.
# By itself it installs TORCH2_PIP, several GB; without CUDA's share of them:
#   TORCH2_PIP="torch==2.11.0 --index-url https://download.pytorch.org/whl/cpu"
ISA        ?= narrow avx2 wide torch2
TORCH2     ?= build/torch2-venv/bin/python
TORCH2_PIP ?= torch==2.11.0

##@ Use

.PHONY: run
run: build ## build and run the program (ARGS="doctor --json")
	@./build/focusnfix $(ARGS)

.PHONY: build
build: shim binary ## the shim and build/focusnfix

.PHONY: binary
binary: build/modules.stamp ## build/focusnfix alone: needs Go and a C compiler, no libtorch
	@[[ -f build/focusnfix ]] || echo "compiling build/focusnfix (under a minute the first time, a second later)"
	@$(GO_BUILD) -o build/focusnfix .

.PHONY: shim
shim: ## build/libfnf_torch.so, for the libtorch of this machine
	@[[ -f build/shim.stamp ]] || model/torch/shim/setup.sh
	@[[ -f build/shim.stamp ]] || echo "compiling build/libfnf_torch.so (half a minute, once)"
	@model/torch/shim/build.sh

.PHONY: man
man: binary ## manual pages in build/man (man build/man/focusnfix.1)
	@./build/focusnfix man build/man && echo "build/man: $$(ls build/man | wc -l) pages"

.PHONY: setup
setup: ## install libtorch, OpenBLAS and a C++ compiler if missing, and compile the shim
	@model/torch/shim/setup.sh
	@model/torch/shim/build.sh

##@ Check

.PHONY: test
test: shim ## every test, libtorch required
	@$(TEST_ENV) FNF_REQUIRE_TORCH=1 go test -v ./... | $(SUMMARY)

.PHONY: test-pure
test-pure: ## the tests that need no libtorch
	@go test $(PURE)

.PHONY: test-isa
test-isa: shim $(if $(findstring torch2,$(ISA)),$(TORCH2)) ## the tests that compute, under narrow to wide instruction sets and libtorch 2 (ISA="narrow wide")
	@TORCH2=$(TORCH2) .ci/test-isa $(ISA)

.PHONY: test-device
test-device: $(TORCH2) ## the tests that compute, on a stand-in for a GPU whose memory no host code may touch (libtorch 2)
	@TORCH2=$(TORCH2) .ci/test-device

.PHONY: race
race: ## the same under the race detector
	@go test -race $(PURE)

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT) $(TOOLS)/deadcode-$(DEADCODE) ## go vet, golangci-lint, dead code, shellcheck, and formats
	@$< run --allow-parallel-runners
	@$< fmt --diff
	@.ci/dead $(TOOLS)/deadcode-$(DEADCODE)
	@if command -v shellcheck >/dev/null; then shellcheck $$(git ls-files '*.sh' .ci/run .ci/test-isa .ci/test-device .ci/dead .ci/licenses .ci/vulnerabilities); \
	else echo "skipped: shellcheck is not installed"; fi
	@if command -v $(CLANG_FORMAT) >/dev/null; then $(CLANG_FORMAT) --dry-run --Werror $$(git ls-files '*.c' '*.cpp' '*.h'); \
	else echo "skipped: $(CLANG_FORMAT) is not installed"; fi

.PHONY: check
check: lint test race licenses vulnerabilities ## what CI runs

.PHONY: check-all
check-all: check test-isa test-device ## check, every set of instructions, libtorch 2 and the stand-in for a GPU (an hour on two cores)

.PHONY: vulnerabilities
vulnerabilities: $(TOOLS)/govulncheck-$(GOVULNCHECK) ## known ones in the code that the program calls (needs vuln.go.dev, else it skips)
	@.ci/vulnerabilities $<

.PHONY: licenses
licenses: ## of the modules that the program is linked from; fails on one that may not be
	@.ci/licenses

.PHONY: sbom
sbom: binary ## build/focusnfix.sbom, the modules in the binary, and build/SHA256SUMS
	@cd build && go version -m focusnfix >focusnfix.sbom && sha256sum focusnfix focusnfix.sbom | tee SHA256SUMS

.PHONY: reproducible
reproducible: binary ## build the binary a second time, elsewhere and from nothing, and compare (minutes)
	@rm -rf build/again && mkdir -p build/again/src && git ls-files -z | xargs -0 cp --parents -t build/again/src
	@cd build/again/src && GOCACHE=$(CURDIR)/build/again/cache $(GO_BUILD) -o ../focusnfix .
	@sha256sum build/focusnfix build/again/focusnfix && cmp build/focusnfix build/again/focusnfix && echo "the same bytes"
	@rm -rf build/again

.PHONY: soak
soak: build ## 20 kills of the engine, 10,000 fault schedules, then SOAK (1h) of work on one engine; logs in build/soak
	@mkdir -p build/soak
	@$(TEST_ENV) FNF_KILLS=20 go test -v -count 1 -timeout 3h -run TestKilledAndResumed ./core/engine | tee build/soak/kills.log
	@FNF_SCHEDULES=10000 go test -v -count 1 -timeout 1h -run TestFaultSchedules ./core/run | tee build/soak/schedules.log
	@$(TEST_ENV) FNF_SOAK=$(or $(SOAK),1h) FNF_BINARY=$(CURDIR)/build/focusnfix \
		go test -v -count 1 -timeout 48h -run TestSoak ./core/engine | tee build/soak/soak.log

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@git grep -hno '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' >/dev/null || { echo "no fuzz targets"; exit; }; \
	git grep -o '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | while IFS=: read -r file name; do \
		echo "== $${name#func } in $$(dirname $$file)"; \
		$(TEST_ENV) go test -run '^$$' -fuzz "^$${name#func }\$$" -fuzzminimizetime 100x -fuzztime $(or $(FUZZTIME),10s) ./$$(dirname $$file); \
	done

##@ Work

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT) ## format Go and C++
	@$< fmt
	@if command -v $(CLANG_FORMAT) >/dev/null; then $(CLANG_FORMAT) -i $$(git ls-files '*.c' '*.cpp' '*.h'); fi

.PHONY: term-test
term-test: binary ## pictures and the screen in real terminals; skips with a reason what is not installed
	@termtest/run.sh
	@termtest/screen.sh
	@termtest/fix.sh

.PHONY: golden
golden: ## rewrite golden files; read the diff before committing it
	@for dir in $$(git ls-files '*.golden' | sed 's|/testdata/.*||' | sort -u); do go test ./$$dir -update; done
	@go test ./cmd -run Schemas -update

.PHONY: bench
bench: shim ## every benchmark once
	@OMP_WAIT_POLICY=passive go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-diff
bench-diff: shim $(TOOLS)/benchstat-$(BENCHSTAT) ## benchstat of BASE (main) against the working tree, ten runs each
	@rm -rf build/bench && git worktree prune && git worktree add -f --detach build/bench $(BASE) >/dev/null
	@cd build/bench && model/torch/shim/build.sh && go test -run '^$$' -bench . -count 10 ./... >../bench-old.txt || true
	@go test -run '^$$' -bench . -count 10 ./... >build/bench-new.txt
	@git worktree remove --force build/bench
	@$(TOOLS)/benchstat-$(BENCHSTAT) build/bench-old.txt build/bench-new.txt

.PHONY: pretrain
pretrain: build ## make the shipped model from its scenes into build/pretrain (hours on a CPU; goes on where it stopped)
	@./build/focusnfix pretrain all --out build/pretrain --resume

# What bench/gpu.sh runs on a machine without Go: the program, and test binaries. Each archive stays below 62 MiB with the
# tracked files, so that one after the other can be carried. A lean program reads its weights from the tree,
# and functions that are not inlined make it a sixth smaller.
GPU_TESTS := model/torch model/sd core/train core/engine

.PHONY: gpu-bundle
gpu-bundle: ## what bench/gpu.sh runs: build/gpu.tar.xz and, in another load, build/gpu-tests.tar.xz
	@rm -rf build/gpu build/gpu-*.tar.xz && mkdir -p build/gpu
	@go build -tags lean -trimpath -gcflags all=-l -ldflags '-s -w -X focusnfix/cmd.version=$(VERSION)' -o build/gpu/focusnfix .
	@for pkg in $(GPU_TESTS); do mkdir -p build/gpu/$$(dirname $$pkg); \
		go test -c -tags lean -trimpath -gcflags all=-l -ldflags '-s -w' -o build/gpu/$$pkg.test ./$$pkg; done
	@cd build && pack() { xz --x86 --lzma2=preset=9,dict=64MiB; }; \
	tar -c gpu/focusnfix | pack >gpu.tar.xz; tar -c --exclude gpu/focusnfix gpu | pack >gpu-tests.tar.xz; rm -r gpu
	@tree=$$(git ls-files -z | xargs -0 du -cb | tail -n 1 | cut -f 1); large=; \
	for archive in build/gpu.tar.xz build/gpu-tests.tar.xz; do bytes=$$(( $$(stat -c %s $$archive) + tree )); \
		echo "$$archive: $$(du -h $$archive | cut -f 1); with the tree $$(( bytes / 1048576 )) MiB of 62"; \
		(( bytes <= 62 * 1048576 )) || large=yes; done; [[ -z $$large ]]

.PHONY: clean
clean: ## remove build/
	@rm -rf build

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

build/torch2-venv/bin/python:
	@echo "installing $(TORCH2_PIP) into build/torch2-venv (several GB, minutes)"
	@rm -rf build/torch2-venv && python3 -m venv build/torch2-venv.new
	@build/torch2-venv.new/bin/python -m pip install -q $(TORCH2_PIP)
	@mv build/torch2-venv.new build/torch2-venv

# Go downloads what is missing without a word; this says so first.
build/modules.stamp: go.sum
	@GOPROXY=off go list -deps . >/dev/null 2>&1 || { echo "downloading Go modules"; \
	go list -deps . >/dev/null; echo "downloaded in $$SECONDS s"; }
	@mkdir -p build && touch $@

# The version is part of the name: a new pin builds anew. Go's cache makes the second time cheap.
$(TOOLS)/golangci-lint-%:
	@echo "building golangci-lint $* (some minutes the first time)"
	@GOBIN=$(CURDIR)/$(TOOLS)/new go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	@mv $(TOOLS)/new/golangci-lint $@

$(TOOLS)/deadcode-%:
	@GOBIN=$(CURDIR)/$(TOOLS)/new go install golang.org/x/tools/cmd/deadcode@$*
	@mv $(TOOLS)/new/deadcode $@

$(TOOLS)/govulncheck-%:
	@GOBIN=$(CURDIR)/$(TOOLS)/new go install golang.org/x/vuln/cmd/govulncheck@$*
	@mv $(TOOLS)/new/govulncheck $@

$(TOOLS)/benchstat-%:
	@GOBIN=$(CURDIR)/$(TOOLS)/new go install golang.org/x/perf/cmd/benchstat@$*
	@mv $(TOOLS)/new/benchstat $@
