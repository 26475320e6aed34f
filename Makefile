# Everything a contributor runs. `make help` lists it.

SHELL       := /bin/bash
GO          ?= go
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
KUBERNETES  := $(shell sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\)$$/\1/p' controlplane/go.mod)
LDFLAGS     := -s -w -X github.com/pharoslb/pharos/internal/version.Version=$(VERSION)
CPLDFLAGS   := -s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES) -X k8s.io/client-go/pkg/version.gitVersion=$(KUBERNETES)
SOURCES     := $(shell git ls-files '*.go' '*.yaml' go.mod go.sum 2>/dev/null | grep -v -e '^controlplane/' -e '^deploy/tools/' -e '^deploy/chart/' -e _test.go)
FUZZTIME    ?= 3s
TESTFLAGS   ?=
BENCHFLAGS  ?=
LAYER2FLAGS ?=
DATAPLANEFLAGS ?=
# What takes longest begins first, and does not run alone at the end.
LONG        := ./internal/kube ./internal/lab/kubelet ./internal/linux/lan
# Tests that stand on whole machines run after the others: they watch clocks that a
# busy machine would stretch. They wait most of the time, so that two packages at
# once, of which one has two labs, leave two processors time to spare; each makes
# namespaces and directories of its own. e2e/kernel takes what of one processor the others
# leave. What measures has the machine to itself.
WHOLE       := ./e2e/... ./interop/...
MEASURES    := ./bench/layer2

export PHAROS_CONTROLPLANE := $(CURDIR)/bin/pharos-controlplane

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/pharos bin/pharos-controlplane ## build the product, and the control plane that the lab needs

bin/pharos: $(SOURCES)
	@echo "building bin/pharos"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/pharos

bin/pharos-controlplane: $(wildcard controlplane/*.go) controlplane/go.mod controlplane/go.sum
	@.ci/progress "building the Kubernetes control plane (the first time some ten minutes on two cores)" \
		env CGO_ENABLED=0 $(GO) -C controlplane build -ldflags '$(CPLDFLAGS)' -o $(CURDIR)/$@ .

.PHONY: image
image: ## build the container image for amd64 and arm64: bin/pharos-image.tar (PUSH=reference sends it to a registry)
	@mkdir -p bin
	@$(GO) -C deploy/tools run ./image -version $(VERSION) -out $(CURDIR)/bin/pharos-image.tar $(if $(PUSH),-push $(PUSH))

.PHONY: generate
generate: ## make anew what is made of others: deep copies, deploy/crds, deploy/pharos.yaml
	$(GO) generate ./api/...
	$(GO) -C deploy/tools run ./render -plain >deploy/pharos.yaml.new && mv deploy/pharos.yaml.new deploy/pharos.yaml

.PHONY: generate-ebpf
generate-ebpf: ## build the BPF programs anew; only this needs clang and llvm
	@.ci/deps clang llvm linux-libc-dev
	BPF_CFLAGS=-I/usr/include/$$(gcc -print-multiarch) $(GO) generate ./dataplane/ebpf
	@cd dataplane/ebpf && sha256sum bpf/* generate.go >sources.sha256

.PHONY: deps
deps: ## install what the tests need from the distribution's packages
	@.ci/deps

.PHONY: demo
demo: build ## bring the walk-through up, run its ten steps, leave nothing behind
	@.ci/deps curl iproute2 openssl nftables
	@bin/pharos lab demo

.PHONY: test
test: deps build ## run every test, including the walk-through
	$(GO) vet ./...
	$(GO) test -race -timeout 15m $(TESTFLAGS) $(LONG) $$($(GO) list ./... | grep -v -e /e2e -e /interop -e /bench)
# What these read lies outside their module, where the cache of results does not look.
	$(GO) -C deploy/tools vet ./...
	$(GO) -C deploy/tools test -count=1 -timeout 15m $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory fuzz
	$(GO) test -race -timeout 20m -p 2 $(TESTFLAGS) $(WHOLE)
	$(GO) test -race -timeout 10m $(TESTFLAGS) $(MEASURES)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (3s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: bench-lab bench-engine bench-layer2 bench-dataplane ## measure, print medians and compare; see bench/README.md

.PHONY: bench-lab
bench-lab: build ## measure the product on the walk-through's lab
	@.ci/deps curl iproute2 nftables openssl
	@$(GO) run ./bench

.PHONY: bench-layer2
bench-layer2: ## measure how fast a layer 2 address finds another node (LAYER2FLAGS='-nodes N -rounds N')
	@$(GO) run ./bench/layer2 $(LAYER2FLAGS)

.PHONY: bench-dataplane
bench-dataplane: build ## measure the data plane's drivers beside plain routing and kube-proxy (DATAPLANEFLAGS='-run REGEX -rounds N')
	@$(GO) run ./bench/dataplane $(DATAPLANEFLAGS)

.PHONY: bench-engine
bench-engine: ## measure the BGP engine beside four others (BENCHFLAGS='-run REGEX -rounds N')
	@.ci/deps bird2 frr gobgpd openbgpd
	@$(GO) run ./bench/engine $(BENCHFLAGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
