# What people type. CI runs .ci/run, which calls these.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s

.PHONY: build tools test lint fuzz demo clean

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

demo: tools build
	./tests/demo/run.sh

clean:
	rm -rf build
