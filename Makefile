# The verbs of this project. `make check` is exactly what CI runs, with `make demo` after it.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/dunlin-edge/dunlin/cmd/dunlin/cli.Version=$(VERSION)
TIMED := bash .ci/timed

.PHONY: build demo test race vet lint check bench sim soak fuzz cross help

help: ## show the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build ./dunlin
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dunlin ./cmd/dunlin

demo: build ## play the scenes of the README with real parts
	@$(TIMED) demo bash examples/demo.sh

test: ## unit, property, integration and simulation tests
	@$(TIMED) test $(GO) test ./...
	@$(TIMED) compat $(GO) -C examples/compat test ./...

# The budget is 300 s on a cold checkout.
race: ## the tests under the race detector, in their short form, of the packages where something runs beside something else
	@packages=$$(bash .ci/racy) && $(TIMED) race $(GO) test -race -short -vet=off $$packages

vet: ## go vet
	@$(TIMED) vet $(GO) vet ./...

lint: ## gofmt and staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@$(TIMED) staticcheck $(GO) tool staticcheck ./...

check: vet lint test race cross ## what CI checks

cross: ## other platforms build (PLATFORMS=all for every one that is promised)
	@$(TIMED) cross bash .ci/cross $(PLATFORMS)

bench: build ## every figure beside its target (ARGS="-json -run submit")
	@$(GO) run ./bench $(ARGS)

sim: ## simulate many seeds (SEEDS=100000)
	@$(GO) test ./sim/region -run TestSeeds -seeds=$(or $(SEEDS),20000) -timeout 0 -v

soak: ## 2,000 simulated devices with faults for ten minutes (DEVICES=2000 FOR=10m)
	@$(GO) test ./bench -run TestSoak -soak.devices=$(or $(DEVICES),2000) -soak.for=$(or $(FOR),10m) -timeout 0 -v

fuzz: ## run every fuzz target for a while (FUZZTIME=60s)
	@bash .ci/fuzz $(or $(FUZZTIME),60s)
