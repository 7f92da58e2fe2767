package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// How a plan is spoken. Text is for people: lower case, sizes rounded, one line a
// partition and one sentence an action, with its reason. Machines read the JSON.

// printable replaces what could steer a terminal or break a line: names on a disk
// are somebody else's.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// showPlan writes a plan. An empty one says nothing in text.
func showPlan(w io.Writer, p *plan.Plan, saw disk.Snapshot, asJSON bool) error {
	if asJSON {
		return showJSON(w, p)
	}
	out := bufio.NewWriter(w) // a table is thousands of short writes
	showNotes(out, p, saw)
	if !p.Empty() {
		showWork(out, p)
	}
	return out.Flush()
}

// showWork writes the partitions before and after, and what makes the one the other.
func showWork(w *bufio.Writer, p *plan.Plan) {
	fmt.Fprintf(w, "%s: %s, sectors of %d bytes\n", p.Target.Path, p.Target.Size, int64(p.Target.SectorSize))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nbefore")
	showBefore(table, p)
	fmt.Fprintln(table, "\nafter")
	showAfter(table, p)
	_ = table.Flush() // w keeps its errors
	fmt.Fprintln(w, "\nto do")
	for _, a := range p.Actions {
		fmt.Fprintf(w, "  %s\n", sentence(p, a))
	}
}

// showNotes says what the reader should know beside the plan.
func showNotes(w *bufio.Writer, p *plan.Plan, saw disk.Snapshot) {
	for _, warning := range saw.Warnings {
		fmt.Fprintf(w, "note: %s\n", printable(warning))
	}
	for _, n := range p.Notes {
		fmt.Fprintf(w, "note: %s\n", spokenNote(n))
	}
}

// spokenNote writes a note on one line, behind the definition it is about.
func spokenNote(n plan.Note) string {
	return printable(strings.TrimPrefix(n.Definition+": "+n.Text, ": "))
}

// showBefore lists the partitions as they are.
func showBefore(w io.Writer, p *plan.Plan) {
	listed := 0
	for _, r := range p.Rows {
		if r.Old == nil {
			continue
		}
		if listed++; listed == 1 {
			showFront(w, p, r.Old.Offset, true)
		}
		showRow(w, *r.Old, spokenContent(r.Content), "")
		showFree(w, p, r.Old.End(), r.OldPadding, true)
	}
	if listed == 0 {
		fmt.Fprintln(w, "  no partitions")
	}
}

// showAfter lists the partitions as they will be.
func showAfter(w io.Writer, p *plan.Plan) {
	first := true
	for _, r := range p.Rows {
		if r.Activity == plan.ActivityDelete {
			continue
		}
		if first {
			showFront(w, p, r.Offset, false)
		}
		mark := ""
		first = false
		if r.Definition != "" {
			mark = "<- " + r.Definition
		}
		showRow(w, r.Entry, contentAfter(p, r), mark)
		showFree(w, p, r.End(), r.Padding, false)
	}
}

// showRow writes one partition.
func showRow(w io.Writer, e disk.Entry, content string, mark string) {
	fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%s\n", e.Number, printable(e.Name), spokenType(e), e.Size, content, mark)
}

// showFront writes the free space in front of the first partition, which begins at to.
func showFront(w io.Writer, p *plan.Plan, to disk.Bytes, before bool) {
	if start := p.Table.FirstUsable.Offset(p.Target.SectorSize); p.Table.Kind == disk.GPT && to > start {
		showFree(w, p, start, to-start, before)
	}
}

// showFree writes the free space of a size that begins at from on a line of its own, with what
// lies in it: of what little there is between most partitions only that.
func showFree(w io.Writer, p *plan.Plan, from, size disk.Bytes, before bool) {
	held := heldIn(p, disk.Extent{Offset: from, Size: size}, before)
	if size >= disk.MiB || held != "" {
		fmt.Fprintf(w, "  \t\tfree\t%s\t%s\t\n", size, held)
	}
}

// heldIn says what lies in free space e: as the disk is before, or when all is done.
func heldIn(p *plan.Plan, e disk.Extent, before bool) string {
	if p.NewTable && !before {
		return ""
	}
	for _, o := range p.Occupied {
		if e.Contains(disk.Extent{Offset: o.Found.Offset, Size: 1}) {
			return printable(o.Found.Describe(p.Target.SectorSize))
		}
	}
	return ""
}

// spokenType names a partition's type; on an MBR disk that is a byte.
func spokenType(e disk.Entry) string {
	if e.Type == uuid.Nil {
		return fmt.Sprintf("0x%02x", e.Attributes&0xff)
	}
	return disk.TypeByUUID(e.Type).String()
}

// spokenContent names what a partition holds.
func spokenContent(c disk.Content) string {
	switch {
	case c.Kind == "":
		return "-"
	case c.LUKS != nil && c.LUKS.Reencryption != nil:
		r := c.LUKS.Reencryption
		return fmt.Sprintf("LUKS2, %s %d%% done", r.Mode, percent(r.Done, r.Total))
	case c.LUKS != nil:
		return "LUKS2"
	case c.Kind == disk.Hibernated:
		return "swap with a hibernated system (" + c.Version + ")"
	default:
		return c.Kind
	}
}

func percent(done, total disk.Bytes) int64 {
	if total <= 0 {
		return 0
	}
	return int64(float64(done) / float64(total) * 100)
}

// contentAfter names what a partition will hold.
func contentAfter(p *plan.Plan, r plan.Row) string {
	content := spokenContent(r.Content)
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.Create:
			if a.Number == r.Number {
				content = createdContent(a)
			}
		case plan.Reencrypt:
			if a.Number == r.Number {
				content = inLUKS(a.Filesystem)
			}
		case plan.Verity:
			if a.Hash == r.Number {
				content = "verity"
			}
		}
	}
	return content
}

func createdContent(a plan.Create) string {
	content := "-"
	switch {
	case a.Filesystem != nil:
		content = a.Filesystem.Format
	case a.CopyBlocks != "":
		content = "copy of " + a.CopyBlocks
	}
	if a.Encryption != nil {
		return inLUKS(content)
	}
	return content
}

func inLUKS(content string) string {
	if content == "" || content == "-" {
		return "LUKS2"
	}
	return "LUKS2 (" + content + ")"
}

// sentence says one action for people, with its reason.
func sentence(p *plan.Plan, a plan.Action) string {
	return fmt.Sprintf("%s partition %s: %s, because %s", a.Kind(), spokenPartition(p, a.Partition()), deed(a), a.Reason())
}

// spokenPartition names a partition by its number and label.
func spokenPartition(p *plan.Plan, number int) string {
	if row, _ := p.Row(number); row.Name != "" {
		return fmt.Sprintf("%d (%s)", number, printable(row.Name))
	}
	return fmt.Sprint(number)
}

// deed says what an action does.
func deed(a plan.Action) string {
	switch a := a.(type) {
	case plan.Create:
		return createDeed(a)
	case plan.Grow:
		return fmt.Sprintf("grow it from %s to %s", a.From, a.To)
	case plan.Verity:
		return fmt.Sprintf("write the verity hash tree of partition %d (%s)", a.Data, a.DataExtent.Size)
	case plan.Enroll:
		return enrollDeed(a)
	case plan.Reencrypt:
		return reencryptDeed(a)
	default:
		panic(fmt.Sprintf("sealpart: no sentence for the action %q", a.Kind()))
	}
}

func createDeed(a plan.Create) string {
	what := fmt.Sprintf("make it with %s", a.Extent.Size)
	switch {
	case a.Filesystem != nil:
		what += fmt.Sprintf(" and a new %s file system", a.Filesystem.Format)
		for i, f := range a.Filesystem.CopyFiles {
			what += [...]string{" with the files of ", " and "}[min(i, 1)] + f.Source
		}
	case a.CopyBlocks != "":
		what += " and copy " + a.CopyBlocks + " into it"
	}
	if a.Encryption != nil {
		what += ", " + encryptionDeed(*a.Encryption)
	}
	return what
}

func joinInts(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", "+")
}
