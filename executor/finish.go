package executor

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// finish commits the finished header straight from the last hot zone, and wipes
// what the conversion leaves: the keyslots of the old key, the plain copy of the
// first segment. The state between "last zone done" and "finished" is never
// written: cryptsetup could not go on from it, or would encrypt everything again.
// key is the volume's, which vouches for the note of what is to be wiped.
func (c *conversion) finish(ctx context.Context, key *secret.Buffer) error {
	if err := c.clear(ctx, c.way.end()); err != nil {
		return err
	}
	if err := c.finishHeader(key); err != nil {
		return err
	}
	// A power cut in here leaves either the hot header, whose zone is redone, or
	// the finished one with the plain copy still there. The volume's segment then
	// ends before the copy, so that nobody can grow a file system over it, and the
	// token tells the next run to wipe it.
	err := changing(c.header, c.home, func() error {
		c.finishing()
		if err := c.header.Commit(c.home); err != nil {
			return err
		}
		c.report(Committed, "finished", c.action.DataSize)
		return c.header.WipeRemoved(c.home, c.env.Random)
	})
	if err != nil {
		return fmt.Errorf("commit the finished header: %w", err)
	}
	if err := c.wipeLeftover(key); err != nil {
		return err
	}
	c.report(Done, "", c.action.DataSize)
	return nil
}

// finishHeader makes the finished header, in memory.
func (c *conversion) finishHeader(key *secret.Buffer) error {
	dataSize, plain := c.way.leaves()
	var orphans []int
	if !c.keys.unsettled {
		orphans = tokensOf(c.header, holding(c.header, luks2.HoldsPrevious))
	}
	if err := c.header.Finish(luks2.FinishOptions{DataSize: int64(dataSize), KeepPrevious: c.keys.unsettled}); err != nil {
		return err
	}
	if err := removeTokens(c.header, orphans); err != nil {
		return err
	}
	return noteWipe(c.header, key, plain, c.leaves)
}

// holding returns the keyslots that hold one of the volume's keys.
func holding(h *luks2.Header, what luks2.Holds) (slots []int) {
	for _, s := range h.Keyslots() {
		if s.Type == "luks2" && s.Holds == what {
			slots = append(slots, s.ID)
		}
	}
	return slots
}

// tokensOf returns the tokens that are for some of these keyslots and no others.
func tokensOf(h *luks2.Header, slots []int) (ids []int) {
	for _, token := range h.Tokens() {
		other := func(slot int) bool { return !slices.Contains(slots, slot) }
		if len(token.Keyslots) > 0 && !slices.ContainsFunc(token.Keyslots, other) {
			ids = append(ids, token.ID)
		}
	}
	return ids
}

// removeTokens drops tokens.
func removeTokens(h *luks2.Header, ids []int) error {
	for _, id := range ids {
		if err := h.RemoveToken(id); err != nil {
			return err
		}
	}
	return nil
}
