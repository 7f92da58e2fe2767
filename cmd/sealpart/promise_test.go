package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/key/file"
	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
	"golang.org/x/sys/unix"
)

var (
	promises = flag.Int("promises", 150, "generated disks and definitions on which what plan promises is applied")
	promised = flag.Uint64("promise", 0, "the seed of the first of them")
)

// TestPromises: what the plan promises, apply does. On generated disks, whatever the definitions:
// where plan succeeds, apply does, and then there is nothing to do; or it fails of a key
// that the plan could not know. Where either refuses, not a byte is written, and a boot goes on.
func TestPromises(t *testing.T) {
	w := newPromiseWorld(t)
	outcomes, began := map[string]int{}, time.Now()
	for seed := *promised; seed < *promised+uint64(*promises); seed++ {
		outcome, err := w.promise(t.Context(), seed)
		outcomes[outcome]++
		if err != nil {
			t.Errorf("-promise %d: %v\n%s", seed, err, w.story)
		}
	}
	t.Logf("%d cases in %s: %v", *promises, time.Since(began).Round(time.Second), outcomes)
}

// promiseWorld is what all cases have in common, and the disk and definitions of the present one.
type promiseWorld struct {
	contents []promiseContent
	dir      string
	image    string
	story    *strings.Builder // of the present case, for who reads of a fault
	rng      *rand.Rand
	flags    applyFlags
	chip     promiseChip
	told     *promiseTold
}

// promise tries one case, and returns how it went.
func (w *promiseWorld) promise(ctx context.Context, seed uint64) (outcome string, err error) {
	w.rng, w.story = rand.New(rand.NewPCG(seed, 13)), &strings.Builder{}
	if err := w.draw(); err != nil {
		return "not drawn", fmt.Errorf("draw: %w", err)
	}
	if w.rng.IntN(4) == 0 {
		w.interrupt(ctx)
	}
	before := w.sum()
	plan, err := w.plan(ctx)
	if err != nil {
		return "refused", w.refused(ctx, err, before)
	}
	if plan.Empty() {
		return "nothing to do", w.atRest(ctx, before)
	}
	w.told = &promiseTold{}
	if err := w.apply(ctx, w.told); err != nil {
		return "keys", w.failed(err, before)
	}
	after := w.sum()
	w.calm()
	if len(w.told.left) > 0 {
		return "left", w.atRest(ctx, after)
	}
	if plan, err = w.plan(ctx); err != nil || !plan.Empty() {
		return "", fmt.Errorf("after apply there is still to do: %v %s", err, promisedActions(plan))
	}
	return "applied", w.atRest(ctx, after)
}

// calm takes back the flags that would have the next run do it all again.
func (w *promiseWorld) calm() {
	if w.flags.factoryReset = false; w.flags.empty == "force" || w.flags.empty == "require" {
		w.flags.empty = "refuse"
	}
}

// refused demands that apply refuses what plan does, leaves all as it is, and lets a boot go on.
func (w *promiseWorld) refused(ctx context.Context, planned error, before [32]byte) error {
	err := w.apply(ctx, io.Discard)
	switch {
	case err == nil:
		return fmt.Errorf("plan refuses, and apply does not: %w", planned)
	case w.sum() != before:
		return fmt.Errorf("refused, and yet something was written: %w", err)
	case exitCode(asBootError(err)) != exitUntouched:
		return fmt.Errorf("a boot would stop with %d: %w", exitCode(asBootError(err)), err)
	case err.Error() != planned.Error():
		return fmt.Errorf("plan says %q, apply %w", planned, err)
	}
	return nil
}

// failed demands that apply failed of a key, with nothing written.
func (w *promiseWorld) failed(err error, before [32]byte) error {
	var unavailable *executor.UnavailableError
	switch {
	case !errors.As(err, &unavailable):
		return fmt.Errorf("plan promises what apply does not do: %w", err)
	case w.sum() != before:
		return fmt.Errorf("it failed of a key with something written: %w", err)
	}
	return nil
}

// atRest demands that another run changes nothing.
func (w *promiseWorld) atRest(ctx context.Context, is [32]byte) error {
	if err := w.apply(ctx, io.Discard); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	if w.sum() != is {
		return errors.New("the next run changes something")
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

// plan plans, as the command does.
func (w *promiseWorld) plan(ctx context.Context) (*planner.Plan, error) {
	world, err := w.gathered()
	if err != nil {
		return nil, err
	}
	dev, err := openDisk(&w.flags.planFlags, w.image, blockdev.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	silent, err := newProgress("none", io.Discard)
	if err != nil {
		return nil, err
	}
	plan, _, err := world.planChecked(ctx, &w.flags, dev, silent)
	return plan, err
}

// apply applies, as the command does.
func (w *promiseWorld) apply(ctx context.Context, told io.Writer) error {
	world, err := w.gathered()
	if err != nil {
		return err
	}
	progress, err := newProgress("json", told)
	if err != nil {
		return err
	}
	return world.applyTo(ctx, &w.flags, w.image, progress, io.Discard)
}

// gathered reads the definitions, with keys that cost nothing.
func (w *promiseWorld) gathered() (*world, error) {
	world, err := gather(&w.flags.planFlags)
	if err != nil {
		return nil, err
	}
	world.facts.TPM2 = !errors.Is(w.chip.err, executor.ErrAbsent)
	env := w.flags.keyFlags.env(world.definitions)
	env.Sealers = []executor.Sealer{w.chip, cheapFile{file.Sealer{}}}
	env.TempDir, env.KeySource = w.dir, source.Read
	world.env = &env
	return world, nil
}

// sum is that of all the image's data, which are the runs that are no holes.
func (w *promiseWorld) sum() (sum [32]byte) {
	file, err := os.Open(w.image)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	h, buf := sha256.New(), make([]byte, 64<<10)
	for at := int64(0); ; {
		start, err := file.Seek(at, unix.SEEK_DATA)
		if err != nil {
			return [32]byte(h.Sum(nil))
		}
		if at, err = file.Seek(start, unix.SEEK_HOLE); err != nil {
			panic(err)
		}
		for ; start < at; start += int64(len(buf)) {
			n, _ := file.ReadAt(buf[:min(int64(len(buf)), at-start)], start)
			if bytes.Count(buf[:n], []byte{0}) < n {
				fmt.Fprintf(h, "%d ", start)
				h.Write(buf[:n])
			}
		}
	}
}

// promisedActions names what a plan would do.
func promisedActions(plan *planner.Plan) string {
	if plan == nil {
		return ""
	}
	text, _ := json.Marshal(plan.Actions)
	return string(text)
}

// promiseTold listens to a run: it notes what was left, and does something at an event.
type promiseTold struct {
	left []int
	stop int // count of the event, 0: none
	then func()
}

func (p *promiseTold) Write(line []byte) (int, error) {
	var e executor.Event
	if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
		return 0, err
	}
	if e.Phase == executor.Left {
		p.left = append(p.left, e.Partition)
	}
	if p.stop--; p.stop == 0 {
		p.then()
	}
	return len(line), nil
}

// errPromise is what a TPM says that is there, and refuses.
var errPromise = errors.New("the TPM refuses")

// promiseChip is a TPM that works, refuses, or is not there.
type promiseChip struct{ err error }

func (promiseChip) Kind() string      { return definitions.KeyTPM2 }
func (promiseChip) TokenType() string { return "systemd-tpm2" }

func (c promiseChip) Seal(_ context.Context, k definitions.Key) (executor.Sealed, error) {
	if c.err != nil {
		return executor.Sealed{}, c.err
	}
	token, err := json.Marshal(map[string]any{"type": "systemd-tpm2", "keyslots": []string{}, "tpm2-blob": "AA==", "tpm2-pcrs": append([]int{}, k.PCRs...),
		"tpm2-pcr-bank": "sha256", "tpm2-policy-hash": "00"})
	if err != nil {
		return executor.Sealed{}, err
	}
	passphrase, err := secret.Take([]byte("what the chip of the tests has"))
	return executor.Sealed{Passphrase: passphrase, Token: token, KDF: luks2.TokenKDF()}, err
}

func (c promiseChip) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	if c.err != nil {
		return nil, c.err
	}
	return secret.Take([]byte("what the chip of the tests has"))
}

// cheapFile is a key file whose keyslots cost little.
type cheapFile struct{ file.Sealer }

func (s cheapFile) Seal(ctx context.Context, k definitions.Key) (executor.Sealed, error) {
	sealed, err := s.Sealer.Seal(ctx, k)
	sealed.KDF = luks2.TokenKDF()
	return sealed, err
}

// oneOf draws one of several.
func oneOf[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// newPromiseWorld makes what is drawn from.
func newPromiseWorld(t *testing.T) *promiseWorld {
	dir := t.TempDir()
	if fast, err := os.MkdirTemp("/dev/shm", "promises"); err == nil {
		dir = fast
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	for name, key := range map[string]string{"vendor": "vendor", "key0": "key0", "key1": "key1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "tree/etc"), 0o755), os.WriteFile(filepath.Join(dir, "tree/etc/motd"), []byte("hello"), 0o644),
		os.WriteFile(filepath.Join(dir, "blocks"), bytes.Repeat([]byte("block 7\n"), 9000), 0o644)); err != nil {
		t.Fatal(err)
	}
	w := &promiseWorld{dir: dir, image: filepath.Join(dir, "disk.img")}
	w.contents = promiseContents(t, dir)
	return w
}
