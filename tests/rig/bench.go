package rig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// cheapKey is a key file whose keyslot costs nothing to open.
type cheapKey struct{ passphrase []byte }

func (cheapKey) Kind() string      { return definitions.KeyFile }
func (cheapKey) TokenType() string { return "" }

func (k cheapKey) Seal(context.Context, definitions.Key) (executor.Sealed, error) {
	passphrase, err := secret.Take(bytes.Clone(k.passphrase))
	return executor.Sealed{Passphrase: passphrase, KDF: luks2.TokenKDF()}, err
}

func (k cheapKey) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return secret.Take(bytes.Clone(k.passphrase))
}

// target is a simulated disk as the executor needs it.
type target struct{ *simdev.Device }

func (target) ZeroesDiscarded() bool                                   { return true }
func (target) Grow(disk.Bytes) error                                   { return os.ErrInvalid }
func (target) CutBack(disk.Bytes) error                                { return os.ErrInvalid }
func (target) TellKernel([]disk.Entry, []disk.Entry, disk.Bytes) error { return nil }

// Bench is a plain disk on which root is converted inside the test, with a key that
// costs nothing.
type Bench struct {
	Plain
	definitions []definitions.Definition
	env         executor.Env
	shift       disk.Bytes // of conversions that begin here; 0: as planned
}

// NewBench makes a Bench whose file system has so many MiB.
func NewBench(t testing.TB, megabytes int64, shift disk.Bytes) *Bench {
	t.Helper()
	b := &Bench{Plain: NewPlain(t, t.TempDir(), megabytes), shift: shift}
	var err error
	b.definitions, err = definitions.Load(definitions.Options{
		Sources: []definitions.Source{{FS: os.DirFS(b.Definitions), Dir: b.Definitions}}, Architecture: "x86-64",
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(b.Key)
	if err != nil {
		t.Fatal(err)
	}
	b.env = executor.Env{
		Sealers: []executor.Sealer{cheapKey{key}}, Keys: []definitions.Key{{Type: definitions.KeyFile}},
		Random: rand.NewChaCha8([32]byte{1}), TempDir: t.TempDir(), Workers: 1,
	}
	return b
}

// Run is one run of apply on a simulated disk. A conversion that it begins has a smaller
// shift than usual, so that there are many hot zones in little data.
func (b *Bench) Run(t testing.TB, dev *simdev.Device) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planner.Make(b.definitions, snapshot, host.Facts{}, planner.Options{
		Seed: uuid.MustParse(Seed), Empty: planner.EmptyRefuse,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, action := range p.Actions {
		if r, ok := action.(plan.Reencrypt); ok && !r.Resume && b.shift != 0 {
			r.Shift, r.DataSize, r.Encryption.DataOffset = b.shift, disk.Bytes(b.Size), b.shift
			p.Actions[i] = r
		}
	}
	if _, err := executor.Apply(context.Background(), target{dev}, p, b.env); err != nil {
		t.Fatal(err)
	}
}

// CheckDisk compares the decrypted content with the file system as it was.
func (b *Bench) CheckDisk(t testing.TB, dev blockdev.Device) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	part, err := blockdev.NewSection(dev, snapshot.Partitions[0].Extent)
	if err != nil {
		t.Fatal(err)
	}
	b.CheckContent(t, part)
}

// CheckContent does the same for the volume alone.
func (b *Bench) CheckContent(t testing.TB, volume blockdev.Device) {
	t.Helper()
	var out bytes.Buffer
	if err := executor.Export(context.Background(), b.env, volume, &out); err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(b.Root)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), plain) {
		t.Error("the content of root differs")
	}
}

// SumOf returns the SHA-256 of as much of a volume's content as the file system was
// large, to be compared with Sum. It fails where the volume does not open, or is in
// conversion.
func (b *Bench) SumOf(volume blockdev.Device) (string, error) {
	var out bytes.Buffer
	if err := executor.Export(context.Background(), b.env, volume, &out); err != nil {
		return "", err
	}
	sum := sha256.Sum256(out.Bytes()[:min(b.Size, int64(out.Len()))])
	return hex.EncodeToString(sum[:]), nil
}
