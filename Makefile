# Two commands do everything: `make run` serves Kafka on 127.0.0.1:9092, `make test` starts real servers and tests.
# Versions of the tools stand in .ci/versions.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
RUN     ?=
FUZZTIME ?= 20s

.PHONY: release help deps run build image test unit race suites terraform containers clients lint fmt fuzz bench long docs clean chaos demo sim mutants model

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: build ## serve Kafka on 127.0.0.1:9092, store under ./odradek-data (RUN="--flush-interval 100ms" adds flags)
	@bin/odradek agent $(RUN)

build: ## bin/odradek
	@mkdir -p bin
	@go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/odradek ./cmd/odradek

image: ## the container image odradek:dev, by docker or buildah (IMAGE=, PLATFORMS=linux/amd64,linux/arm64, FLAGS=--push)
	@IMAGE=$(or $(IMAGE),odradek:dev) PLATFORMS=$(PLATFORMS) VERSION=$(VERSION) .ci/image $(FLAGS)

deps: ## what the tests need and PATH does not have: .cache/bin, apt
	@.ci/deps

test: ## all tests, against real Redis and S3 servers on loopback
	@.ci/test

unit: ## only packages that need no server
	@.ci/test unit

race: ## everything outside test/, with the race detector
	@.ci/test unit devices

suites: ## whole agents, crashes, the project itself
	@.ci/test suites

terraform: ## the modules for AWS, without an account of AWS
	@.ci/test terraform

containers: ## the image, compose.yaml as processes, the chart
	@.ci/test containers

clients: ## Java, Python, Node, C and Go clients
	@.ci/test clients

lint: ## gofmt, go vet and the linters of .golangci.yml
	@.ci/deps lint
	.cache/bin/golangci-lint run

fmt: ## format the code and its imports
	@.ci/deps lint
	.cache/bin/golangci-lint fmt

fuzz: ## every fuzz target for FUZZTIME
	@for package in $$(go list -f '{{.Dir}}' ./...); do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$package/*_test.go 2>/dev/null | cut -c6-); do \
	    echo "== $$target in $$package"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

bench: ## every benchmark
	go test -run '^$$' -bench . -benchmem ./...

demo: ## three agents for a minute: one is killed, Redis is wiped, nothing is lost (STORE=minio: not on a directory)
	@go run ./test/demo -store $(or $(STORE),file) $(DEMO)

chaos: ## three minutes of faults on a pool, judged (CHAOS="-minutes 60 -seed 7" changes that)
	@go run ./test/chaos $(CHAOS)

sim: ## simulated pools of agents, as many seeds as fit into 2 minutes (SIM="-seed 7 -seeds 1" for others)
	@go run ./test/sim $(or $(SIM),-minutes 2)

mutants: ## break the protocol, rule by rule, and see how soon the simulation finds it
	@go run ./test/sim mutants $(MUTANTS)

model: ## every state of the protocol's models, and that no rule can be spared (docs/model.md)
	go run ./test/model

long: ## the tests in their long form: hours
	ODRADEK_TEST_LONG=1 go test -count=1 -timeout 0 ./test/...
	@$(MAKE) --no-print-directory fuzz FUZZTIME=5m

docs: build ## the pages that are written from the code
	bin/odradek docs settings > docs/settings.md
	bin/odradek docs metrics > docs/metrics.md
	go run ./test/terraform/readme terraform/modules/*
	cp examples/monitoring/alerts.yml examples/helm/odradek/alerts.yml

release: ## the files of a release in dist/: binaries, bills of materials, SHA256SUMS (docs/releasing.md)
	@.ci/release $(VERSION) dist

clean: ## removes what was built: bin, .cache; records in odradek-data stay
	rm -rf bin .cache
