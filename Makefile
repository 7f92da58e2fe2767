# What people type. CI runs .ci/run, which calls these.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s
PAIRS ?= 5
ROWS ?= .
CGO ?= 0

# Where "make install" puts things; a package has DESTDIR=its tree.
DESTDIR ?=
BUILD ?= build
LIBDIR = $(DESTDIR)/usr/lib

.PHONY: build install tools quick race test test-kernel test-boot test-boot-long lint fuzz crash bench demo clean

# A static program; it needs none of the C library's name services. With CGO=1 one that
# can load PKCS#11 modules, and needs the C library.
build:
	CGO_ENABLED=$(CGO) go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BUILD)/sealpart ./cmd/sealpart

# The program, and what each kind of initramfs finds by itself (see initramfs/README.md).
install: build
	install -D -m 755 -t $(DESTDIR)/usr/bin $(BUILD)/sealpart
	install -D -m 644 -t $(LIBDIR)/systemd/system initramfs/systemd/sealpart.service
	install -D -m 644 initramfs/systemd/cryptsetup-settle.conf $(LIBDIR)/systemd/system/systemd-cryptsetup@.service.d/sealpart.conf
	install -D -m 755 -t $(LIBDIR)/dracut/modules.d/90sealpart initramfs/dracut/90sealpart/module-setup.sh
	install -m 644 -t $(LIBDIR)/dracut/modules.d/90sealpart initramfs/systemd/device-timeout.conf
	install -D -m 644 -t $(LIBDIR)/sealpart initramfs/systemd/device-timeout.conf
	install -D -m 755 -t $(DESTDIR)/usr/share/initramfs-tools/hooks initramfs/initramfs-tools/hooks/sealpart
	install -D -m 755 -t $(DESTDIR)/usr/share/initramfs-tools/scripts/local-top initramfs/initramfs-tools/scripts/local-top/sealpart
	install -D -m 755 -t $(DESTDIR)/usr/share/initramfs-tools/scripts/local-bottom initramfs/initramfs-tools/scripts/local-bottom/sealpart
	install -D -m 755 -t $(LIBDIR)/cryptsetup/scripts initramfs/initramfs-tools/cryptsetup/sealpart
	install -D -m 644 -t $(LIBDIR)/initcpio/install initramfs/mkinitcpio/install/sealpart
	install -D -m 644 -t $(LIBDIR)/initcpio/hooks initramfs/mkinitcpio/hooks/sealpart

# The foreign programs that judge the tests (as root; else it says what to install).
tools:
	tools/install.sh

# While you work: what touches no device and starts no program, in seconds.
quick:
	test -z "$$(gofmt -l .)"
	go vet ./...
	go test -short ./definitions ./planner/... ./disk ./internal/gpt ./internal/resolve ./internal/secret ./verity

# The packages in which goroutines share something, under the race detector; it needs cgo.
race:
	CGO_ENABLED=1 go test -race -short ./internal/abandon ./internal/claim ./internal/key/source ./internal/key/file ./internal/key/module ./internal/blockdev ./verity
	CGO_ENABLED=1 go test -race -short ./executor -run 'ApplyWhole|AbsentKeys|Barriers'

# A test whose judge is missing fails, it is not skipped.
test: tools
	SEALPART_REQUIRE_TOOLS=1 go test -timeout 30m ./...

# What user-mode Linux says of volumes, devices and disks; "make test" has it, too, with fewer
# kinds of conversion beside which other programs run.
test-kernel: tools
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/kernel -v -modes -timeout 40m

# Whole machines boot in qemu: some minutes. Of these, "make test" boots the first.
test-boot: tools
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/boot -v -all -timeout 60m

# The same with twenty power cuts, under UEFI, and on arm64: half an hour.
test-boot-long: tools
	tools/arm64.sh build/arm64
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/boot -v -all -kinds -uefi -arm64 $(CURDIR)/build/arm64 -cuts 20 -cut-boots 10 -timeout 3h

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
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/matrix -all -timeout 1h
	SEALPART_REQUIRE_TOOLS=1 go test ./tests/kill -kills 500 -secrets -timeout 3h

# The table of ratios against the peers. It wants an idle machine, 10 GiB of /dev/shm
# and ten minutes; ROWS=verity measures the rows of that name, PAIRS=1 once.
bench: tools build
	go test -c -o build/bench ./tests/bench
	cd tests/bench && ../../build/bench -full -pairs $(PAIRS) -sealpart ../../build/sealpart -test.run 'TestBench/$(ROWS)' -test.timeout 2h

demo: tools build
	./tests/demo/run.sh

clean:
	rm -rf build
