# cw: the two commands of the README are `make demo` and `make test`.
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED ?= 0
GOLANGCI := v2.15.0
GORELEASER := v2.15.4
FUZZTIME ?= 20s

.PHONY: help build docs test lint changes check nightly demo bench fuzz release-check install-check vuln leaks deps-test deps-demo clean

help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# AWS's clients are called a few times a minute: inlined they are 2 MB larger.
# .goreleaser.yml has the same flags, and -trimpath, which would have all
# packages compiled once more here.
BUILD := -ldflags '-s -w' -gcflags 'github.com/aws/...=-l'

OUT := bin/cw

build: ## build bin/cw, static, within its budget
	go build $(BUILD) -o $(OUT) ./cmd/cw
	@.ci/size $(OUT)

docs: ## write man/, completions/, docs/schema/ and docs/commands.md anew, from the commands
	go run ./cmd/gendocs

deps-demo:
	@.ci/deps demo
deps-test:
	@.ci/deps test

demo: deps-demo build ## three hosts, a cluster, an object store and a load whose speed changes while it runs
	@go build -C tools -o ../bin/ ./...
	@playground/demo.sh

# Vetted by make lint.
test: deps-test ## all tests, with the race detector
	CGO_ENABLED=1 go test -race -vet=off -timeout 20m ./...
	go vet -C tools ./...
	go test -C tools ./...

bin/golangci-lint-$(GOLANGCI):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@mv bin/golangci-lint $@

lint: bin/golangci-lint-$(GOLANGCI) ## vet and golangci-lint
	go vet ./...
	$< run ./...

changes: ## is CHANGELOG.md what changelog/ says?
	@changelog/make --check

# What CI runs: .ci/run is this and nothing else.
check: deps-test changes lint test demo release-check install-check vuln ## everything that CI checks

nightly: check ## check, no secret in any log, every fuzz target for a minute, a soak, the monitor's long tests, the ratios
	$(MAKE) leaks
	$(MAKE) fuzz FUZZTIME=60s
	CW_SOAK=1 CGO_ENABLED=1 go test -race -count=1 -timeout 60m -run Soak ./loadspec/run/
	CW_TEST_LONG=1 CGO_ENABLED=0 go test -count=1 -timeout 90m -run '^TestMonitors$$' ./monitor/labtest/
	$(MAKE) bench

bin/goreleaser:
	GOBIN=$(CURDIR)/bin go install github.com/goreleaser/goreleaser/v2@$(GORELEASER)

release-check: ## a release made twice and compared, into dist/; where goreleaser is
	@.ci/release

install-check: ## the deb of dist/ installed into a bare Debian, used, and removed
	@.ci/install

leaks: deps-test ## the tests' logs, stores and reports searched for secrets, also those that they delete
	go build -C tools -o ../bin/leaks ./leaks
	CGO_ENABLED=1 bin/leaks -known tools/leaks/known.txt -- go test -race -vet=off -count=1 -timeout 20m ./...

vuln: ## known weaknesses in what cw is made of
	@.ci/vuln

bench: deps-test build ## ratios against psql \copy, gunzip, gpfdist, Greenplum's own tools, fio, iperf3 and C, side by side
	@go build -C tools -o ../bin/ ./...
	CW_BENCH=1 CGO_ENABLED=0 go test -count=1 -p 1 -timeout 90m -run '^TestBench' -v ./loadspec/run/... ./loadspec/source/ ./loadspec/fdist/ ./cluster/greenplum/ ./perfcheck/... ./monitor/labtest/
	CGO_ENABLED=0 go test -timeout 20m -run '^$$' -bench '^BenchmarkDay$$' -benchtime 100x ./state/

fuzz: ## every fuzz target for FUZZTIME (20s)
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
		echo "$$p $$f"; go test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x || exit 1; done; done

clean: ## remove what was built
	rm -rf bin dist packaging/out
