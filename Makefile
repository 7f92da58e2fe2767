# What people type. CI runs .ci/run, which calls these.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s
PAIRS ?= 5
ROWS ?= .

.PHONY: build tools test lint fuzz crash bench demo clean

# A static program; it needs none of the C library's name services.
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o build/sealpart ./cmd/sealpart

# The foreign programs that judge the tests (as root; else it says what to install).
tools:
	tools/install.sh

# A test whose judge is missing fails, it is not skipped.
test: tools
	SEALPART_REQUIRE_TOOLS=1 go test ./...

# The linter is a tool of its own module, so that ours does not inherit its modules.
lint:
	go vet ./...
	go tool -modfile=tools/go.mod golangci-lint run ./...

fuzz:
	tools/fuzz.sh $(FUZZTIME)

# The long form of the power cuts, failures and kills: every operation, an hour or two.
crash: tools
	SEALPART_REQUIRE_TOOLS=1 go test ./executor -run 'Crash|Fault|Interrupt|Free' -crash-times 12 -crash-states 0 -fault-states 0 -timeout 3h
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/blklog -states 0 -timeout 3h
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/interop -cuts 0 -timeout 3h
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/kill -kills 500 -timeout 3h

# The table of ratios against the peers. It wants an idle machine, 10 GiB of /dev/shm
# and ten minutes; ROWS=verity measures the rows of that name, PAIRS=1 once.
bench: tools build
	go test -c -o build/bench ./tests/bench
	cd tests/bench && ../../build/bench -full -pairs $(PAIRS) -sealpart ../../build/sealpart -test.run 'TestBench/$(ROWS)' -test.timeout 2h

demo: tools build
	./tests/demo/run.sh

clean:
	rm -rf build
