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
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/key/file"
	"github.com/sealpart/sealpart/internal/key/recovery"
	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

var (
	promises = flag.Int("promises", 300, "generated disks and definitions on which what plan promises is applied")
	promised = flag.Uint64("promise", 0, "the seed of the first of them")
)

// TestPromises: what the plan promises, apply does. On generated disks, whatever the definitions
// and whatever became of the disk before: where plan succeeds, apply does, and then there is
// nothing to do; or it fails of a key that the plan could not know. Where either refuses, not a
// byte is written, on the disk and beside it, and a boot goes on.
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
	out      string // what is made beside the disk
	image    string
	facts    host.Facts
	story    *strings.Builder // of the present case, for who reads of a fault
	rng      *rand.Rand
	flags    applyFlags
	chips    []promiseKind
	there    []promisePart
	mbr      bool
	told     *promiseTold
}

// promise tries one case, and returns how it went.
func (w *promiseWorld) promise(ctx context.Context, seed uint64) (outcome string, err error) {
	w.rng, w.story = rand.New(rand.NewPCG(seed, 13)), &strings.Builder{}
	if err := w.draw(); err != nil {
		return "not drawn", fmt.Errorf("draw: %w", err)
	}
	if err := w.past(ctx); err != nil {
		return "not drawn", fmt.Errorf("past: %w", err)
	}
	before := w.sum()
	p, err := w.plan(ctx)
	if w.sum() != before {
		return "refused", fmt.Errorf("plan writes (%w)", err)
	}
	if err != nil {
		return "refused", w.refused(ctx, err, before)
	}
	if p.Empty() {
		return "nothing to do", errors.Join(w.apply(ctx, io.Discard), w.atRest(ctx)) // of which the first may write an fstab
	}
	w.told = &promiseTold{}
	if err := w.apply(ctx, w.told); err != nil {
		return "keys", w.failed(err, before)
	}
	w.calm()
	if resumes(p) {
		return w.resumed(ctx)
	}
	if len(w.told.left) > 0 {
		return "left", w.atRest(ctx)
	}
	if p, err = w.plan(ctx); err != nil || !p.Empty() {
		return "", fmt.Errorf("after apply there is still to do: %w %s", err, promisedActions(p))
	}
	return "applied", w.atRest(ctx)
}

// resumes reports whether a plan finishes what was begun before, maybe for another definition.
func resumes(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Actions, func(a plan.Action) bool {
		r, ok := a.(plan.Reencrypt)
		return ok && r.Resume
	})
}

// resumed demands the same of what the definition wants once that is finished.
func (w *promiseWorld) resumed(ctx context.Context) (outcome string, err error) {
	before := w.sum()
	p, err := w.plan(ctx)
	switch {
	case err != nil:
		return "resumed", w.refused(ctx, err, before)
	case p.Empty():
		return "resumed", w.atRest(ctx)
	case resumes(p):
		return "", fmt.Errorf("what was finished is not: %s", promisedActions(p))
	}
	if err := w.apply(ctx, w.told); err != nil {
		return "keys", w.failed(err, before)
	}
	return "resumed", w.atRest(ctx)
}

// calm takes back the flags that would have the next run do it all again.
func (w *promiseWorld) calm() {
	w.flags.factoryReset, w.flags.split = false, false
	if w.flags.empty == "force" {
		w.flags.leftovers = "discard" // what was replaced lies where a partition was left unmade
	}
	if w.flags.empty == "force" || w.flags.empty == "require" {
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
	case exitCode(asBootError(err)) != exitUntouched && !errors.As(err, new(usageError)):
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
	case w.sum() != before:
		return fmt.Errorf("it failed with something written: %w", err)
	case !errors.As(err, &unavailable):
		return fmt.Errorf("plan promises what apply does not do: %w", err)
	}
	return nil
}

// atRest demands that another run changes nothing.
func (w *promiseWorld) atRest(ctx context.Context) error {
	w.calm()
	is := w.sum()
	if err := w.apply(ctx, io.Discard); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	if w.sum() != is {
		return errors.New("the next run changes something")
	}
	return nil
}

// plan plans, as the command does.
func (w *promiseWorld) plan(ctx context.Context) (*plan.Plan, error) {
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
	if err := world.autoSize(&w.flags.planFlags); err != nil {
		return nil, err
	}
	p, _, err := world.planChecked(ctx, &w.flags, dev, silent)
	return p, err
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
	if err := w.flags.check(); err != nil {
		return nil, err
	}
	world, err := w.flags.gatherOn(w.facts)
	if err != nil {
		return nil, err
	}
	world.facts.TPM2 = w.chips[0].There(context.Background(), definitions.Key{})
	env := w.flags.keyFlags.env(world.definitions)
	made := new(recovery.Files)
	env.Sealers = []key.Sealer{cheapFile{file.Sealer{Default: w.flags.keyFile}}, recovery.Sealer{Terminal: "/nosuch", Files: made}}
	env.TakeBack = made.TakeBack
	for _, chip := range w.chips {
		env.Sealers = append(env.Sealers, chip)
	}
	env.TempDir, env.KeySource = w.dir, source.Read
	world.env = &env
	return world, nil
}

// sum is that of all the image's data, which are the runs that are no holes, and of what lies beside it.
func (w *promiseWorld) sum() [32]byte {
	h := sha256.New()
	beside, _ := filepath.Glob(w.image + ".*")
	_ = filepath.WalkDir(w.out, func(path string, _ fs.DirEntry, _ error) error {
		beside = append(beside, path)
		return nil
	})
	for _, path := range append(beside, w.image) {
		info, err := os.Lstat(path)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(h, "%s %v", path, info.Mode())
		if info.Mode().IsRegular() {
			fmt.Fprintf(h, "%d", info.Size())
			sumData(h, path)
		}
	}
	return [32]byte(h.Sum(nil))
}

// sumData adds what a file holds but zeros.
func sumData(h io.Writer, path string) {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	buf := make([]byte, 64<<10)
	for at := int64(0); ; {
		start, err := file.Seek(at, unix.SEEK_DATA)
		if err != nil {
			return
		}
		if at, err = file.Seek(start, unix.SEEK_HOLE); err != nil {
			panic(err)
		}
		for ; start < at; start += int64(len(buf)) {
			n, _ := file.ReadAt(buf[:min(int64(len(buf)), at-start)], start)
			if bytes.Count(buf[:n], []byte{0}) < n {
				fmt.Fprintf(h, "%d ", start)
				_, _ = h.Write(buf[:n])
			}
		}
	}
}

// promisedActions names what a plan would do.
func promisedActions(p *plan.Plan) string {
	if p == nil {
		return ""
	}
	text, _ := json.Marshal(p.Actions)
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

// cheapFile is a key file whose keyslots cost little.
type cheapFile struct{ file.Sealer }

func (s cheapFile) Seal(ctx context.Context, k definitions.Key) (key.Sealed, error) {
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
	for name, text := range map[string]string{
		"vendor": "vendor", "key0": "key0", "key1": "key1", "tree/etc/motd": "hello", "awkward/README": "1", "awkward/readme": "2", "awkward/\u00fc.txt": "3",
		"blocks": strings.Repeat("block 7\n", 9000), "module": "#!/bin/false\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 14 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("many", i)), fmt.Append(nil, "many", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &promiseWorld{dir: dir, out: filepath.Join(dir, "out"), image: filepath.Join(dir, "disk.img"), facts: host.Gather("")}
	w.contents = promiseContents(t, dir)
	return w
}
