package kernel

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

var allModes = flag.Bool("modes", false, "neighbours beside every kind of conversion, not only two")

// beside is the script of other programs beside ours, and of ours beside theirs. For both a
// conversion is stopped between two hot zones, so that the others have all the time they want;
// none of them gets at the volume, and it is whole in the end.
const beside = `
key=%[1]q s=%[2]q sums=%[3]q
mkdir -p /run/vol; mkfifo never
# apply is for the background
apply() { exec $s apply --definitions $defs --key-file $key --seed %[4]s "$@" $loop; }
# refused WHY COMMAND: it fails by itself, and says why
refused() { why=$1; shift; timeout 60 "$@" >refusal 2>&1 </dev/null; r=$?; { echo "== $* ($r)"; cat refusal; } >>refusals
	test $r != 0 -a $r != 124 && grep -Eq "$why" refusal || { echo "not refused: $*"; false; }; }
# stopped: stops a program while it holds no header's lock, for which others would wait
stopped() { while kill -STOP $pid; compgen -G '/run/cryptsetup/L_*' >/dev/null; do kill -CONT $pid; read -t 0.05 <>never; :; done; }
# begun: an apply that is stopped after its first zone; ended: it ends as it is asked to
begun() { rm -f events; mkfifo events; apply --progress json 2>events & pid=$!; exec 3<events; until read -r line <&3 || return 1; echo "$line"; [[ $line == *"hot zone"* ]]; do :; done; stopped; }
ended() { kill -INT $pid; kill -CONT $pid; cat <&3; wait $pid; test $? = 3; }
whole() { cryptsetup open $header --key-file $1 ${loop}p1 vol && mount /dev/mapper/vol /run/vol && (cd /run/vol && sha256sum --quiet -c $sums); r=$?; umount /run/vol; cryptsetup close vol; return $r; }
others() { refused "$busy" cryptsetup open $header --key-file $key ${loop}p1 vol && refused "$busy" cryptsetup repair $header --batch-mode --key-file $key ${loop}p1 && refused "$busy" cryptsetup reencrypt $header --resume-only --batch-mode --key-file $key ${loop}p1 \
	&& refused "already mounted|busy" mount -t ext4 ${loop}p1 /run/vol && refused "busy" dmsetup create above --table "0 2048 linear ${loop}p1 0" && refused "is locked by sealpart" $s open --key-file $key vol $loop#root && refused "is locked by sealpart" $s key add --key-file $key --key 'type = "file", path = "/x"' $loop#root; }
# resumed: cryptsetup goes on, and is stopped as soon as it has the volume's lock
resumed() { cryptsetup reencrypt $header --batch-mode "$@" ${loop}p1 >theirs 2>&1 & pid=$!; until compgen -G '/run/cryptsetup/LN_*' >/dev/null; do kill -0 $pid || return 1; read -t 0.02 <>never; done; stopped; }
ours() { refused "in use by cryptsetup" $s apply --definitions $defs --key-file $key --seed %[4]s $loop && refused "$pending" $s open --key-file $key vol $loop#root && refused "$unfinished" $s key add --key-file $key --key 'type = "file", path = "/x"' $loop#root; }
finished() { kill -CONT $pid; wait $pid; }
# planned: an apply that cannot show its plan, for nobody reads it: it is between plan and first write
planned() { rm -f full; mkfifo full; exec 4<>full; dd if=/dev/zero bs=64K count=1 >&4 2>/dev/null; apply >full 2>late & pid=$!; quiet $pid; }
quiet() { was=; until now=$(cut -d ' ' -f 14,15 /proc/$1/stat); test "$was" = "$now"; do was=$now; sleep 1; done; }
overtaken() { timeout 60 cat <&4 >/dev/null & drain=$!; wait $pid; r=$?; kill $drain; exec 4<&-; test $r = 1 && grep -q "in use" late && test "$before" = "$(written)"; }
# written: how much was written to the disk so far
written() { sync; read -a fields </sys/block/${loop#/dev/}/stat; echo ${fields[6]}; }
`

// enrolling is the script of new keys: beside cryptsetup, which gives the volume another key, and
// while cryptsetup adds one.
const enrolling = `
defs=enroll.d header=; loop=$(losetup -f --show -P enroll.img)
resumed --key-file vendor && refused "is in use by (cryptsetup|another program)" $s apply --definitions $defs --seed %[1]s $loop && finished && echo enroll-used >>good
mkfifo -m 600 pipe; $s apply --definitions $defs --seed %[1]s $loop 2>late & pid=$!; exec 5>pipe; cryptsetup luksAddKey --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file vendor ${loop}p1 theirs.key; cat vendor >&5; exec 5>&-
wait $pid; test $? = 1 && grep -q "another program changed the header" late && cryptsetup open --test-passphrase --key-file theirs.key ${loop}p1 && cryptsetup open --test-passphrase --key-file vendor ${loop}p1 && echo enroll >>good
losetup -d $loop
`

// hashing is the script of a hash tree: not of data that is mounted for writing.
const hashing = `
loop=$(losetup -f --show %[1]q); mount $loop /run/vol && refused "is in use, and may change while its tree is made" $s verity format $loop hashes && ! test -e hashes && refused=yes; umount /run/vol
mount -o ro $loop /run/vol && $s verity format $loop hashes && test -s hashes -a "$refused" = yes && echo verity >>good; umount /run/vol; losetup -d $loop
`

// neighbour is one kind of conversion with its disk.
type neighbour struct {
	name  string
	start int64  // of the partition, MiB
	defs  string // of what happens to it
	uses  string // before the first write, something begins to use the partition
	leave string // and ends that
	main  bool   // it is one of those that are always tried
}

// mounting is what a plain file system is used by, and mapping a volume.
const (
	mounting = "mount -o ro ${loop}p1 /run/vol"
	leaving  = "umount /run/vol"
	mapping  = "cryptsetup open --key-file vendor ${loop}p1 vol"
	closing  = "cryptsetup close vol"
)

var neighbours = []neighbour{
	{"grow", 1, `existing = "convert", header_size = "2M", header_room = "grow", key = [{ type = "file" }]`, mounting, leaving, true},
	{"shrink", 1, `existing = "convert", header_size = "2M", header_room = "shrink", key = [{ type = "file" }]`, mounting, leaving, false},
	{"gap", 5, `existing = "convert", header_size = "2M", header_room = "gap", key = [{ type = "file" }]`, mounting, leaving, false},
	{"detached", 1, `existing = "convert", header_room = "detached:%[1]s/detached", key = [{ type = "file" }]`, mounting, leaving, false},
	{"enroll", 1, `existing = "enroll", existing_key = "file:%[1]s/pipe", key = [{ type = "file", path = "%[1]s/added" }]`, "", "", true},
	{"rekey", 1, `existing = "rekey", existing_key = "file:%[1]s/vendor", key = [{ type = "file" }]`, mapping, closing, false},
}

// script is that of one kind of conversion.
func (n neighbour) script(dir, image string) string {
	if n.name == "enroll" {
		return fmt.Sprintf(enrolling, rig.Seed)
	}
	header, pending, unfinished := "", "in use by cryptsetup", "a conversion of the volume (is|was) not finished"
	if n.name == "detached" {
		header = "--header " + filepath.Join(dir, "detached")
		pending, unfinished = "LUKS2", "is no LUKS2 volume" // without its header it is nothing that is known
	}
	return fmt.Sprintf(`
defs=%[1]s.d image=%[2]q header=%[3]q; busy="Reencryption in-progress|requires reencryption recovery" pending=%[6]q unfinished=%[7]q
loop=$(losetup -f --show -P $image)
planned && %[4]s && before=$(written) && overtaken && used=yes || used=no; %[5]s && test $used = yes && echo %[1]s-used >>good
begun && others && ended && resumed --resume-only --key-file $key && ours && finished && whole $key && echo %[1]s >>good
losetup -d $loop
`, n.name, image, header, n.uses, n.leave, pending, unfinished)
}

// TestNeighbours runs cryptsetup and others beside conversions, and ours beside cryptsetup's. Each
// kind that is not always tried has a kernel of its own, and with it ten minutes.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	always := slices.DeleteFunc(slices.Clone(neighbours), func(n neighbour) bool { return !n.main })
	t.Run("main", func(t *testing.T) { runBeside(t, hashing, []string{"verity"}, always) })
	for _, n := range neighbours {
		if *allModes && !n.main {
			t.Run(n.name, func(t *testing.T) { runBeside(t, "", nil, []neighbour{n}) })
		}
	}
}

// runBeside boots once for some kinds of conversion, after a script that is given the file
// system that they begin with and finds good what it wants.
func runBeside(t *testing.T, before string, want []string, kinds []neighbour) {
	t.Helper()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 24)
	rig.File(t, dir, "theirs.key", "what the administrator adds")
	rig.File(t, dir, "added", "a key that is to be enrolled")
	script := fmt.Sprintf(beside, plain.Key, rig.Sealpart(t).Path, sumsOf(t, dir), rig.Seed) +
		strings.ReplaceAll(before, "%[1]q", plain.Root)
	for _, n := range kinds {
		script += n.script(dir, n.disk(t, dir, plain))
		want = append(want, n.name, n.name+"-used")
	}
	good, log := boot(t, dir, script)
	for _, name := range want {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		refusals, _ := os.ReadFile(filepath.Join(dir, "refusals"))
		t.Errorf("%s\nrefusals: %s", log, refusals)
	}
}

// disk makes the disk of one, and its definitions.
func (n neighbour) disk(t *testing.T, dir string, plain rig.Plain) string {
	t.Helper()
	defs := filepath.Join(dir, n.name+".d")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	encryption := strings.ReplaceAll(n.defs, "%[1]s", dir)
	rig.File(t, defs, "10-root.toml", "partition = { type = \"root\", weight = 0 }\nencryption = { "+encryption+" }\n")
	image := rig.File(t, dir, n.name+".img", "")
	if err := os.Truncate(image, (n.start+plain.Size>>20+40)<<20); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, fmt.Sprintf("label: gpt\nstart=%d, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", n.start*2048, plain.Size/512), "sfdisk", "-q", image)
	rig.Run(t, "dd", "if="+plain.Root, "of="+image, "bs=1M", fmt.Sprintf("seek=%d", n.start), "conv=notrunc,sparse", "status=none")
	if n.name == "rekey" || n.name == "enroll" {
		vendor := rig.File(t, dir, "vendor", "what the vendor set")
		rig.Must(t, "apply", "--definitions", plain.Definitions, "--key-file", vendor, "--seed", rig.Seed, image)
	}
	return image
}
