package executor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// resumption is a volume whose conversion is gone on with, as it was when its header was judged:
// that header, and no other that may be there by then, is acted upon.
type resumption struct {
	keys   dataKeys
	header *luks2.Header
	staged []byte // the image that the header is in, nil where it lies at its place
}

// judge opens the volume whose conversion an action goes on with, and checks its
// metadata and its notes, before anything is written anywhere. The keys are the caller's to
// wipe. Where all that there is to do is what a note says that is not the volume's own, the
// partition is left as it is.
func (x *run) judge(ctx context.Context, a plan.Reencrypt) (resumption, error) {
	c, done, err := x.headerOf(ctx, a)
	if err != nil {
		return resumption{}, err
	}
	defer done()
	header, staged, err := c.findHeader()
	if err == nil {
		err = c.sameVolume(header)
	}
	if err != nil {
		return resumption{}, err
	}
	if c.header = header; staged != nil {
		c.home = &front{bytes: staged} // with the keyslots
	}
	pending, err := c.pending()
	if err != nil {
		return resumption{}, err
	}
	keys, err := c.openFor(ctx, pending)
	if err != nil {
		return resumption{}, err
	}
	reportForged(c.env, Event{Action: a.Kind(), Partition: a.Number}, c.header, keys.new)
	if _, found := findWipeToken(c.header, keys.new); pending == nil && !found {
		x.left[a.Number] = true
	}
	return resumption{keys, header, staged}, nil
}

// headerOf returns the conversion of an action, with the place of its header open to be
// read until done is called.
func (x *run) headerOf(ctx context.Context, a plan.Reencrypt) (c *conversion, done func(), err error) {
	done = func() {}
	if c, err = x.conversion(a); err != nil || a.Room != plan.RoomDetached {
		return c, done, err
	}
	file, err := resolve.Trusted(a.HeaderPath, os.O_RDONLY)
	if err == nil {
		done = func() { _ = file.Close() }
		err = c.settle(ctx, file)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("header file: %w", err)
	}
	return c, done, nil
}

// openFor returns the keys that are needed to go on with what is pending, or to wipe what
// was left where nothing is.
func (c *conversion) openFor(ctx context.Context, pending *luks2.Reencryption) (dataKeys, error) {
	if pending == nil {
		return c.leftoverKey(ctx)
	}
	keys, err := c.unlock(ctx, pending)
	if err == nil && unprotected(pending) {
		err = c.checkNotBegun(pending, keys)
	}
	return keys, err
}

// pending returns the conversion that the header describes, nil where all that is
// left is to wipe old data. It fails where the conversion cannot be continued here.
func (c *conversion) pending() (*luks2.Reencryption, error) {
	a, err := c.activation()
	if err != nil {
		return nil, err
	}
	return a.Reencryption, nil
}

// activation returns what the header makes of the data, where it may be changed.
func (c *conversion) activation() (*luks2.Activation, error) {
	if err := c.header.Writable(); err != nil {
		return nil, err
	}
	return c.header.Activation(luks2.Place{Size: int64(c.part.Size()), Detached: c.action.Room == plan.RoomDetached})
}

// unprotected reports whether a conversion keeps nothing of its hot zones; it is
// continued under our own protection.
func unprotected(pending *luks2.Reencryption) bool {
	return pending.Resilience == "none" && pending.Mode != "decrypt"
}

// checkNotBegun demands of a conversion that keeps no record of how far it is that it has
// not begun, by what the data begins with: what is recognised under its old key, or as plain
// data, was not rewritten. Its header says so in any case, until the other program ends.
func (c *conversion) checkNotBegun(pending *luks2.Reencryption, keys dataKeys) error {
	if pending.State == luks2.Unfinished {
		return nil
	}
	old, err := c.kindUnder(pending.Previous, keys.old)
	if err != nil || old != "" && pending.Remaining == pending.DataSize {
		return err
	}
	reason := "nothing that is known is found where it would begin"
	if kind, err := c.kindUnder(pending.Final, keys.new); err == nil && kind != "" {
		reason = fmt.Sprintf("its first bytes, %s, are under the new key already", kind)
	}
	return &headerError{fmt.Sprintf("its conversion was begun by another tool without protection, and how far it is nobody wrote down: %s", reason),
		"restore the partition from a backup"}
}

// kindUnder returns what the data begins with, read as a segment under key.
func (c *conversion) kindUnder(s luks2.Segment, key *secret.Buffer) (string, error) {
	view := &volumeReader{part: c.part, segments: []luks2.Segment{s}, size: c.part.Size() - disk.Bytes(s.Offset)}
	if s.Type == "crypt" {
		cipher, err := cipherOf(s, key)
		if err != nil {
			return "", err
		}
		defer cipher.Wipe()
		view.cipher = cipher
	}
	content, err := probe.Content(view, view.size)
	return content.Kind, err
}

// resume finishes a volume in conversion, with the keys that were opened for it or
// else with those that it carries.
func (c *conversion) resume(ctx context.Context) error {
	if err := c.takeHeader(ctx); err != nil {
		return err
	}
	pending, err := c.pending()
	if err != nil {
		return err
	}
	if c.keys.new == nil {
		if c.keys, err = c.openFor(ctx, pending); err != nil {
			return err
		}
		defer c.keys.wipe()
	}
	if pending == nil {
		if err := c.finishLeftover(ctx, c.keys.new); err != nil {
			return err
		}
		c.report(Done, "", c.action.DataSize)
		return nil
	}
	if err := c.settleResume(pending); err != nil {
		return err
	}
	return c.convert(ctx, c.keys)
}

// takeHeader takes the header to go on from: the judged one, if nobody has changed it since,
// else what there is, for which keys are still to be found.
func (c *conversion) takeHeader(ctx context.Context) (err error) {
	if c.header = c.judged.header; c.header == nil {
		c.header, err = c.readHeader()
		return err
	}
	err = Locked(ctx, c.home, claim.Read, c.stillJudged)
	if errors.Is(err, luks2.ErrChanged) {
		return &overtakenError{err}
	}
	if err == nil && c.judged.staged != nil {
		if err = c.writeFront(c.judged.staged); err != nil {
			err = fmt.Errorf("write the header: %w", err)
		}
	}
	return err
}

// stillJudged fails with luks2.ErrChanged where another header is there than the judged one.
func (c *conversion) stillJudged() error {
	if err := c.header.Unchanged(c.home); err != nil || c.judged.staged == nil {
		return err
	}
	section, err := c.stagedSection()
	if err != nil {
		return err
	}
	return c.header.Unchanged(section)
}

// settleResume makes of what a conversion was left as what this package continues.
func (c *conversion) settleResume(pending *luks2.Reencryption) error {
	if unprotected(pending) {
		return c.protect(pending, c.keys)
	}
	if pending.Resilience == "datashift" && pending.State == luks2.Clean && pending.Remaining == pending.DataSize {
		return c.eraseStaged()
	}
	return nil
}

// unlock returns the keys that the conversion needs, and checks that they are those
// of its metadata. The digest covers what all offsets are computed from; without
// this check a tampered header could make us write anywhere in the partition.
//
// Where all data is converted, the old key is only for the digest, and its keyslots may
// be gone already. No data is written then, and keyslots of which nothing proves that
// they are the old key's stay.
func (c *conversion) unlock(ctx context.Context, state *luks2.Reencryption) (keys dataKeys, err error) {
	defer func() {
		if err != nil {
			keys.wipe()
		}
	}()
	if keys.new, err = c.open(ctx, luks2.HoldsFinal); err != nil {
		return keys, err
	}
	a, err := c.activation()
	if err != nil {
		return keys, err
	}
	if a.NeedsPrevious() {
		keys.old, err = c.open(ctx, luks2.HoldsPrevious)
		if err != nil && state.State != luks2.Unfinished {
			return keys, fmt.Errorf("the key of the data that is not converted yet: %w", err)
		}
	}
	settled, err := a.Verify(ctx, keys.old.Bytes(), keys.new.Bytes())
	if keys.unsettled = !settled; state.State == luks2.Unfinished {
		keys.old.Wipe()
		keys.old = nil
	}
	return keys, err
}

// open returns one of the volume's keys, by what the header carries, the keys of the
// definition, or the key source of the action.
func (c *conversion) open(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
	key, err := unlock(ctx, c.env, c.header, c.home, what)
	if err == nil || c.action.ExistingKey == "" {
		return key, err
	}
	key, otherErr := c.existingKey(ctx, what)
	if otherErr != nil {
		return nil, errors.Join(err, otherErr)
	}
	return key, nil
}

// wipe forgets the keys.
func (k dataKeys) wipe() {
	k.old.Wipe()
	k.new.Wipe()
}

// wayOf returns the way in which a conversion is done.
func (c *conversion) wayOf(state *luks2.Reencryption, recode recoder) (way, error) {
	if state.Resilience == "datashift" {
		return &shift{c: c, state: state, recode: recode}, nil
	}
	return newInPlace(c, state, recode)
}
