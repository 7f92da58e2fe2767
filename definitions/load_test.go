package definitions

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// tree is a directory in memory from file names and texts; a text that begins with
// "-> " is a symbolic link.
func tree(files map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		f := &fstest.MapFile{Data: []byte(text)}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			f = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
		}
		fsys[name] = f
	}
	return fsys
}

// load loads directories in the order of their priority.
func load(dirs ...map[string]string) ([]Definition, error) {
	o := Options{Architecture: "x86-64", Specifiers: Specifiers{'a': "x86-64", 'M': "acme", 'A': "50%"}}
	names := []string{"/etc/sealpart.d", "/run/sealpart.d", "/usr/lib/sealpart.d"}
	for i, files := range dirs {
		o.Sources = append(o.Sources, Source{FS: tree(files), Dir: names[i]})
	}
	return Load(o)
}

func mustLoad(t *testing.T, dirs ...map[string]string) []Definition {
	t.Helper()
	definitions, err := load(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return definitions
}

func ptr[T any](v T) *T { return &v }

const everyKey = `
[partition]
type = "root"
label = "%M-%a-100%%"
uuid = "7B1367A6-5845-43F2-99B1-A742D873F590"
size_min = "1G 1B"
size_max = 2147483649
weight = 500
priority = -3
padding_min = "4097"
padding_max = "4097"
padding_weight = 7
read_only = false
no_auto = true
grow_file_system = true
flags = "0x8000000000000001"
factory_reset = true
[partition.match]
label = "%M"
uuid = "7b1367a6584543f299b1a742d873f591"
filesystem = "ext4"

[filesystem]
format = "ext4"
label = "%M"
copy_files = ["/srv/seed:/", "/etc/%M"]

[encryption]
existing = "convert"
header_room = ["gap", "grow", "shrink", "detached:/boot/root.header"]
header_size = "1M"
header_backup = "/var/backup/root.header"
free_space = "discard"
unavailable = "leave"
label = "%M-crypt"
cipher = "aes-xts-plain64"
sector_size = "4K"

[[encryption.key]]
type = "tpm2"
pcrs = [11, 7]
bank = "sha384"

[[encryption.key]]
type = "file"
path = "/run/key"

[[encryption.key]]
type = "file"
`

// TestLoadEveryKey sets every key that is built but those that exclude the others.
func TestLoadEveryKey(t *testing.T) {
	got := mustLoad(t, map[string]string{"20-root.toml": everyKey})
	root, _ := disk.TypeByName("root-x86-64", "")
	want := []Definition{{
		Name: "20-root", File: "/etc/sealpart.d/20-root.toml",
		Partition: Partition{
			Type: root, Label: "acme-x86-64-100%",
			UUID:    ptr(uuid.MustParse("7b1367a6-5845-43f2-99b1-a742d873f590")),
			SizeMin: ptr(disk.GiB), SizeMax: ptr(2*disk.GiB + 4*disk.KiB),
			PaddingMin: ptr(4 * disk.KiB), PaddingMax: ptr(8 * disk.KiB),
			Weight: 500, PaddingWeight: 7, Priority: -3, Flags: 1<<63 | 1,
			NoAuto: ptr(true), ReadOnly: ptr(false), GrowFileSystem: ptr(true), FactoryReset: true,
			Match: Match{
				Label: "acme", UUID: ptr(uuid.MustParse("7b1367a6-5845-43f2-99b1-a742d873f591")), Filesystem: "ext4",
			},
		},
		Filesystem: Filesystem{
			Format: "ext4", Label: "acme",
			CopyFiles: []CopyFile{{"/srv/seed", "/"}, {"/etc/acme", "/etc/acme"}},
		},
		Encryption: &Encryption{
			Existing: ExistingConvert, HeaderRoom: []string{RoomGap, RoomGrow, RoomShrink, "detached:/boot/root.header"},
			HeaderSize: disk.MiB, HeaderBackup: "/var/backup/root.header",
			FreeSpace: FreeDiscard, Trailing: TrailingRefuse, Unavailable: UnavailableLeave, Label: "acme-crypt",
			Cipher: "aes-xts-plain64", SectorSize: 4096,
			Keys: []Key{
				{Type: KeyTPM2, PCRs: []int{7, 11}, Bank: "sha384"},
				{Type: KeyFile, Path: "/run/key"},
				{Type: KeyFile},
			},
		},
	}}
	if places := got[0].Encryption.Places; len(places) != 3 || places[0]["bank"] != placeIn(everyKey, `bank = `) || places[1]["path"] != placeIn(everyKey, `path = `) {
		t.Errorf("places %v", places)
	}
	got[0].Encryption.Places = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// placeIn says where the value of a setting stands in 20-root.toml that holds a text.
func placeIn(text, setting string) string {
	before, _, _ := strings.Cut(text, setting)
	line := strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n') + len(setting)
	return fmt.Sprintf("/etc/sealpart.d/20-root.toml:%d:%d", line+1, column)
}

func TestLoadDefaults(t *testing.T) {
	got := mustLoad(t, map[string]string{"a.toml": "partition.type = 'home'\nencryption.key = [{ type = 'file' }]\n"})
	home, _ := disk.TypeByName("home", "")
	want := []Definition{{
		Name: "a", File: "/etc/sealpart.d/a.toml",
		Partition: Partition{Type: home, Weight: 1000},
		Encryption: &Encryption{
			Existing: ExistingKeep, FreeSpace: FreeEncrypt, Trailing: TrailingRefuse, Unavailable: UnavailableFail,
			Cipher: "aes-xts-plain64", Keys: []Key{{Type: KeyFile}}, Places: []Places{{"type": "/etc/sealpart.d/a.toml:2:28"}},
		},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLoadNullUUID(t *testing.T) {
	got := mustLoad(t, map[string]string{"a.toml": "[partition]\ntype = 'home'\nuuid = 'null'\n"})
	if u := got[0].Partition.UUID; u == nil || *u != uuid.Nil {
		t.Errorf("UUID %v, want the nil UUID", u)
	}
}

func TestLoadVerity(t *testing.T) {
	got := mustLoad(t, map[string]string{
		"a.toml": "[partition]\ntype = 'root'\n[verity]\nrole = 'data'\nmatch_key = 'root'\nsalt = '00ff'\n",
		"b.toml": "[partition]\ntype = 'root-verity'\n[verity]\nrole = 'hash'\nmatch_key = 'root'\ndata_block_size = 4096\nhash_block_size = '1K'\n",
		"c.toml": "[partition]\ntype = 'usr'\n[verity]\nrole = 'data'\nmatch_key = 'usr'\nsalt = '-'\n",
		"d.toml": "[partition]\ntype = 'usr-verity'\n[verity]\nrole = 'hash'\nmatch_key = 'usr'\n",
	})
	want := []*Verity{
		{Role: VerityData, MatchKey: "root", Salt: []byte{0, 0xff}},
		{Role: VerityHash, MatchKey: "root", DataBlockSize: 4096, HashBlockSize: 1024},
		{Role: VerityData, MatchKey: "usr", Salt: []byte{}},
		{Role: VerityHash, MatchKey: "usr"},
	}
	for i, w := range want {
		if d := cmp.Diff(w, got[i].Verity); d != "" {
			t.Error(d)
		}
	}
}

// named is a definition with a label to tell it by.
func named(label string) string { return "[partition]\ntype = 'home'\nlabel = '" + label + "'\n" }

// labels lists what was loaded as "NAME=LABEL".
func labels(definitions []Definition) []string {
	var all []string
	for _, d := range definitions {
		all = append(all, d.Name+"="+d.Partition.Label)
	}
	return all
}

func TestLoadDirectories(t *testing.T) {
	for _, c := range []struct {
		name string
		dirs []map[string]string
		want []string
	}{
		{"nothing", []map[string]string{{}}, nil},
		{"by file name over all directories", []map[string]string{
			{"30.toml": named("a"), "10.toml": named("b")}, {"20.toml": named("c"), "9.toml": named("d")},
		}, []string{"10=b", "20=c", "30=a", "9=d"}},
		{"a higher file replaces the whole lower one", []map[string]string{
			{"a.toml": "[partition]\ntype = 'home'\n"}, {"a.toml": named("run")}, {"a.toml": "no TOML"},
		}, []string{"a="}},
		{"an empty file masks", []map[string]string{{"a.toml": ""}, {"a.toml": named("a"), "b.toml": named("b")}}, []string{"b=b"}},
		{"a link to /dev/null masks", []map[string]string{{"a.toml": "-> /dev/null"}, {"a.toml": named("a")}}, nil},
		{"a link to a link to /dev/null masks", []map[string]string{
			{"a.toml": "-> b.link", "b.link": "-> /dev/../dev/null"}, {"a.toml": named("a")},
		}, nil},
		{"a link to an empty file masks", []map[string]string{{"a.toml": "-> none", "none": ""}, {"a.toml": named("a")}}, nil},
		{"a link to a file", []map[string]string{{"a.toml": "-> x", "x": named("x")}}, []string{"a=x"}},
		{"a mask below a file", []map[string]string{{"a.toml": named("a")}, {"a.toml": ""}}, []string{"a=a"}},
		{"other files", []map[string]string{{".a.toml": "?", "a.conf": "?", "a.toml~": "?", "toml": "?"}}, nil},
		{"drop-ins without a definition", []map[string]string{{"a.toml.d/x.toml": "no TOML"}}, nil},
		{"drop-ins of a masked definition", []map[string]string{{"a.toml": "", "a.toml.d/x.toml": "?"}, {"a.toml": named("a")}}, nil},
		{"drop-ins in the order of their names", []map[string]string{
			{"a.toml": named("a"), "a.toml.d/1.toml": "partition.label = 'one'"}, {"a.toml.d/2.toml": "partition.label = 'two'"},
		}, []string{"a=two"}},
		{"a higher drop-in replaces a lower one", []map[string]string{
			{"a.toml.d/1.toml": "partition.label = 'etc'"}, {"a.toml": named("a"), "a.toml.d/1.toml": "no TOML"},
		}, []string{"a=etc"}},
		{"an empty drop-in masks", []map[string]string{
			{"a.toml.d/1.toml": ""}, {"a.toml": named("a"), "a.toml.d/1.toml": "partition.label = 'x'"},
		}, []string{"a=a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := load(c.dirs...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, labels(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLoadDropIn checks that a drop-in overrides keys one by one, and arrays whole.
func TestLoadDropIn(t *testing.T) {
	got := mustLoad(t, map[string]string{
		"20-root.toml": everyKey,
		"20-root.toml.d/10.toml": "[partition]\nweight = 1\nmatch = { label = 'b' }\n" +
			"[filesystem]\ncopy_files = '/new:/'\n[[encryption.key]]\ntype = 'file'\n",
	})[0]
	if got.Partition.Weight != 1 || got.Partition.Priority != -3 {
		t.Errorf("weight %d, priority %d; want 1, -3", got.Partition.Weight, got.Partition.Priority)
	}
	if got.Partition.Match.Label != "b" || got.Partition.Match.Filesystem != "ext4" {
		t.Errorf("match %+v; want label b and file system ext4", got.Partition.Match)
	}
	if d := cmp.Diff([]CopyFile{{"/new", "/"}}, got.Filesystem.CopyFiles); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Key{{Type: KeyFile}}, got.Encryption.Keys); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/etc/sealpart.d/20-root.toml.d/10.toml"}, got.DropIns); d != "" {
		t.Error(d)
	}
}

// TestErrorFields checks what the command prints by itself.
func TestErrorFields(t *testing.T) {
	_, err := load(map[string]string{"a.toml": "[partition]\ntype = 'home'\n\tsize_mni = 1\n"})
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("%v is no *Error", err)
	}
	want := &Error{
		File: "/etc/sealpart.d/a.toml", Line: 3, Column: 2, Key: "partition.size_mni",
		Message: `unknown key "size_mni" in [partition]`,
		Excerpt: "   3 | \tsize_mni = 1\n     | \t^^^^^^^^",
		Hint:    `did you mean "size_min"?`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
