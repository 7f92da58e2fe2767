package planner

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

const headerPath = "/boot/root.header"

// convertAs is a definition of a root that is converted, with the rooms.
func convertAs(rooms ...string) definitions.Definition {
	return want("root", encrypted, func(d *definitions.Definition) {
		d.Encryption.Existing, d.Encryption.HeaderRoom = definitions.ExistingConvert, rooms
		d.Partition.Weight = 0
	})
}

// volumeAs is a definition of a root whose volume is worked on as existing says.
func volumeAs(existing, existingKey string, keys ...definitions.Key) definitions.Definition {
	return want("root", func(d *definitions.Definition) {
		d.Encryption = &definitions.Encryption{Existing: existing, ExistingKey: existingKey, Keys: keys}
		d.Partition.Weight = 0
	})
}

var (
	tpmKey    = definitions.Key{Type: definitions.KeyTPM2, PCRs: []int{7}, Format: definitions.FormatWidest}
	fileKey   = definitions.Key{Type: definitions.KeyFile, Path: "/run/new.key"}
	vendorKey = "file:/run/vendor.key"
)

// ext4 fills a partition with a file system that is half free.
func ext4(p disk.Partition) disk.Partition {
	p.Content = disk.Content{
		Kind: "ext4", Size: p.Size, BlockSize: 4096, Free: p.Size / 2,
		Label: "otaroot", UUID: uuid.NewSHA1(testSeed, []byte(p.UUID.String())).String(),
	}
	return p
}

// luks makes a partition a volume with the given tokens; slots that no token names
// come first.
func luks(p disk.Partition, bare int, tokens ...disk.Token) disk.Partition {
	l := &disk.LUKS{DataOffset: Shift, Cipher: "aes-xts-plain64", KeyBits: 512, SectorSize: 512}
	for i := range bare + len(tokens) {
		l.Keyslots = append(l.Keyslots, disk.Keyslot{ID: i})
	}
	for i, t := range tokens {
		t.ID, t.Keyslots = i, []int{bare + i}
		l.Tokens = append(l.Tokens, t)
	}
	p.Content = disk.Content{Kind: cryptoLUKS, Version: "2", UUID: "7b1367a6-5845-43f2-99b1-a742d873f590", Label: "vendor", LUKS: l}
	return p
}

var (
	tpmToken  = disk.Token{Type: "systemd-tpm2", PCRs: []int{7}, Bank: "sha256"}
	fileToken = disk.Token{Type: disk.TokenFile}
)

// pending puts a volume into the middle of a conversion.
func pending(p disk.Partition, mode, resilience string, state disk.ReencryptionState) disk.Partition {
	l := *p.Content.LUKS
	l.Reencryption = &disk.Reencryption{Mode: mode, Resilience: resilience, State: state, Done: disk.MiB, Total: 64 * disk.MiB}
	p.Content.LUKS = &l
	return p
}

// rest plans again on what a plan leaves, and demands that nothing is left to do.
func rest(t testing.TB, defs []definitions.Definition, p *plan.Plan, snap disk.Snapshot, o Options) {
	t.Helper()
	after := After(p, snap)
	o.Headers, o.Empty = HeadersAfter(p, o.Headers), EmptyRefuse
	if next := planned(t, defs, after, o); !next.Empty() {
		t.Errorf("the second run is not empty: %v %+v", sectors(next), next.Actions)
	}
}

// TestGap: the header goes into the free space before a partition, whose data stays
// where it is.
func TestGap(t *testing.T) {
	const gap = int64(Shift / 512)
	cases := []struct {
		name  string
		snap  disk.Snapshot
		rooms []string
		room  plan.Room
		start int64 // of root afterwards
	}{
		{"exactly enough", gpt(disk.GiB, ext4(there("root", 2048+gap, 204800))), []string{"gap"}, plan.RoomGap, 2048},
		{"more than enough", gpt(disk.GiB, ext4(there("root", 4096+gap, 204800))), []string{"gap", "grow"}, plan.RoomGap, 4096},
		{"a sector short", gpt(disk.GiB, ext4(there("root", 2047+gap, 204800))), []string{"gap", "grow"}, plan.RoomBehind, 2047 + gap},
		{"a neighbour in it", gpt(disk.GiB, there("srv", 2048, 2048), ext4(there("root", 4095+gap, 204800))), []string{"gap", "shrink"}, plan.RoomBehind, 4095 + gap},
		{"beside a neighbour", gpt(disk.GiB, there("srv", 2048, 2048), ext4(there("root", 4096+gap, 204800))), []string{"gap", "shrink"}, plan.RoomGap, 4096},
		{"not preferred", gpt(disk.GiB, ext4(there("root", 2048+gap, 204800))), []string{"shrink", "gap"}, plan.RoomBehind, 2048 + gap},
		{"nothing else left", gpt(disk.GiB, there("srv", 2048, 2048), ext4(there("root", 4096, 204800))), []string{"gap", "detached:" + headerPath}, plan.RoomDetached, 4096},
	}
	for _, c := range cases {
		defs := named(convertAs(c.rooms...))
		p := planned(t, defs, c.snap, options(EmptyRefuse))
		r := p.Actions[len(p.Actions)-1].(plan.Reencrypt)
		if r.Room != c.room || int64(r.Extent.Offset/512) != c.start {
			t.Errorf("%s: %+v", c.name, r)
		}
		rest(t, defs, p, c.snap, options(EmptyRefuse))
	}
}

// TestGapIsTaken: neither new partitions nor the one before grow into what a header
// takes; where they must, the header goes elsewhere.
func TestGapIsTaken(t *testing.T) {
	const gap = int64(Shift / 512)
	srv, root := there("srv", 2048, 20480), ext4(there("root", 22528+gap, 204800))
	snap := gpt(145*disk.MiB, srv, root)
	grows := want("srv")
	p := planned(t, named(convertAs("gap", "detached:"+headerPath), grows), snap, options(EmptyRefuse))
	expect(t, p, "1 srv 2048+20480 unchanged", "2 root-x86-64 22528+237568 resize")
	must := want("srv", sizes(disk.Bytes(20480+gap)*512, 0))
	p = planned(t, named(convertAs("gap", "detached:"+headerPath), must), snap, options(EmptyRefuse))
	if r := p.Actions[len(p.Actions)-1].(plan.Reencrypt); r.Room != plan.RoomDetached {
		t.Errorf("%v %+v", sectors(p), r)
	}
	var noSpace *NoSpaceError
	if _, err := Make(named(convertAs("gap"), must), snap, host.Facts{}, options(EmptyRefuse)); !errors.As(err, &noSpace) {
		t.Errorf("both at once: %v", err)
	}
}

// TestLeftAlone: a conversion that has no room is given up where its priority allows
// that, and the rest is done.
func TestLeftAlone(t *testing.T) {
	d := convertAs("gap", "grow")
	d.Partition.Priority = 1
	defs := named(d, want("home"))
	snap := gpt(disk.GiB, ext4(there("root", 2048, 204800)), there("srv", 206848, 2048))
	p := planned(t, defs, snap, options(EmptyRefuse))
	if len(p.Actions) != 1 || p.Actions[0].Kind() != "create" || len(p.Notes) != 1 {
		t.Errorf("%+v %v", p.Actions, p.Notes)
	}
	rest(t, defs, p, snap, options(EmptyRefuse))
}

// TestHeaderSize: a smaller header takes less, in every room.
func TestHeaderSize(t *testing.T) {
	root := ext4(there("root", 4096, 204800))
	for _, room := range []string{"gap", "grow", "shrink"} {
		d := convertAs(room)
		d.Encryption.HeaderSize = disk.MiB
		snap := gpt(disk.GiB, root)
		p := planned(t, named(d), snap, options(EmptyRefuse))
		r := p.Actions[len(p.Actions)-1].(plan.Reencrypt)
		if r.Shift != disk.MiB || r.Encryption.DataOffset != disk.MiB {
			t.Errorf("%s: %+v", room, r)
		}
		if room == "shrink" && r.ShrinkTo != root.Size-2*disk.MiB {
			t.Errorf("shrunk to %d", r.ShrinkTo)
		}
		rest(t, named(d), p, snap, options(EmptyRefuse))
	}
}

// TestDetached: what the file of a header holds decides what is done.
func TestDetached(t *testing.T) {
	plain, unknown := ext4(there("root", 2048, 204800)), there("root", 2048, 204800)
	header := luks(unknown, 1).Content
	header.LUKS.DataOffset = 0
	begun := pending(disk.Partition{Content: header}, "encrypt", "checksum", disk.ReencryptClean).Content
	attached := luks(unknown, 1).Content
	first := pending(disk.Partition{Content: header}, "encrypt", "checksum", disk.ReencryptCrash).Content
	first.LUKS.Reencryption.Done = 0
	defs := named(convertAs("detached:" + headerPath))
	cases := []struct {
		name   string
		root   disk.Partition
		header *disk.Content
		want   string
	}{
		{"begin", plain, nil, "begin"},
		{"go on", unknown, &begun, "resume"},
		{"go on at the start", plain, &first, "resume"},
		{"made anew since", plain, &begun, "refused"},
		{"finished", unknown, &header, ""},
		{"finished, but plain", plain, &header, "refused"},
		{"lost", unknown, nil, "refused"},
		{"no header", plain, &disk.Content{Kind: cryptoLUKS, Problem: "bad"}, "refused"},
		{"another kind of header", unknown, &attached, "refused"},
		{"header in the partition after all", luks(unknown, 1), nil, ""},
	}
	for _, c := range cases {
		o, snap := options(EmptyRefuse), gpt(disk.GiB, c.root)
		if c.header != nil {
			o.Headers = map[string]disk.Content{headerPath: *c.header}
		}
		p, err := Make(defs, snap, host.Facts{}, o)
		got := ""
		switch {
		case err != nil:
			got = "refused"
		case len(p.Actions) == 1:
			r := p.Actions[0].(plan.Reencrypt)
			got = map[bool]string{false: "begin", true: "resume"}[r.Resume]
			if err := plan.Check(p, snap); err != nil || r.Room != plan.RoomDetached || r.HeaderPath != headerPath || r.Shift != 0 {
				t.Errorf("%s: %v %+v", c.name, err, r)
			}
			rest(t, defs, p, snap, o)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, got, c.want, err)
		}
	}
}

// TestDetachedKeepsItsPartition: a definition knows its partition again whose
// content cannot be seen any more.
func TestDetachedKeepsItsPartition(t *testing.T) {
	d := convertAs("detached:" + headerPath)
	d.Partition.Match.Filesystem, d.Filesystem.Format = "ext4", "ext4"
	snap := gpt(disk.GiB, ext4(there("root", 2048, 204800)))
	p := planned(t, named(d), snap, options(EmptyRefuse))
	rest(t, named(d), p, snap, options(EmptyRefuse))
}

// TestRekey: a volume is rekeyed unless a mark says that it has been, whatever keyslots it
// has: its owner may have changed them since.
func TestRekey(t *testing.T) {
	root := there("root", 2048, 204800)
	both := []definitions.Key{tpmKey, fileKey}
	cases := []struct {
		name string
		root disk.Partition
		keys []definitions.Key
		want bool
	}{
		{"vendor's", luks(root, 1), both, true},
		{"vendor's and one file key", luks(root, 1), both[1:], true},
		{"enrolled beside the vendor's", luks(root, 1, tpmToken), both[:1], true},
		{"other PCRs", luks(root, 0, disk.Token{Type: "systemd-tpm2", PCRs: []int{7, 11}, Bank: "sha256"}), both[:1], true},
		{"with a PIN", luks(root, 0, disk.Token{Type: "systemd-tpm2", PCRs: []int{7}, PIN: true}), both[:1], true},
		{"signed policy", luks(root, 0, disk.Token{Type: "systemd-tpm2", PCRs: []int{7}, Bank: "sha256", PublicKeyPCRs: []int{11}}), both[:1], true},
		{"without the PIN", luks(root, 0, tpmToken), []definitions.Key{{Type: definitions.KeyTPM2, PCRs: tpmToken.PCRs, PIN: "ask"}}, true},
		{"one key too few", luks(root, 0, tpmToken), both, true},
		{"one token for two keys", luks(root, 0, fileToken), []definitions.Key{fileKey, {Type: definitions.KeyFile}}, true},
		{"the keys of the definition, and no mark", luks(root, 0, fileToken, tpmToken), both, true},
		{"done", marked(luks(root, 0, tpmToken)), both[:1], false},
		{"done with both", marked(luks(root, 0, fileToken, tpmToken)), both, false},
		{"done, and a key added", marked(luks(root, 1, tpmToken, disk.Token{Type: disk.TokenRecovery})), both[:1], false},
		{"done, and a key removed", marked(luks(root, 0, fileToken)), both, false},
		{"done, and all keys changed", marked(luks(root, 1)), both, false},
		{"done, and another definition", marked(luks(root, 0, tpmToken)), []definitions.Key{{Type: definitions.KeyTPM2, PCRs: []int{11}}}, false},
	}
	for _, c := range cases {
		defs, snap := named(volumeAs(definitions.ExistingRekey, vendorKey, c.keys...)), gpt(disk.GiB, c.root)
		p := planned(t, defs, snap, options(EmptyRefuse))
		if len(p.Actions) == 1 != c.want {
			t.Errorf("%s: %+v", c.name, p.Actions)
			continue
		}
		if c.want {
			r := p.Actions[0].(plan.Reencrypt)
			if r.Mode != plan.ModeRekey || r.ExistingKey != vendorKey || r.DataSize != root.Size-Shift || r.Encryption.SectorSize != 512 ||
				r.Encryption.UUID.String() != c.root.Content.UUID || r.Encryption.Label != "vendor" {
				t.Errorf("%s: %+v", c.name, r)
			}
			rest(t, defs, p, snap, options(EmptyRefuse))
		}
	}
}

// marked is a volume with the mark that it has been rekeyed.
func marked(p disk.Partition) disk.Partition {
	p.Content.LUKS.Tokens = append(p.Content.LUKS.Tokens, rekeyedToken)
	return p
}

// TestMarks: what a plan takes from a header at its word, it says; without a mark that was
// found forged it plans as if it were not there.
func TestMarks(t *testing.T) {
	root := there("root", 2048, 204800)
	waits := disk.Token{ID: 9, Type: disk.TokenAwaits, Awaits: []string{"tpm2"}}
	withNote := luks(root, 1, tpmToken)
	withNote.Content.LUKS.Tokens = append(withNote.Content.LUKS.Tokens, waits)
	for name, c := range map[string]struct {
		root     disk.Partition
		existing string
		source   string
		keys     []definitions.Key
		boot     bool
		want     *plan.Mark
		without  string // kind of action where the mark is distrusted
	}{
		"rekeyed":                  {marked(luks(root, 0, tpmToken)), definitions.ExistingRekey, vendorKey, []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{6}, ExistingKey: vendorKey}, "reencrypt"},
		"rekeyed, typed":           {marked(luks(root, 0, tpmToken)), definitions.ExistingRekey, "ask", []definitions.Key{tpmKey}, false, &plan.Mark{Tokens: []int{6}, ExistingKey: "ask"}, "reencrypt"},
		"rekeyed, typed at boot":   {marked(luks(root, 0, tpmToken)), definitions.ExistingRekey, "ask", []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{6}}, "reencrypt"},
		"the vendor's and a mark":  {marked(luks(root, 1)), definitions.ExistingRekey, "ask", []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{6}, ExistingKey: "ask"}, "reencrypt"},
		"file key":                 {luks(root, 0, fileToken), definitions.ExistingEnroll, vendorKey, []definitions.Key{fileKey}, true, &plan.Mark{Tokens: []int{0}, ExistingKey: vendorKey}, "enroll"},
		"awaits":                   {withNote, definitions.ExistingEnroll, vendorKey, []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{0, 9}, ExistingKey: vendorKey}, "enroll"},
		"kept, awaits":             {withNote, definitions.ExistingKeep, "", []definitions.Key{tpmKey}, true, nil, ""},
		"a TPM's":                  {luks(root, 0, tpmToken), definitions.ExistingEnroll, vendorKey, []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{0}, ExistingKey: vendorKey}, "enroll"},
		"two that could be it":     {luks(root, 0, tpmToken, tpmToken), definitions.ExistingEnroll, vendorKey, []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{0, 1}, ExistingKey: vendorKey}, "enroll"},
		"a file's, and none named": {luks(root, 0, tpmToken, fileToken), definitions.ExistingEnroll, "", []definitions.Key{tpmKey}, true, &plan.Mark{Tokens: []int{0}}, "enroll"},
		"a token, and none named":  {luks(root, 0, tpmToken), definitions.ExistingEnroll, "", []definitions.Key{{Type: definitions.KeyRecovery}}, true, nil, "enroll"},
		"kept, a TPM's":            {luks(root, 0, tpmToken), definitions.ExistingKeep, "", []definitions.Key{tpmKey}, true, nil, ""},
		"to be rekeyed":            {luks(root, 1), definitions.ExistingRekey, vendorKey, []definitions.Key{tpmKey}, true, nil, "reencrypt"},
	} {
		o := options(EmptyRefuse)
		o.Boot = c.boot
		defs, snap := named(volumeAs(c.existing, c.source, c.keys...)), gpt(disk.GiB, c.root)
		before := snap.Fingerprint()
		p := planned(t, defs, snap, o)
		var want []plan.Mark
		if c.want != nil {
			want = []plan.Mark{{Number: 1, Extent: c.root.Extent, Tokens: c.want.Tokens, ExistingKey: c.want.ExistingKey}}
			o.Distrusted = map[int][]int{1: c.want.Tokens}
		}
		if diff := cmp.Diff(want, p.Marks); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		again := planned(t, defs, snap, o)
		kind := ""
		if len(again.Actions) > 0 {
			kind = again.Actions[0].Kind()
		}
		if kind != c.without || len(again.Marks) > 0 || again.Target.Fingerprint != before || snap.Fingerprint() != before {
			t.Errorf("%s: distrusted: %+v", name, again)
		}
	}
}

// TestEnroll: the keys that a volume lacks are added, once.
func TestEnroll(t *testing.T) {
	root := there("root", 2048, 204800)
	dangling := luks(root, 1, tpmToken)
	dangling.Content.LUKS.Tokens[0].Keyslots = []int{}
	cases := []struct {
		name     string
		root     disk.Partition
		existing string
		keys     []definitions.Key
		want     []definitions.Key
	}{
		{"none of its keys", luks(root, 1), vendorKey, []definitions.Key{tpmKey, fileKey}, []definitions.Key{tpmKey, fileKey}},
		{"its file key opens", luks(root, 1), "", []definitions.Key{tpmKey, fileKey}, []definitions.Key{tpmKey}},
		{"one of two", luks(root, 1, tpmToken), vendorKey, []definitions.Key{tpmKey, fileKey}, []definitions.Key{fileKey}},
		{"a token without a slot", dangling, "", []definitions.Key{tpmKey}, []definitions.Key{tpmKey}},
		{"all there", luks(root, 1, tpmToken), "", []definitions.Key{tpmKey, fileKey}, nil},
		{"all there and the vendor's", luks(root, 1, tpmToken, fileToken), vendorKey, []definitions.Key{tpmKey, fileKey}, nil},
	}
	for _, c := range cases {
		defs, snap := named(volumeAs(definitions.ExistingEnroll, c.existing, c.keys...)), gpt(disk.GiB, c.root)
		p := planned(t, defs, snap, options(EmptyRefuse))
		var got []definitions.Key
		if len(p.Actions) > 0 {
			a := p.Actions[0].(plan.Enroll)
			got = a.Keys
			if a.DropExisting != (c.existing != "") || a.ExistingKey != c.existing {
				t.Errorf("%s: %+v", c.name, a)
			}
			rest(t, defs, p, snap, options(EmptyRefuse))
		}
		if !slices.EqualFunc(got, c.want, func(a, b definitions.Key) bool { return a.Type == b.Type }) {
			t.Errorf("%s: adds %v, want %v", c.name, got, c.want)
		}
	}
}

// TestMadeForRekey: what a definition makes that also rekeys and enrolls is not
// taken for a vendor's in the next run.
func TestMadeForRekey(t *testing.T) {
	for _, existing := range []string{definitions.ExistingEnroll, definitions.ExistingRekey} {
		defs := named(volumeAs(existing, vendorKey, fileKey))
		p := planned(t, defs, blank(disk.GiB), options(EmptyAllow))
		rest(t, defs, p, blank(disk.GiB), options(EmptyAllow))
	}
}

// TestResume: whatever the definition wants, what was begun is gone on with.
func TestResume(t *testing.T) {
	root := luks(there("root", 2048, 204800), 1)
	for _, form := range [][2]string{{"encrypt", "datashift"}, {"encrypt", "checksum"}, {"encrypt", "journal"}, {"reencrypt", "checksum"}, {"reencrypt", "journal"}, {"reencrypt", "none"}} {
		begun := pending(root, form[0], form[1], disk.ReencryptClean)
		if form[1] == "none" {
			begun.Content.LUKS.Reencryption.Done = 0
		}
		snap := gpt(disk.GiB, begun)
		for _, d := range []definitions.Definition{
			convertAs("grow"), volumeAs(definitions.ExistingRekey, vendorKey, tpmKey), volumeAs(definitions.ExistingEnroll, "", tpmKey),
		} {
			d.Partition.Weight = 1000 // and its partition keeps its size
			p := planned(t, named(d), snap, options(EmptyRefuse))
			if r, ok := p.Actions[0].(plan.Reencrypt); !ok || !r.Resume || string(r.Mode) != form[0] || r.Extent != root.Extent {
				t.Errorf("%v: %+v", form, p.Actions)
			}
		}
		keep := want("root", encrypted)
		if p := planned(t, named(keep), snap, options(EmptyRefuse)); !p.Empty() {
			t.Errorf("%v, to be kept: %+v", form, p.Actions)
		}
	}
}

// TestCarriedOver: a volume is found by what its file system was found by.
func TestCarriedOver(t *testing.T) {
	root, twin := ext4(there("root", 2048, 204800)), ext4(there("srv", 206848, 204800))
	first := func(d definitions.Definition, partitions ...disk.Partition) plan.Encryption {
		return planned(t, named(d), gpt(disk.GiB, partitions...), options(EmptyRefuse)).Actions[0].(plan.Reencrypt).Encryption
	}
	e := first(convertAs("shrink"), root, twin)
	if e.Label != "otaroot" || e.UUID.String() != root.Content.UUID {
		t.Errorf("%+v", e)
	}
	d := convertAs("shrink")
	d.Encryption.Label = "crypt"
	twin.Content.UUID = root.Content.UUID
	if e := first(d, root, twin); e.Label != "crypt" || e.UUID.String() == root.Content.UUID {
		t.Errorf("a label of its own, and a UUID that is there twice: %+v", e)
	}
	root.Content.UUID, root.Content.Label = "ABCD-1234", ""
	if e := first(convertAs("shrink"), root); e.Label != "luks-root" || e.UUID == uuid.Nil {
		t.Errorf("a file system without a label and of another kind of UUID: %+v", e)
	}
}

// TestGrowsWhenMounted: a converted partition is told to grow its file system, but
// for one whose type, definition or attributes do not know or want that.
func TestGrowsWhenMounted(t *testing.T) {
	cases := map[string]struct {
		edit func(*definitions.Definition, *disk.Partition)
		want bool
	}{
		"shrunk":       {func(*definitions.Definition, *disk.Partition) {}, true},
		"refused":      {func(d *definitions.Definition, _ *disk.Partition) { d.Partition.GrowFileSystem = new(false) }, false},
		"read-only":    {func(d *definitions.Definition, _ *disk.Partition) { d.Partition.ReadOnly = new(true) }, false},
		"marked so":    {func(_ *definitions.Definition, p *disk.Partition) { p.Attributes = disk.AttributeReadOnly }, false},
		"wanted":       {func(d *definitions.Definition, _ *disk.Partition) { d.Partition.GrowFileSystem = new(true) }, true},
		"writable":     {func(d *definitions.Definition, _ *disk.Partition) { d.Partition.ReadOnly = new(false) }, true},
		"nothing lost": {func(d *definitions.Definition, _ *disk.Partition) { d.Encryption.HeaderRoom = []string{"detached:/h"} }, false},
	}
	for name, c := range cases {
		d, root := convertAs("shrink"), ext4(there("root", 2048, 204800))
		c.edit(&d, &root)
		p := planned(t, named(d), gpt(disk.GiB, root), options(EmptyRefuse))
		if got := p.Rows[0].Attributes == root.Attributes|disk.AttributeGrowFileSystem; got != c.want {
			t.Errorf("%s: attributes %x", name, p.Rows[0].Attributes)
		}
	}
}

// TestNotToldToGrow: what is not converted, and what has a type that does not know it.
func TestNotToldToGrow(t *testing.T) {
	given := convertAs("gap")
	given.Partition.Priority = 1
	odd, unnamed := convertAs("grow"), ext4(there("root", 2048, 204800))
	odd.Partition.Type = disk.Type{UUID: uuid.MustParse("deadbeef-0000-4000-8000-000000000000")}
	unnamed.Type, odd.Name = odd.Partition.Type.UUID, "10-odd"
	for name, c := range map[string]struct {
		def  definitions.Definition
		part disk.Partition
	}{
		"kept":            {want("root"), ext4(there("root", 2048, 204800))},
		"given up":        {given, ext4(there("root", 2048, 204800))},
		"no type of ours": {odd, unnamed},
	} {
		p := planned(t, named(c.def), gpt(disk.GiB, c.part, there("srv", 411648, 2048)), options(EmptyRefuse))
		if p.Rows[0].Attributes != 0 {
			t.Errorf("%s: attributes %x", name, p.Rows[0].Attributes)
		}
	}
}

// TestUnfinishedIsNoted: a conversion that nothing goes on with is no change, and is
// spoken of all the same.
func TestUnfinishedIsNoted(t *testing.T) {
	half := pending(luks(there("root", 2048, 204800), 1), "encrypt", "datashift", disk.ReencryptClean)
	unwiped := luks(there("root", 2048, 204800), 1, disk.Token{Type: "sealpart"})
	leave := convertAs("detached:" + headerPath)
	leave.Encryption.Existing = definitions.ExistingKeep
	kept := named(leave)
	const said = "partition 1 is in a conversion (encrypt) that was begun and not finished: 1 MiB of 64 MiB done; nothing goes on with it here, a definition of it with existing = \"convert\" would"
	cases := []struct {
		defs  []definitions.Definition
		part  disk.Partition
		want  []plan.Note
		empty bool
	}{
		{nil, half, []plan.Note{{Text: said, Warning: true}}, true},
		{named(volumeAs(definitions.ExistingKeep, "", tpmKey)), half, []plan.Note{{Definition: "10-root-x86-64", Text: said, Warning: true}}, true},
		{nil, unwiped, []plan.Note{{Warning: true, Text: "partition 1 is encrypted, but the plain copy that its conversion made of its first bytes is not wiped yet; nothing goes on with it here, a definition of it with existing = \"convert\" would"}}, true},
		{named(convertAs("shrink")), pending(luks(there("root", 2048, 204800), 1, tpmToken), "encrypt", "datashift", disk.ReencryptClean), nil, false},
		{named(convertAs("shrink")), half, []plan.Note{{Definition: "10-root-x86-64", Text: "is in conversion, which is finished with the keys that it was begun with; it has no key as the definition wants it (tpm2 with PCRs [7]); existing = \"enroll\" would add it"}}, false},
		{nil, luks(there("root", 2048, 204800), 1), nil, true},
		{kept, there("root", 2048, 204800), []plan.Note{{Definition: "10-root-x86-64", Text: said, Warning: true}}, true},
		{kept, luks(there("root", 2048, 204800), 0, tpmToken), nil, true},
	}
	// A header in a file is that of a partition which has none itself.
	o := options(EmptyRefuse)
	o.Headers = map[string]disk.Content{headerPath: half.Content}
	for _, c := range cases {
		p := planned(t, c.defs, gpt(disk.GiB, c.part), o)
		if diff := cmp.Diff(c.want, p.Notes); diff != "" || p.Empty() != c.empty {
			t.Errorf("empty: %v, notes -want +got:\n%s", p.Empty(), diff)
		}
	}
}
