package main

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// planFlags are the flags that decide what a plan is; plan and apply share them.
type planFlags struct {
	made         string // file below root that a run makes before it copies files, "" for none
	definitions  []string
	empty        string
	size         string
	seed         string
	root         string
	sectorSize   int
	discard      bool
	factoryReset bool
	leftovers    string
	split        bool
	boot         bool
	found        bool // the disk is no argument: the boot's own names led to it
	mount        bool
	json         bool
	keys         *keyFlags // those of the same command, nil where it has none
}

// register adds the flags to a command.
func (f *planFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.definitions, "definitions", nil, "read definitions from `DIR` only (repeatable)")
	flags.StringVar(&f.empty, "empty", string(planner.EmptyRefuse), "what to do about the partition table: `refuse|allow|require|force|create`")
	flags.StringVar(&f.size, "size", "", "grow the image file to this size: `BYTES|auto`")
	flags.StringVar(&f.seed, "seed", "", "`UUID` from which all UUIDs are derived, or \"random\" (default: the machine id)")
	flags.StringVar(&f.root, "root", "", "take definitions, sources and the machine id from below `DIR`")
	flags.IntVar(&f.sectorSize, "sector-size", 0, "sector `size` of a new image: 512, 1024, 2048 or 4096")
	flags.BoolVar(&f.discard, "discard", true, "discard the space of new partitions")
	flags.BoolVar(&f.factoryReset, "factory-reset", false, "delete and make anew the partitions marked factory_reset")
	flags.StringVar(&f.leftovers, "leftovers", string(plan.LeftoversKeep), "what to do about data that lies in free space: `keep|discard`; kept, that space is not used")
	flags.BoolVar(&f.split, "split", false, "write each partition's content to a file beside the image, too")
	flags.BoolVar(&f.boot, "boot", false, "as the initramfs does: obey the kernel command line, and wait for the disk")
	flags.BoolVar(&f.mount, "mount", false, "let this machine's kernel mount file systems in an image file, too: to shrink a btrfs, to grow one back, for a header_backup in it")
	flags.BoolVar(&f.json, "json", false, "write JSON")
}

// check refuses values that make no sense, before anything is opened.
func (f *planFlags) check() error {
	switch planner.Empty(f.empty) {
	case planner.EmptyRefuse, planner.EmptyAllow, planner.EmptyRequire, planner.EmptyForce:
	case planner.EmptyCreate:
		if f.size == "" {
			return usageError{fmt.Errorf("--empty=create needs --size")}
		}
	default:
		return usageError{fmt.Errorf("--empty=%s: use refuse, allow, require, force or create", f.empty)}
	}
	switch plan.Leftovers(f.leftovers) {
	case plan.LeftoversKeep, plan.LeftoversDiscard:
	default:
		return usageError{fmt.Errorf("--leftovers=%s: use keep or discard", f.leftovers)}
	}
	switch f.sectorSize {
	case 0, 512, 1024, 2048, 4096:
	default:
		return usageError{fmt.Errorf("--sector-size=%d: use 512, 1024, 2048 or 4096", f.sectorSize)}
	}
	if _, err := f.fixedSize(); err != nil {
		return usageError{fmt.Errorf("--size: %w", err)}
	}
	return nil
}

// fixedSize returns --size in bytes, 0 where it is not given or "auto".
func (f *planFlags) fixedSize() (disk.Bytes, error) {
	if f.size == "" || f.size == "auto" {
		return 0, nil
	}
	size, err := disk.ParseBytes(f.size)
	return size.RoundUp(4096), err
}

// options turns the flags into what the planner wants to know.
func (f *planFlags) options(facts host.Facts) (planner.Options, error) {
	size, err := f.fixedSize()
	if err != nil {
		return planner.Options{}, err
	}
	seed, err := f.seedUUID(facts)
	if err != nil {
		return planner.Options{}, err
	}
	return planner.Options{
		Seed: seed, Empty: planner.Empty(f.empty), Size: size, Discard: f.discard, FactoryReset: f.factoryReset,
		Split: f.split, Leftovers: plan.Leftovers(f.leftovers),
	}, nil
}

// seedUUID returns the seed: the flag, or the machine id, or a random one.
func (f *planFlags) seedUUID(facts host.Facts) (uuid.UUID, error) {
	switch {
	case f.seed == "random":
		return uuid.NewRandomFromReader(rand.Reader)
	case f.seed != "":
		seed, err := uuid.Parse(f.seed)
		if err != nil {
			return uuid.Nil, usageError{fmt.Errorf("--seed=%s: not a UUID", f.seed)}
		}
		return seed, nil
	case facts.MachineID != "":
		return uuid.Parse(facts.MachineID)
	default:
		return uuid.NewRandomFromReader(rand.Reader)
	}
}

// keyFlags are the flags that say which keys can be used.
type keyFlags struct {
	keyFile string
	tpm2    string
	pins    []string // key sources, each with the kind of key that it is for in front, or for all
	policy  tpm2.Search
	silent  bool // nobody is asked for a PIN
	unseen  bool // nobody has seen to it that the right tokens are in: a boot
}

// tpm2Usage says what --tpm2-device takes.
const tpm2Usage = "the TPM: `auto`, a device path, swtpm:path=SOCKET, swtpm:host=H,port=P or mssim:host=H,port=P"

// register adds the flags to a command.
func (f *keyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "use `FILE` (\"-\": standard input) for keys of type file, and to open volumes")
	cmd.Flags().StringVar(&f.tpm2, "tpm2-device", "auto", tpm2Usage)
	cmd.Flags().StringVar(&f.policy.Signatures, "tpm2-signature", "", "`FILE` with signatures of PCR policies (default: tpm2-pcr-signature.json where systemd has it)")
	cmd.Flags().StringVar(&f.policy.PCRLock, "tpm2-pcrlock", "", "`FILE` with the policy of systemd-pcrlock (default: pcrlock.json where systemd has it)")
}

// registerPIN adds the flag for a PIN, which not every command with keys may try.
func (f *keyFlags) registerPIN(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.pins, "pin", nil, "the PIN of TPM keys and PKCS#11 tokens, or with tpm2= or pkcs11= in front of one kind, or N= of the TPM key of keyslot N: `SOURCE` is ask, file:PATH, credential:NAME, fd:N or socket:PATH; a wrong one costs one of their tries")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.checkPINs(); err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// checkPINs refuses what is no key source before anything is done. It may be a PIN, and is
// said nowhere.
func (f *keyFlags) checkPINs() error {
	for _, given := range f.pins {
		_, source := splitPIN(given)
		if _, _, err := definitions.ParseKeySource(source); err != nil {
			return usageError{fmt.Errorf("--pin %w", err)}
		}
	}
	return nil
}

// splitPIN returns whose PIN a --pin gives, a kind of key or a keyslot, "" for all, and its key
// source.
func splitPIN(given string) (of, source string) {
	of, source, found := strings.Cut(given, "=")
	_, err := strconv.ParseUint(of, 10, 8)
	if !found || of != definitions.KeyTPM2 && of != definitions.KeyPKCS11 && err != nil {
		return "", given
	}
	return of, source
}

// pin returns the key source of the PIN of one kind of key, "" for none. What is for the
// other kind, or for one keyslot, is not tried: that would cost a try.
func (f *keyFlags) pin(kind string) (source string) {
	for _, given := range f.pins {
		switch of, rest := splitPIN(given); of {
		case kind:
			return rest
		case "":
			source = rest // for all
		}
	}
	return source
}

// slotPINs returns the key sources of PINs that are for one keyslot.
func (f *keyFlags) slotPINs() map[int]string {
	sources := map[int]string{}
	for _, given := range f.pins {
		of, source := splitPIN(given)
		if slot, err := strconv.Atoi(of); err == nil {
			sources[slot] = source
		}
	}
	return sources
}

// parsePart splits DISK#PART.
func parsePart(arg string) (path, part string, err error) {
	for i := len(arg) - 1; i >= 0; i-- {
		if arg[i] == '#' {
			return arg[:i], arg[i+1:], nil
		}
	}
	return "", "", usageError{fmt.Errorf("%q: want DISK#PART, e.g. disk.img#root or /dev/mmcblk0#2", arg)}
}

// findPart returns the partition that text names: a number, a label or a type.
func findPart(s disk.Snapshot, text, architecture string) (disk.Partition, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if p, ok := s.Partition(n); ok {
			return p, nil
		}
		return disk.Partition{}, fmt.Errorf("%s has no partition %d", s.Path, n)
	}
	var found []disk.Partition
	wanted, isType := disk.TypeByName(text, architecture)
	for _, p := range s.Partitions {
		if p.Name == text || (isType && p.Type == wanted.UUID) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return disk.Partition{}, fmt.Errorf("%s has no partition with the label or type %q", s.Path, text)
	default:
		return disk.Partition{}, fmt.Errorf("%s has %d partitions with the label or type %q; use a number", s.Path, len(found), text)
	}
}
