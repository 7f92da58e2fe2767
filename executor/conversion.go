package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// maxZone bounds a hot zone, and with it the buffers of a conversion, in bytes.
const maxZone = 16 * disk.MiB

// conversion is one partition whose data is rewritten, hot zone by hot zone, under
// the LUKS2 re-encryption metadata of its header.
type conversion struct {
	env      Env
	pipeline *pipeline
	action   plan.Reencrypt
	part     blockdev.Device // the data, and but for a detached header also that
	home     luks2.Device    // where the header lies
	homeSize disk.Bytes
	maxZone  disk.Bytes
	atomic   disk.Bytes // what the storage under part writes whole or not at all
	header   *luks2.Header
	keys     dataKeys   // opened before, to go on with
	judged   resumption // what is gone on with, if it was judged before
	uuid     string     // of the volume that was locked; "" where none was
	way      way
	used     inUse    // which bytes of the data matter
	leaves   clearing // what is left in the clear until it is zeroed
	// finishing is called with the finished header in memory, before it is committed.
	finishing func()
	// image says that the disk is an image file, which other programs wait for.
	image bool
	// node says where the kernel finds part, nil where it does not know the disk.
	node func() (blockdev.Node, error)
}

// way is where the bytes of a conversion lie: shifted or in place. Its zones are done
// like this: ahead; then for each keep, and write while ahead does the next one.
type way interface {
	// next returns the zone to do where remaining logical bytes are old.
	next(remaining disk.Bytes) zone
	// skip returns how many of the remaining bytes come next and need not be done,
	// because nothing of them is in use.
	skip(remaining disk.Bytes) disk.Bytes
	// ahead does what can be done of z while the zone before is being written.
	ahead(ctx context.Context, z zone) error
	// keep makes durable what redo needs of z. It comes after MarkDone of the zone
	// before; hot reports whether the header on disk lists that one as hot still.
	keep(ctx context.Context, z zone, hot bool) error
	// write writes the new bytes of z, without making them durable.
	write(ctx context.Context, z zone) error
	// redo makes the hot zone z new from whatever is there of it, and durable.
	redo(ctx context.Context, z zone) error
	// end is where the place of the data ends on the partition.
	end() disk.Bytes
	// leaves returns what the finished header has to say: the size of the data, 0
	// for all of the partition, and which old data on its device is to be wiped.
	leaves() (dataSize disk.Bytes, old disk.Extent)
	// release gives back the memory of the way.
	release()
}

// newConversion returns the conversion of part whose header is, or will be, at its
// beginning.
func newConversion(env Env, p *pipeline, part blockdev.Device, a plan.Reencrypt) *conversion {
	return &conversion{
		env: env, pipeline: p, action: a, part: part, home: part, homeSize: part.Size(),
		maxZone: maxZone, atomic: tornUnit, finishing: func() {},
	}
}

// dataKeys are the volume keys of a conversion.
type dataKeys struct {
	old *secret.Buffer // nil: the data is plain, or the old key is not needed any more
	new *secret.Buffer
	// unsettled is set where nothing proves which keyslots are the old key's.
	unsettled bool
}

// convert rewrites hot zone after hot zone and finishes the header. It takes the keys: while
// zones are written they are in the ciphers alone, and only the new one comes back from there.
func (c *conversion) convert(ctx context.Context, keys dataKeys) error {
	state, err := c.state()
	if err != nil {
		return err
	}
	note, _, err := c.ownNote(keys.new)
	if err != nil {
		return err
	}
	c.leaves = note.Clear
	recode, err := newRecoder(state, keys)
	if err != nil {
		return err
	}
	defer recode.wipe()
	c.action.DataSize = disk.Bytes(state.DataSize)
	if c.way, err = c.wayOf(state, recode); err != nil {
		return err
	}
	defer c.way.release()
	if err := c.zones(ctx, state, recode.to); err != nil {
		return err
	}
	key, err := recode.release()
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := c.finish(ctx, key); err != nil {
		return err
	}
	if shrunk, _ := c.way.leaves(); shrunk > 0 {
		c.growBack(ctx, key)
	}
	return nil
}

// state returns the pending conversion that the header in memory describes.
func (c *conversion) state() (*luks2.Reencryption, error) {
	state, err := c.header.Reencryption(c.header.VolumeEnd(int64(c.part.Size())))
	switch {
	case err != nil:
		return nil, err
	case state == nil:
		return nil, errors.New("the header has no conversion pending")
	case state.Unsupported != "":
		return nil, fmt.Errorf("its conversion was begun by another tool in a form that cannot be continued here: %s", state.Unsupported)
	}
	return state, nil
}

// zones does all hot zones. Each costs one header write, which says both that the
// zone before is done and that this one is hot, and one flush of its data; what
// else it costs is the way's. While a zone is written, the next, which it does not
// touch, is read and encrypted.
func (c *conversion) zones(ctx context.Context, state *luks2.Reencryption, to *encrypter) error {
	if state.State == luks2.Crash {
		hot := zone{disk.Bytes(state.HotOffset), disk.Bytes(state.HotLength)}
		if err := c.way.redo(ctx, hot); err != nil {
			return fmt.Errorf("redo the hot zone at %d: %w", hot.start, err)
		}
	}
	c.lookForFree(&volumeReader{part: c.part, segments: c.header.Segments(), cipher: to.cipher, size: c.action.DataSize})
	if state.State == luks2.Unfinished {
		return nil
	}
	return c.zonesFrom(ctx, disk.Bytes(state.Remaining))
}

// step is one turn of the loop: bytes that are skipped, and then a zone.
type step struct {
	skipped disk.Bytes
	zone
}

// nextStep returns what to do where remaining logical bytes are old.
func (c *conversion) nextStep(remaining disk.Bytes) step {
	skipped := disk.Bytes(0)
	if c.used != nil {
		skipped = c.way.skip(remaining)
	}
	return step{skipped, c.way.next(remaining - skipped)}
}

// zonesFrom does the zones of the remaining bytes.
func (c *conversion) zonesFrom(ctx context.Context, remaining disk.Bytes) error {
	z := c.nextStep(remaining)
	if err := c.ahead(ctx, z.zone); err != nil {
		return err
	}
	for z.length > 0 {
		if err := c.markHot(ctx, z); err != nil {
			return err
		}
		remaining -= z.skipped + z.length
		next := c.nextStep(remaining)
		if err := c.write(ctx, z.zone, next.zone); err != nil {
			return err
		}
		c.report(Progress, "", c.action.DataSize-remaining)
		z = next
		if err := interrupted(ctx); err != nil && z.length > 0 {
			return errors.Join(err, c.pause())
		}
	}
	return nil
}

// pause commits that the zone just written is done, so that the volume is left
// between zones, where every tool can open it without repairing it first.
func (c *conversion) pause() error {
	if err := c.header.MarkDone(); err != nil {
		return err
	}
	return c.commit()
}

// markHot commits that z is being rewritten, and the zone before it done. A power
// cut before it leaves the zone before hot, whose new bytes are durable and which is
// redone to the same; after it, z is hot, and what redo needs of it was kept.
func (c *conversion) markHot(ctx context.Context, z step) error {
	hot := c.hotPending()
	if hot {
		if err := c.header.MarkDone(); err != nil {
			return err
		}
	}
	if z.skipped > 0 {
		if err := c.header.Skip(int64(z.skipped)); err != nil {
			return err
		}
	}
	err := changing(c.header, c.home, func() error {
		if err := c.way.keep(ctx, z.zone, hot); err != nil {
			return err
		}
		if err := c.header.MarkHot(int64(z.start), int64(z.length)); err != nil {
			return err
		}
		return c.header.Commit(c.home)
	})
	if err != nil {
		return fmt.Errorf("commit the hot zone at %d: %w", z.start, err)
	}
	c.report(Committed, "hot zone", 0)
	return nil
}

// hotPending reports whether the header in memory has a hot zone.
func (c *conversion) hotPending() bool {
	state, err := c.state()
	return err == nil && state.State == luks2.Crash
}

// write writes z and makes it durable, while the next zone is begun. A power cut
// leaves z partly written: it is hot, so it is redone. It goes on when ctx is done:
// stopping here would only make the next run do the zone again.
func (c *conversion) write(ctx context.Context, z, next zone) error {
	begun := make(chan error, 1)
	go func() { begun <- c.ahead(ctx, next) }()
	err := c.way.write(context.WithoutCancel(ctx), z)
	if err == nil {
		err = c.part.Sync()
	}
	aheadErr := <-begun
	if err != nil {
		return fmt.Errorf("write the hot zone at %d: %w", z.start, err)
	}
	if aheadErr != nil && !errors.Is(aheadErr, context.Canceled) {
		return aheadErr
	}
	return nil
}

// ahead begins with z, if there is one.
func (c *conversion) ahead(ctx context.Context, z zone) error {
	if z.length == 0 {
		return nil
	}
	if err := c.way.ahead(ctx, z); err != nil {
		return fmt.Errorf("read the zone at %d: %w", z.start, err)
	}
	return nil
}

// report tells how far the conversion is.
func (c *conversion) report(phase Phase, step string, done disk.Bytes) {
	c.env.report(Event{Phase: phase, Action: c.action.Kind(), Partition: c.action.Number, Step: step, Done: done, Total: c.action.DataSize})
}
