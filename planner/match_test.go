package planner

import (
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// TestMatchChooses: a definition takes the partition that it matches, not the first of its type.
func TestMatchChooses(t *testing.T) {
	first, second := ext4(there("root", 2048, 204800)), ext4(there("root", 206848, 204800))
	second.Content.Kind, second.Name = "btrfs", "b"
	volume := luks(there("root", 206848, 204800), 0, tpmToken)
	unseen := there("root", 206848, 204800)
	header := luks(unseen, 0, tpmToken).Content
	header.LUKS.DataOffset = 0
	withHeader := options(EmptyRefuse)
	withHeader.Headers = map[string]disk.Content{headerPath: header}
	id := second.UUID
	for name, c := range map[string]struct {
		match  definitions.Match
		second disk.Partition
		def    definitions.Definition
		opts   Options
		want   int
	}{
		"the type":               {definitions.Match{}, second, want("root"), options(EmptyRefuse), 1},
		"its UUID":               {definitions.Match{UUID: &id}, second, want("root"), options(EmptyRefuse), 2},
		"its label":              {definitions.Match{Label: "b"}, second, want("root"), options(EmptyRefuse), 2},
		"its file system":        {definitions.Match{Filesystem: "btrfs"}, second, want("root"), options(EmptyRefuse), 2},
		"encrypted since":        {definitions.Match{Filesystem: "btrfs"}, volume, want("root", encrypted), options(EmptyRefuse), 2},
		"its header in a file":   {definitions.Match{Filesystem: "btrfs"}, unseen, convertAs("detached:" + headerPath), withHeader, 2},
		"a volume of another's":  {definitions.Match{Filesystem: "btrfs"}, volume, want("root"), options(EmptyRefuse), 0},
		"a label and a UUID":     {definitions.Match{Label: "root", UUID: &id}, second, want("root"), options(EmptyRefuse), 0},
		"nothing without header": {definitions.Match{Filesystem: "btrfs"}, unseen, convertAs("detached:" + headerPath), options(EmptyRefuse), 0},
	} {
		c.def.Partition.Match = c.match
		l := &layout{snap: gpt(disk.GiB, first, c.second), opts: c.opts}
		if got := l.turns(named(c.def))["10-root-x86-64"]; got != c.want {
			t.Errorf("%s: takes partition %d, not %d", name, got, c.want)
		}
	}
}

// TestNewFitsItsDefinition: what a definition makes, it must take in the next run, or each
// run would make one more.
func TestNewFitsItsDefinition(t *testing.T) {
	const would = "10-root-x86-64.toml would not match the partition it makes: "
	given := definitions.Match{UUID: &testSeed}
	for name, c := range map[string]struct {
		match definitions.Match
		edit  func(*definitions.Definition)
		want  string
	}{
		"another UUID":        {given, func(*definitions.Definition) {}, would + "match.uuid is " + testSeed.String() + ", the UUID another"},
		"its own UUID":        {given, func(d *definitions.Definition) { d.Partition.UUID = &testSeed }, ""},
		"another file system": {definitions.Match{Filesystem: "xfs"}, format("ext4"), would + `match.filesystem is "xfs", the format "ext4"`},
		"no file system":      {definitions.Match{Filesystem: "xfs"}, func(*definitions.Definition) {}, would + `match.filesystem is "xfs", the format ""`},
		"its file system":     {definitions.Match{Filesystem: "ext4"}, format("ext4"), ""},
		"what is copied":      {definitions.Match{Filesystem: "xfs"}, func(d *definitions.Definition) { d.Filesystem.CopyBlocks = "/b" }, ""},
		"its own label":       {definitions.Match{Label: "x"}, func(d *definitions.Definition) { d.Partition.Label = "x" }, ""},
	} {
		d := want("root", c.edit)
		d.Partition.Match = c.match
		o := options(EmptyAllow)
		o.SourceSizes = map[string]disk.Bytes{"/b": disk.MiB}
		_, err := Make(named(d), blank(disk.GiB), host.Facts{}, o)
		if got := text(err); got != c.want {
			t.Errorf("%s: %s\nwant: %s", name, got, c.want)
		}
	}
}

// text is what an error says, "" where there is none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestUnseen: with its header elsewhere, a partition that its definition knows by its file
// system looks like any other without content, so that there may be none such.
func TestUnseen(t *testing.T) {
	d := convertAs("detached:" + headerPath)
	d.Partition.Match.Filesystem, d.Filesystem.Format = "ext4", "ext4"
	const refused = "/usr/lib/sealpart.d/10-root-x86-64.toml: partition 1: once it is encrypted nothing in it tells it from partition 2: the header is elsewhere"
	root, other := ext4(there("root", 2048, 204800)), there("root", 206848, 204800)
	xfs, home := ext4(other), there("home", 206848, 204800)
	xfs.Content.Kind = "xfs"
	labelled, numbered := d, d
	labelled.Partition.Match.Label = "root"
	other.Name = "other"
	numbered.Partition.Match.UUID = new(root.UUID)
	twin := other
	twin.Name = "root"
	byType := convertAs("detached:" + headerPath)
	for name, c := range map[string]struct {
		def   definitions.Definition
		other disk.Partition
		want  string
	}{
		"nothing in it":           {d, other, refused},
		"nothing under its label": {labelled, twin, refused},
		"another file system":     {d, xfs, ""},
		"another type":            {d, home, ""},
		"told by the label":       {labelled, other, ""},
		"told by the UUID":        {numbered, other, ""},
		"told by the number":      {byType, other, ""},
	} {
		_, err := Make(named(c.def), gpt(disk.GiB, root, c.other), host.Facts{}, options(EmptyRefuse))
		if got := text(err); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestNames: a label is text that a GPT entry has room for.
func TestNames(t *testing.T) {
	for label, refused := range map[string]string{
		"a\x00b":  `10-root-x86-64.toml: the partition label "a\x00b" contains a NUL`,
		"a\xff":   "10-root-x86-64.toml: the partition label is not valid UTF-8",
		"a label": "",
	} {
		d := want("root", func(d *definitions.Definition) { d.Partition.Label = label })
		_, err := Make(named(d), blank(disk.GiB), host.Facts{}, options(EmptyAllow))
		if got := text(err); got != refused {
			t.Errorf("%q: %s\nwant: %s", label, got, refused)
		}
	}
	nameless := want("root")
	nameless.Partition.Type = disk.Type{UUID: uuid.MustParse("deadbeef-0000-4000-8000-000000000000")}
	nameless.Partition.ReadOnly = new(true)
	nameless.Name = "10-odd"
	p := planned(t, named(nameless), blank(disk.GiB), options(EmptyAllow))
	if p.Rows[0].Name != "linux" || len(p.Notes) != 1 || p.Notes[0].Text != "read_only means nothing for the type deadbeef-0000-4000-8000-000000000000 and is ignored" {
		t.Errorf("a type without a name: %q %+v", p.Rows[0].Name, p.Notes)
	}
}
