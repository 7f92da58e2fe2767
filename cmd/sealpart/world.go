package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// directories are where definitions are looked for, highest priority first.
var directories = []string{"/etc/sealpart.d", "/run/sealpart.d", "/usr/local/lib/sealpart.d", "/usr/lib/sealpart.d"}

// world is everything a plan is made from.
type world struct {
	definitions []definitions.Definition
	facts       host.Facts
	options     planner.Options
	mount       bool      // --mount
	root, made  string    // --root, and what is made below it before files are copied
	keys        *keyFlags // what keys this run can use; nil where nobody knows
	boot        bool
	env         *executor.Env // see environment
}

// gather reads the definitions and the host's facts.
func gather(f *planFlags) (*world, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := f.absoluteRoot(); err != nil {
		return nil, err
	}
	return f.gatherOn(host.Gather(f.root))
}

// gatherOn reads the definitions for a machine of these facts.
func (f *planFlags) gatherOn(facts host.Facts) (*world, error) {
	w := &world{facts: facts, keys: f.keys, boot: f.boot, mount: f.mount, root: f.root, made: f.made}
	var err error
	if w.options, err = f.options(w.facts); err != nil {
		return nil, err
	}
	w.options.Boot = f.boot
	sources, err := f.sources()
	if err != nil {
		return nil, err
	}
	w.definitions, err = definitions.Load(definitions.Options{
		Sources: sources, Architecture: w.facts.Architecture, Specifiers: w.facts.Specifiers(),
	})
	if err != nil {
		return nil, err
	}
	w.facts.TPM2 = w.hasTPM2()
	w.facts.Paths = conditionPaths(f.root, w.definitions)
	w.options.SourceSizes, err = sourceSizes(f.root, w.definitions)
	return w, err
}

// hasTPM2 reports whether there is a TPM: the machine's, or the one that --tpm2-device names.
func (w *world) hasTPM2() bool {
	asked := slices.ContainsFunc(w.definitions, func(d definitions.Definition) bool { return d.Conditions != nil && d.Conditions.TPM2 != nil })
	if !asked || w.keys == nil || w.keys.tpm2 == "auto" {
		return w.facts.TPM2
	}
	return tpm2.Sealer{Device: w.keys.tpm2}.There(context.Background(), definitions.Key{Type: definitions.KeyTPM2})
}

// conditionPaths looks for the paths that conditions ask for.
func conditionPaths(root string, defs []definitions.Definition) map[string]bool {
	there := map[string]bool{}
	for _, d := range defs {
		if d.Conditions != nil && d.Conditions.PathExists != "" {
			path := strings.TrimPrefix(d.Conditions.PathExists, "!")
			there[path] = host.Exists(root, path)
		}
	}
	return there
}

// isDefinition reports whether Load takes a directory's entry for a definition, or a mask.
func isDefinition(e fs.DirEntry) bool {
	return strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".")
}

// noDefinitionsError lists directories that were asked for and hold no definition: a
// disk that is nothing to be made of is hardly what somebody names a directory for.
type noDefinitionsError []string

// Error names the directories.
func (e noDefinitionsError) Error() string {
	return fmt.Sprintf("--definitions: no definition (*.toml) in %s", strings.Join(e, " or "))
}

// Hint says what would be one.
func (noDefinitionsError) Hint() string {
	return "definitions are files such as 10-root.toml, right in the directory"
}

// absoluteRoot makes --root independent of the working directory: other programs
// are told paths below it.
func (f *planFlags) absoluteRoot() error {
	if f.root == "" {
		return nil
	}
	root, err := filepath.Abs(f.root)
	if err != nil {
		return err
	}
	if f.root = root; root == "/" {
		f.root = ""
	}
	return nil
}

// sources returns the directories to read. The usual ones, below --root, may be missing; one
// that was asked for must be there. What others can change is not read: definitions name
// the programs that run and the keys that are made.
func (f *planFlags) sources() ([]definitions.Source, error) {
	var sources []definitions.Source
	some := false
	for _, dir := range f.definitions {
		here := resolve.Tree{Trusted: true}
		if info, err := here.Stat(dir); err != nil {
			return nil, fmt.Errorf("--definitions: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("--definitions: %s is not a directory", dir)
		}
		source := definitions.Source{FS: here.FS(dir), Dir: dir}
		entries, err := fs.ReadDir(source.FS, ".")
		some = some || err != nil || slices.ContainsFunc(entries, isDefinition) // what cannot be listed is for Load to say
		sources = append(sources, source)
	}
	switch {
	case some:
		return sources, nil
	case len(f.definitions) > 0:
		return nil, noDefinitionsError(f.definitions)
	}
	for _, dir := range directories {
		tree := resolve.Tree{Root: f.root, Trusted: true}
		sources = append(sources, definitions.Source{FS: tree.FS(dir), Dir: filepath.Join(f.root, dir)})
	}
	return sources, nil
}

// sourceSizes measures what copy_blocks would copy.
func sourceSizes(root string, defs []definitions.Definition) (map[string]disk.Bytes, error) {
	sizes := map[string]disk.Bytes{}
	for _, d := range defs {
		path := d.Filesystem.CopyBlocks
		if path == "" {
			continue
		}
		size, err := sourceSize(resolve.Sources(root), path)
		if err != nil {
			return nil, fmt.Errorf("%s: copy_blocks: %w", d.File, err)
		}
		sizes[path] = size
	}
	return sizes, nil
}

func sourceSize(tree resolve.Tree, path string) (disk.Bytes, error) {
	file, err := tree.Open(path, os.O_RDONLY|unix.O_NONBLOCK) // a pipe is refused, and not waited for
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return blockdev.SizeOf(file)
}

// plan makes the plan for a disk, and returns the snapshot it was made from. Free space is read
// only where the plan takes some of it, or may fail for want of it.
func (w *world) plan(ctx context.Context, dev blockdev.Device, sectorSize int) (*plan.Plan, disk.Snapshot, error) {
	snapshot, err := probe.Partitions(dev, disk.Bytes(sectorSize))
	if err != nil {
		return nil, disk.Snapshot{}, err
	}
	device, ok := dev.(interface{ IsBlockDevice() bool })
	w.options.LeaveUnmounted = !w.mount && !(ok && device.IsBlockDevice())
	p, err := w.planFor(ctx, snapshot)
	if snapshot.FreeUnread && (err != nil || p.TakesFree()) {
		if snapshot, err = probe.Disk(dev, disk.Bytes(sectorSize)); err != nil {
			return nil, disk.Snapshot{}, err
		}
		p, err = w.planFor(ctx, snapshot)
	}
	if err == nil {
		p, err = w.planWithTrailing(ctx, dev, p, snapshot)
	}
	if err == nil {
		err = executor.CheckPlan(dev, p, snapshot)
	}
	if err == nil {
		err = errors.Join(checkHibernated(dev, p), checkKeyLinks(w.definitions, p), checkSources(w.root, w.made, p), checkOutputs(dev, p), w.checkFstab(p))
	}
	return p, snapshot, err
}

// planWithTrailing makes a plan again where something lies behind a file system that it
// converts.
func (w *world) planWithTrailing(ctx context.Context, dev blockdev.Device, p *plan.Plan, snapshot disk.Snapshot) (*plan.Plan, error) {
	found, err := surveyTrailing(ctx, dev, p, snapshot)
	if err != nil || len(found) == 0 {
		return p, err
	}
	w.options.Trailing = found
	return w.planFor(ctx, snapshot)
}

// planFor makes the plan for what is on a disk.
func (w *world) planFor(ctx context.Context, snapshot disk.Snapshot) (*plan.Plan, error) {
	options := w.options
	var err error
	if options.Headers, err = headers(w.definitions, snapshot.Size); err != nil {
		return nil, err
	}
	if w.keys != nil {
		options.Policies = w.keys.policies(keysOf(w.definitions, definitions.KeyTPM2))
		if options.Absent, err = w.absentKeys(ctx, snapshot); err != nil {
			return nil, err
		}
	}
	p, err := planner.Make(w.definitions, snapshot, w.facts, options)
	if errors.Is(err, planner.ErrLabelRefused) {
		err = &labelError{err, snapshot}
	}
	return p, err
}

// autoSize replaces --size=auto by what the definitions need.
func (w *world) autoSize(f *planFlags) (err error) {
	if f.size != "auto" || w.options.FileRoom != nil {
		return nil
	}
	if w.options.Size, err = planner.MinimalSize(w.definitions, w.facts, w.options); err != nil {
		return err
	}
	if w.options.FileRoom = w.fileRoom(); len(w.options.FileRoom) == 0 {
		return nil
	}
	w.options.Size, err = planner.MinimalSize(w.definitions, w.facts, w.options)
	return err
}

// fileRoom measures what the new file systems of an image take for the files that are copied
// into them. What cannot be planned or read is for the plan itself to say.
func (w *world) fileRoom() map[string]disk.Bytes {
	room, options := map[string]disk.Bytes{}, w.options
	options.Empty = planner.EmptyCreate
	sector := max(options.SectorSize, 512)
	p, err := planner.Make(w.definitions, disk.Snapshot{Path: "the new image", SectorSize: sector}, w.facts, options)
	if err != nil {
		return room
	}
	for _, action := range p.Actions {
		a, ok := action.(plan.Create)
		if !ok || a.Filesystem == nil || len(a.Filesystem.CopyFiles) == 0 {
			continue
		}
		if size, err := executor.FileRoom(a, w.root, sector); err == nil {
			row, _ := p.Row(a.Number)
			room[row.Definition] = size
		}
	}
	return room
}

// diskArgument returns the disk to work on: the argument, or the one behind the
// root file system.
func diskArgument(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	return host.RootDisk()
}

// openDisk opens a disk or image that is there. A disk has the size that it has.
func openDisk(f *planFlags, path string, o blockdev.OpenOptions) (*blockdev.File, error) {
	dev, err := blockdev.Open(path, o)
	if err != nil {
		return nil, err
	}
	if dev.IsBlockDevice() && f.size != "" {
		_ = dev.Close()
		return nil, usageError{fmt.Errorf("--size=%s: %s is a block device, and only an image file can grow", f.size, path)}
	}
	return dev, nil
}

// openForPlan opens a disk read-only. With --empty=create it is a blank one that
// exists only in memory.
func (w *world) openForPlan(f *planFlags, path string) (blockdev.Device, io.Closer, error) {
	if w.options.Empty != planner.EmptyCreate {
		dev, err := openDisk(f, path, blockdev.OpenOptions{})
		return dev, dev, err // on an error nobody looks at dev
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, nil, fmt.Errorf("%s is there already; --empty=create makes new files only", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	if err := w.autoSize(f); err != nil {
		return nil, nil, err
	}
	return blank{path, w.options.Size}, io.NopCloser(nil), nil
}

// blank is an image file that does not exist yet.
type blank struct {
	path string
	size disk.Bytes
}

func (b blank) Name() string                     { return b.path }
func (b blank) Size() disk.Bytes                 { return b.size }
func (blank) SectorSize() disk.Bytes             { return 0 }
func (blank) Discard(disk.Extent) error          { return errors.ErrUnsupported }
func (blank) Sync() error                        { return nil }
func (blank) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// ReadAt reads zeroes.
func (b blank) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(b.size)-int64(len(p)) {
		return 0, io.EOF
	}
	clear(p)
	return len(p), nil
}
