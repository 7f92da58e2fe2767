package main

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner"
)

// labelError is a partition table that was refused, with the disk it is about. The
// planner knows that no GPT can be used; whether one is there, in ruins, decides
// what to do next, and nobody may be sent to --empty=force by a torn sector.
type labelError struct {
	error
	saw disk.Snapshot
}

func (e *labelError) Unwrap() error { return e.error }

// Error says what the planner says, and for a GPT that cannot be used, why.
func (e *labelError) Error() string {
	if e.damaged() {
		return fmt.Sprintf("%v: %s: %s", planner.ErrLabelRefused, e.saw.Path, e.saw.Content.Problem)
	}
	return e.error.Error()
}

// damaged reports whether the disk has a GPT of which no copy can be used.
func (e *labelError) damaged() bool {
	c := e.saw.Content
	return c.Problem != "" && (c.Kind == "gpt" || slices.Contains(c.Ambiguous, "gpt"))
}

// Hint says what to do next.
func (e *labelError) Hint() string {
	switch {
	case e.saw.Content.Remedy != "":
		return "nothing was written; " + e.saw.Content.Remedy + "; --empty=force makes a new table and gives all data up"
	case e.damaged():
		return "nothing was written; give an image that was cut its whole length, or repair the table with \"gdisk\"; --empty=force makes a new one and gives all data up"
	case e.saw.Table.Kind == disk.GPT:
		return "without --empty the partition table that is there is kept and used"
	case e.saw.Table.Kind == disk.MBR:
		return "\"sgdisk --mbrtogpt\" makes it a GPT and keeps the partitions; --empty=force makes a new table and gives all data up"
	case e.saw.Table.Kind == disk.Bare && e.saw.Content.Kind == "":
		return "it may be a volume that shows nothing of itself, such as VeraCrypt's or plain dm-crypt's, or what an earlier life left; --empty=force makes a new table and gives all data up"
	case e.saw.Table.Kind == disk.Bare:
		return fmt.Sprintf("the disk itself holds %s; --empty=force makes a new table and gives all data up", spokenContent(e.saw.Content))
	default:
		return "--empty=allow makes a partition table on an empty disk"
	}
}
