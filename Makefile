# make demo   serve the demo on http://localhost:8080 (DEMO_ADDR, DEMO_DATA)
# make test   everything CI runs: installs what the tests need, then runs them all with the race detector
# make screenshots  the pictures of docs/portal.md and the README, into docs/images
# make chaos  kills, hangs and full disks under load, for CHAOS_SECONDS (600), then tampering; Linux, root or sudo
# make soak   people who start, stop and let expire, under load and reloads, for SOAK_MINUTES (30); Linux
# make bench  CPU per request against bare Caddy (BENCH_SECONDS)

GO        ?= go
DEMO_ADDR ?= localhost:8080
BIN       := bin/caddy-impersonate
export CGO_ENABLED ?= 0
# Where test/setup.sh puts a Node.js when the system's is too old.
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/caddy-impersonate/node/node_modules/.bin:$(PATH)

.PHONY: demo build test unit e2e lint screenshots chaos soak bench setup clean

demo: build
	@exec ./$(BIN) impersonate demo --addr "$(DEMO_ADDR)" $(if $(DEMO_DATA),--data "$(DEMO_DATA)")

build:
	@mkdir -p bin
	@[ -x $(BIN) ] || echo "Building (the first time takes a few minutes: Caddy and its modules are compiled) …"
	@$(GO) build -trimpath -o $(BIN) ./cmd/caddy-impersonate

# What the tests need and this machine lacks: a browser, Node.js, identity providers, apps, the ClickHouse engine.
setup:
	@test/setup.sh

test: setup lint unit e2e

unit:
	CGO_ENABLED=1 $(GO) test -race -timeout 60m ./...
	cd test/chserver && CGO_ENABLED=0 $(GO) test -count=1 ./...

e2e: build
	$(GO) test -count=1 -timeout 40m -tags browser ./internal/banner
	cd test/e2e && CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 90m ./...
	cd test/matrix && CGO_ENABLED=1 $(GO) test -count=1 -timeout 90m ./...

# The linters' versions are pinned here: a new one must not turn a green commit red.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
lint:
	@unformatted="$$($(GO) run $(GOFUMPT) -l $$(git ls-files '*.go'))"; [ -z "$$unformatted" ] || { echo "gofumpt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	cd test/e2e && $(GO) vet ./...
	cd test/matrix && $(GO) vet ./...
	cd test/chserver && CGO_ENABLED=0 $(GO) vet .
	$(GO) run $(STATICCHECK) ./...

# The pages are held to what TestAccessible asks of them at the same time.
screenshots: setup
	cd test/e2e && SCREENSHOTS="$(CURDIR)/docs/images" $(GO) test -count=1 -timeout 20m -run 'TestAccessible$$' .

CHAOS_SECONDS ?= 600
chaos:
	@cd test/e2e && CHAOS_SECONDS=$(CHAOS_SECONDS) ../lastline.sh CHAOS $(GO) test -count=1 -timeout 0 -v -run 'TestChaos$$' .

SOAK_MINUTES ?= 30
soak:
	@cd test/e2e && SOAK_MINUTES=$(SOAK_MINUTES) ../lastline.sh SOAK $(GO) test -count=1 -timeout 0 -v -run 'TestSoak$$' .

# A million random ends of a journal: each is recovered or cut off.
tails:
	JOURNAL_TAILS=$(or $(JOURNAL_TAILS),1000000) $(GO) test -count=1 -timeout 0 -v -run 'TestRandomTails$$' ./internal/audit/journal

bench: build
	@test/bench/run.sh

clean:
	rm -rf bin .cache
