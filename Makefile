# make demo   shows API traffic captured by the moesif plugin, without Kong; ONCE=1 ends after the printout
# make test   runs every test
# make check  runs test, formatting, static analysis, generated files
# make check-deploy  reads scripts, workflows and the files for users with what is heavy, and builds the release twice
# make check-chart KONG_CHART=kong  renders Kong's chart for Helm with our values files
# make e2e    runs the plugins in a real gateway, where Docker is; KONG_IMAGE=kong:3.9 says in which
SHELL := bash
GO ?= go
BIN := bin
FUZZTIME ?= 10s
SOAKTIME ?= 60s
KONG_IMAGE ?= kong:3.9
# What -version shows behind "build": the tag, what came after it, and the commit.
VERSION ?= $(shell echo "$$(git describe --tags --dirty 2>/dev/null || echo untagged)+$$(git rev-parse HEAD 2>/dev/null || echo unknown)")

# The same source gives the same bytes, wherever and whenever it is built: no paths, no time, no state of the repository.
BUILDFLAGS := -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X kong-go-plugins/internal/pluginserver.build=$(VERSION)'

.PHONY: demo test check check-deploy check-chart e2e build release-binaries konnect-schema generate bench soak fuzz clean

demo:
	@$(GO) run ./cmd/kongdev -demo $(if $(ONCE),-once) -f examples/quickstart/kong.yml

test:
	$(GO) test -race -timeout 8m ./...

check: test
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt differs: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) test -run '^$$' -bench . -benchtime 20x ./internal/pluginserver/benchmark >/dev/null
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	$(MAKE) generate
	git diff --exit-code -- schema docs README.md examples

# Static binaries for this machine. Kong takes a plugin's name from its file's.
build:
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o $(BIN)/ ./cmd/...

# What docker/Dockerfile puts into its images.
release-binaries:
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o $(BIN)/plugins/ ./cmd/moesif ./cmd/keyauth ./cmd/datakit
	CGO_ENABLED=0 $(GO) build $(BUILDFLAGS) -o $(BIN)/install ./docker/install
	release/licenses.sh > $(BIN)/THIRD-PARTY-LICENSES

check-deploy:
	shellcheck --severity=warning $$(git ls-files '*.sh') .ci/run
	$(GO) tool -modfile=tools/go.mod actionlint
	cd release/checks && $(GO) vet ./... && $(GO) test -count=1 ./...
	release/reproducible.sh
	$(if $(KONG_CHART),$(MAKE) check-chart)

# Renders the chart kong/kong with our values files; KONG_CHART is the folder of a copy (helm pull kong/kong --untar).
check-chart:
	cd release/chart && $(GO) vet ./... && KONG_CHART=$(abspath $(KONG_CHART)) $(GO) test -count=1 ./...

e2e:
	@KONG_IMAGE=$(KONG_IMAGE) docker/e2e.sh

# The body with which each plugin's schema is uploaded to a control plane of Konnect, which has a datakit of its own.
konnect-schema:
	@mkdir -p $(BIN)/konnect
	@set -o pipefail; for p in moesif keyauth; do jq -Rs '{lua_schema: .}' schema/$$p/schema.lua > $(BIN)/konnect/$$p.json || exit 1; done
	@set -o pipefail; $(GO) run ./cmd/datakit -name datakit-go -schema lua | jq -Rs '{lua_schema: .}' > $(BIN)/konnect/datakit-go.json
	@ls $(BIN)/konnect/*.json

# Writes schema/<plugin>/, the parameter tables in the documentation, and examples/configure for each tool.
generate:
	$(GO) generate ./...

# Our server against go-pdk's own and a bare socket echo, in one run; prints the table of docs/performance.md.
# Then what kongdev reaches with a plugin that does nothing, in requests/s, and moesif in each mode against such a plugin.
# Then workflows of datakit, each next to what it is compared with.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 0.4s -count 3 ./internal/pluginserver/benchmark
	$(GO) test -run '^$$' -bench Noop -benchtime 2s ./internal/kongdev/referee
	$(GO) test -run '^$$' -bench Gateway -benchtime 1x ./moesif/benchmark
	$(GO) test -run '^$$' -bench . -benchtime 1x ./datakit/benchmark ./datakit

# The kill, hand-over, configuration and outage tests for SOAKTIME each, with their figures.
soak:
	SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 60m -v -run 'TestSoak' ./internal/pluginserver/...
	SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 60m -v -run 'TestOutage|TestKill|TestAdoptionRace|TestModel' ./moesif ./moesif/send ./moesif/spool

# Each fuzz target for FUZZTIME.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

clean:
	rm -rf $(BIN)
