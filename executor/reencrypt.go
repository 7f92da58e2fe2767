package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// conversion is one partition on its way to LUKS2, in cryptsetup's data-shift
// form. With D the partition's size and S the shift, the plain file system's first
// S bytes are moved to [D-S, D), the header takes [0, S), and every hot zone is
// read at its old place R and written encrypted at S+R, from the end downwards.
type conversion struct {
	env      Env
	pipeline *pipeline
	action   planner.Reencrypt
	part     blockdev.Device
	header   *luks2.Header
	encrypt  encrypter
}

// reencrypt converts a partition, or finishes a conversion begun earlier. fresh is
// the proven volume for a new conversion, nil for resuming.
func (x *run) reencrypt(ctx context.Context, a planner.Reencrypt, fresh *volume) error {
	part, err := blockdev.NewSection(x.dev, a.Extent)
	if err != nil {
		return err
	}
	c := &conversion{env: x.env, pipeline: x.pipeline, action: a, part: part}
	if a.Resume {
		return c.resume(ctx)
	}
	if a.ShrinkTo > 0 {
		if err := x.shrink(ctx, a); err != nil {
			return err
		}
	}
	return c.begin(ctx, fresh)
}

// begin turns the plain partition into a volume in conversion and converts it.
func (c *conversion) begin(ctx context.Context, v *volume) error {
	if err := c.checkPlain(); err != nil {
		return err
	}
	c.header = v.header
	err := v.header.BeginEncrypt(luks2.EncryptOptions{
		Shift: int64(c.action.Shift), DeviceSize: int64(c.deviceSize()), DataSize: int64(c.action.DataSize), Rand: c.env.Random,
	}, v.key.Bytes())
	if err != nil {
		return err
	}
	if err := v.header.Commit(v.front); err != nil {
		return err
	}
	if err := c.init(ctx, v.front); err != nil {
		return err
	}
	c.report(Committed, "header", 0)
	return c.convert(ctx, v.key)
}

// resume opens a volume in conversion with the keys it carries and finishes it.
func (c *conversion) resume(ctx context.Context) error {
	header, err := c.readHeader(ctx)
	if err != nil {
		return err
	}
	c.header = header
	state, err := header.Reencryption(int64(c.part.Size()))
	if err != nil {
		return err
	}
	if state == nil {
		return c.wipeMoved()
	}
	key, err := Unlock(ctx, c.env, header, c.part)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := header.VerifyKey(key.Bytes()); err != nil {
		return err
	}
	// The digest covers what the offsets below are computed from; without this
	// check a tampered header could make us write anywhere in the partition.
	if err := header.VerifyReencryption(nil, key.Bytes()); err != nil {
		return err
	}
	if state.State == luks2.Clean && state.Remaining == state.DataSize {
		if err := c.eraseStaged(); err != nil {
			return err
		}
	}
	return c.convert(ctx, key)
}

// convert rewrites hot zone after hot zone and finishes the header.
func (c *conversion) convert(ctx context.Context, key *secret.Buffer) error {
	cipher, err := xts.New(key.Bytes())
	if err != nil {
		return err
	}
	defer cipher.Wipe()
	c.encrypt = encrypter{cipher: cipher, sectorSize: c.header.SectorSize()}
	if err := c.zones(ctx); err != nil {
		return err
	}
	return c.finish()
}

// zones does all hot zones. Each costs one header write, which says both that the
// zone before is done and that this one is hot, and one flush of its data. While
// a zone is written, the next, whose source nothing overwrites before the next
// header write, is read and encrypted.
func (c *conversion) zones(ctx context.Context) error {
	buffers, err := newBuffers(2, c.action.Shift)
	if err != nil {
		return err
	}
	defer buffers.release()
	z, hot, err := c.nextZone()
	if err != nil || z.length == 0 {
		return err
	}
	if err := c.load(ctx, z, buffers.get(0)); err != nil {
		return err
	}
	for i := 0; z.length > 0; i++ {
		if err := c.markHot(z, hot); err != nil {
			return err
		}
		next := z.next(c.action.Shift)
		if err := c.storeAndLoad(ctx, z, buffers.get(i), next, buffers.get(i+1)); err != nil {
			return err
		}
		c.report(Progress, "", c.action.DataSize-z.start)
		z, hot = next, false
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
	return c.header.Commit(c.part)
}

// markHot commits that z is being rewritten, unless the disk says so already.
// A power cut before it leaves the zone before hot, to be redone from its source,
// which is still there; after it, z is hot and its source is still there too.
func (c *conversion) markHot(z zone, already bool) error {
	if already {
		return nil
	}
	if c.hotPending() {
		if err := c.header.MarkDone(); err != nil {
			return err
		}
	}
	if err := c.header.MarkHot(int64(z.start), int64(z.length)); err != nil {
		return err
	}
	if err := c.header.Commit(c.part); err != nil {
		return fmt.Errorf("commit the hot zone at %d: %w", z.start, err)
	}
	c.report(Committed, "hot zone", c.action.DataSize-z.start-z.length)
	return nil
}

// storeAndLoad writes z while next is read and encrypted, and makes z durable.
// A power cut leaves z partly written: it is hot, so it is redone from its source.
func (c *conversion) storeAndLoad(ctx context.Context, z zone, buf []byte, next zone, nextBuf []byte) error {
	loaded := make(chan error, 1)
	go func() { loaded <- c.load(ctx, next, nextBuf) }()
	// The zone is finished even when ctx is done: stopping between here and the
	// sync would only make the next run do it again.
	err := c.pipeline.store(context.WithoutCancel(ctx), c.part, buf[:z.length], c.action.Shift+z.start)
	if err == nil {
		err = c.part.Sync()
	}
	loadErr := <-loaded
	if err != nil {
		return fmt.Errorf("write the hot zone at %d: %w", z.start, err)
	}
	if loadErr != nil && !errors.Is(loadErr, context.Canceled) {
		return loadErr
	}
	return nil
}

// load reads and encrypts z into buf.
func (c *conversion) load(ctx context.Context, z zone, buf []byte) error {
	if z.length == 0 {
		return nil
	}
	source := z.start
	if z.start == 0 {
		source = c.deviceSize() - c.action.Shift // the moved first segment
	}
	if err := c.pipeline.load(ctx, buf[:z.length], c.part, source, z.start, c.encrypt); err != nil {
		return fmt.Errorf("read the zone at %d: %w", z.start, err)
	}
	return nil
}

// finish commits the finished header straight from the last hot zone, and wipes
// the plain copy of the first segment. The state between "last zone done" and
// "finished" is never written: cryptsetup could not go on from it.
func (c *conversion) finish() error {
	if err := c.header.Finish(luks2.FinishOptions{DataSize: int64(c.deviceSize() - 2*c.action.Shift)}); err != nil {
		return err
	}
	moved := c.movedExtent()
	if _, err := c.header.AddToken(wipeToken(moved)); err != nil {
		return err
	}
	// A power cut in here leaves either the hot header, whose zone is redone, or
	// the finished one with the plain copy still there. The volume's segment then
	// ends before the copy, so that nobody can grow a file system over it, and the
	// token tells the next run to wipe it.
	if err := c.header.Commit(c.part); err != nil {
		return fmt.Errorf("commit the finished header: %w", err)
	}
	c.report(Committed, "finished", c.action.DataSize)
	if err := c.header.WipeRemoved(c.part, c.env.Random); err != nil {
		return err
	}
	return c.wipeMoved()
}

// deviceSize is the part of the partition that the conversion uses: whole 4096
// byte blocks, as cryptsetup demands of the zones.
func (c *conversion) deviceSize() disk.Bytes { return c.part.Size().RoundDown(4096) }

// report tells how far the conversion is.
func (c *conversion) report(phase Phase, step string, done disk.Bytes) {
	c.env.report(Event{Phase: phase, Action: c.action.Kind(), Partition: c.action.Number, Step: step, Done: done, Total: c.action.DataSize})
}
