# cw: the two commands of the README are `make demo` and `make test`.
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED ?= 0
GOLANGCI := v2.15.0

.PHONY: help build test lint check docs demo bench fuzz deps-test deps-demo clean

help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build bin/cw, static
	go build -trimpath -ldflags '-s -w' -o bin/cw ./cmd/cw

docs: ## write man/, completions/, docs/schema/ and docs/commands.md anew, from the commands
	go run ./cmd/gendocs

deps-demo:
	@.ci/deps demo
deps-test:
	@.ci/deps test

demo: deps-demo build ## three hosts, a cluster, an object store and a load whose speed changes while it runs
	@go build -C tools -o ../bin/ ./...
	@playground/demo.sh

test: deps-test ## all tests, with the race detector
	CGO_ENABLED=1 go test -race -timeout 20m ./...
	go vet -C tools ./...

bin/golangci-lint-$(GOLANGCI):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@mv bin/golangci-lint $@

lint: bin/golangci-lint-$(GOLANGCI) ## vet and golangci-lint
	go vet ./...
	$< run ./...

check: lint test ## what CI checks before the demo

bench: deps-test build ## ratios against psql \copy, gunzip, gpfdist, Greenplum's own tools, fio, iperf3 and C, side by side
	@go build -C tools -o ../bin/ ./...
	CW_BENCH=1 CGO_ENABLED=0 go test -count=1 -p 1 -timeout 90m -run '^TestBench' -v ./loadspec/run/... ./loadspec/source/ ./loadspec/fdist/ ./cluster/greenplum/ ./perfcheck/... ./monitor/labtest/
	CGO_ENABLED=0 go test -timeout 20m -run '^$$' -bench '^BenchmarkDay$$' -benchtime 100x ./state/

fuzz: ## every fuzz target for 20 seconds
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
		echo "$$p $$f"; go test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime 20s -fuzzminimizetime 1x || exit 1; done; done

clean: ## remove what was built
	rm -rf bin dist
