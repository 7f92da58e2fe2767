package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// past is what became of the disk before: runs that came to their end, or were cut off, old
// headers that were put back, and other definitions.
func (w *promiseWorld) past(ctx context.Context) error {
	rng := w.rng
	for range oneOf(rng, 0, 0, 0, 1, 1, 2) {
		old := w.headers()
		if rng.IntN(3) == 0 {
			err := w.apply(ctx, &promiseTold{})
			fmt.Fprintf(w.story, "a run to its end: %v\n", err)
		} else {
			w.interrupt(ctx)
		}
		w.calm()
		if rng.IntN(6) == 0 {
			if err := w.putBack(old); err != nil {
				return err
			}
		}
		if rng.IntN(3) == 0 {
			fmt.Fprintf(w.story, "other definitions, and other chips\n")
			for i := range w.chips {
				w.chips[i].err = oneOf(rng, nil, nil, errPromise, key.Absent(errPromise))
			}
			if err := w.drawDefinitions(w.there, w.mbr); err != nil {
				return err
			}
		}
	}
	return nil
}

// interrupt begins a run of its own and stops it somewhere, gently or as a power cut does.
func (w *promiseWorld) interrupt(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := &promiseTold{stop: 1 + w.rng.IntN(8), then: cancel}
	var cut []byte
	if w.rng.IntN(2) == 0 {
		told.then = func() { cut, _ = os.ReadFile(w.image) }
	}
	err := w.apply(ctx, told)
	if cut != nil {
		_ = os.WriteFile(w.image, cut, 0o600)
	}
	fmt.Fprintf(w.story, "interrupted after event %d, cut %v: %v\n", told.stop, cut != nil, err)
}

// headers returns the first bytes of each volume that is there.
func (w *promiseWorld) headers() map[disk.Bytes][]byte {
	file, err := os.Open(w.image)
	if err != nil {
		return nil
	}
	defer file.Close()
	found := map[disk.Bytes][]byte{}
	for _, p := range w.there {
		header := make([]byte, disk.MiB)
		if _, err := file.ReadAt(header, int64(p.entry.Offset)); err == nil && string(header[:4]) == "LUKS" {
			found[p.entry.Offset] = header
		}
	}
	return found
}

// putBack writes old headers where they were.
func (w *promiseWorld) putBack(old map[disk.Bytes][]byte) (err error) {
	file, err := os.OpenFile(w.image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for at, header := range old {
		fmt.Fprintf(w.story, "the old header at %d is put back\n", at)
		_, writeErr := file.WriteAt(header, int64(at))
		err = errors.Join(err, writeErr)
	}
	return err
}

// errPromise is what a chip says that is there, and refuses.
var errPromise = errors.New("the chip refuses")

// promiseKind guards keys of one kind: it works, refuses, or is not there.
type promiseKind struct {
	kind, token string
	err         error
}

// promiseKinds are those that would cost, or that no machine has.
var promiseKinds = []promiseKind{
	{definitions.KeyTPM2, disk.TokenTPM2, nil}, {definitions.KeyPKCS11, disk.TokenPKCS11, nil}, {definitions.KeyCommand, disk.TokenCommand, nil},
}

func (c promiseKind) Kind() string      { return c.kind }
func (c promiseKind) TokenType() string { return c.token }

// There reports whether there is one.
func (c promiseKind) There(context.Context, definitions.Key) bool {
	return !errors.Is(c.err, key.ErrAbsent)
}

func (c promiseKind) Seal(_ context.Context, k definitions.Key) (key.Sealed, error) {
	if c.err != nil {
		return key.Sealed{}, c.err
	}
	members := map[string]any{"type": c.token, "keyslots": []string{}, "tpm2-blob": "AA==", "tpm2-pcrs": append([]int{}, k.PCRs...), "tpm2-policy-hash": "00",
		"tpm2-pin": k.PIN != "", "tpm2-pcr-bank": "sha256", "tpm2_pubkey_pcrs": k.PublicKeyPCRs, "tpm2_pcrlock": k.PCRLock != ""}
	if k.Bank != "" {
		members["tpm2-pcr-bank"] = k.Bank
	}
	switch c.kind {
	case definitions.KeyPKCS11:
		members = map[string]any{"type": c.token, "keyslots": []string{}, "pkcs11-uri": k.URI, "pkcs11-key": "AA=="}
	case definitions.KeyCommand:
		members = map[string]any{"type": c.token, "keyslots": []string{}, "module": path.Base(k.Program), "blob": "AA=="}
	}
	token, err := json.Marshal(members)
	if err != nil {
		return key.Sealed{}, err
	}
	passphrase, err := secret.Take([]byte("what the chip of the tests has: " + k.URI + k.Program))
	return key.Sealed{Passphrase: passphrase, Token: token, KDF: luks2.TokenKDF()}, err
}

func (c promiseKind) Unseal(_ context.Context, k definitions.Key, raw []byte) (*secret.Buffer, error) {
	if c.err != nil {
		return nil, c.err
	}
	var token struct {
		URI string `json:"pkcs11-uri"`
	}
	if err := json.Unmarshal(raw, &token); err != nil {
		return nil, err
	}
	return secret.Take([]byte("what the chip of the tests has: " + token.URI + k.Program))
}
