package kernel

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// opened is the script of a volume that we open and cryptsetup looks at, or the other
// way round: on a disk with partitions, as an image file, and read-only.
const opened = `
s=%[1]q image=%[2]q key=%[3]q sums=%[4]q
same() { mount $2 /dev/mapper/$1 /run/open && (cd /run/open && sha256sum --quiet -c $sums) && umount /run/open; }
mkdir -p /run/open; loop=$(losetup -f --show -P $image)
$s open --key-file $key --tpm2-device /nowhere vol $loop#root && cryptsetup status vol >status && same vol \
	&& grep -q "type: *LUKS2" status && grep -q "device: *${loop}p1" status && ! $s close nosuch && $s close vol && ! test -e /dev/mapper/vol && echo device >>good
$s open --key-file $key vol $loop#1 && ! $s open --key-file $key vol $loop#1 2>taken && grep -q "there already" taken && cryptsetup close vol && echo cryptsetup-closes >>good
cryptsetup open --key-file $key ${loop}p1 vol && same vol && $s close vol && echo we-close >>good
$s open --key-file $key vol $loop#1 && mount /dev/mapper/vol /run/open && ! $s close vol 2>busy && grep -q "is in use: unmount it" busy && umount /run/open && $s close vol && echo busy >>good
$s open --read-only --key-file $key vol $loop#1 && ! dd if=/dev/zero of=/dev/mapper/vol bs=4096 count=1 2>/dev/null && same vol "-o ro,noload" && $s close vol && echo read-only >>good
test "$($s open --or-plain --key-file $key vol $loop#1)" = /dev/mapper/vol && $s close vol && echo plain-too >>good
losetup -d $loop; loop=$(losetup -f --show -P %[6]q)
test "$($s open --or-plain vol $loop#root)" = ${loop}p1 && ! test -e /dev/mapper/vol && ! $s open vol $loop#root 2>plain && grep -q "no LUKS2 header" plain && ! $s open --or-plain vol %[6]q#root 2>plain && grep -q "the kernel has no device of it" plain && echo plain >>good
losetup -d $loop
dmsetup create stranger --table "0 8 error" && ! $s close stranger 2>stranger && grep -q "somebody else" stranger && dmsetup remove stranger && echo stranger >>good
$s open --key-file $key vol $image#root && same vol && $s close vol && test -z "$(losetup -j $image)" && echo file >>good
! $s open --key-file $sums vol $image#root 2>wrong && grep -q "no key opens this volume" wrong && ! test -e /dev/mapper/vol && echo wrong-key >>good
! $s open --key-file $key a/b $image#root 2>name && grep -q "no name for a device" name && echo name >>good
keyctl show @t 2>/dev/null | grep -q cryptsetup || echo no-key-left >>good
(export TMPDIR=/run PATH=$PATH:${s%%/*}; sh %[5]q/try.sh | grep -q "it is still here") && ! test -e /dev/mapper/sealpart-try && echo example >>good
`

// pending is the script of a volume in conversion: between two zones it is several
// targets, and in the middle of one it is refused.
const pending = `
$s open --key-file $key vol %[1]q#root && test $(dmsetup table vol | wc -l) -gt 1 && same vol && echo written >/run/open.new && $s close vol && echo clean >>good
! $s open --key-file $key vol %[2]q#root 2>crash && grep -q "in the middle of a hot zone; apply finishes it" crash && ! test -e /dev/mapper/vol && echo crash >>good
`

// forgedOpened is the script of a volume whose header lies: no device is made of it,
// neither of the plain bytes beside the encrypted ones nor of anything else.
const forgedOpened = `
! $s open --key-file $key vol %[1]q#root 2>forged && grep -q "segment 0 is not encrypted, and no requirement tells of a conversion" forged && ! test -e /dev/mapper/vol && echo linear-beside-crypt >>good
! $s open --key-file $key vol %[2]q#root 2>forged && grep -q "which encrypts nothing" forged && ! test -e /dev/mapper/vol && echo null-cipher >>good
! $s open --key-file $key vol %[3]q#root 2>forged && grep -q "re-encryption metadata does not match its digest" forged && ! test -e /dev/mapper/vol && echo pending-forged >>good
`

// forge copies an image, with other text in the JSON of both copies of its root's header
// under right checksums.
func forge(t *testing.T, from, to, pattern, with string) string {
	t.Helper()
	rig.Copy(t, from, to)
	image, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	start := bytes.Index(image, []byte("LUKS\xba\xbe"))
	for which := range 2 {
		header := image[start+which*16384:][:16384]
		text := bytes.TrimRight(header[4096:], "\x00")
		changed := re.ReplaceAll(text, []byte(with))
		if bytes.Equal(text, changed) {
			t.Fatalf("%s does not apply to %s", pattern, text)
		}
		clear(header[4096:])
		copy(header[4096:], changed)
		clear(header[448:512])
		sum := sha256.Sum256(header)
		copy(header[448:], sum[:])
	}
	if err := os.WriteFile(to, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// forgeries makes three images that lie, of a finished volume and of one in conversion.
func forgeries(t *testing.T, dir, finished, pending string) (linear, null, moved string) {
	linear = forge(t, finished, filepath.Join(dir, "linear.img"), `"segments":\{"0":\{[^}]*\}(.*)"segments":\["0"\]`,
		`"segments":{"0":{"type":"linear","offset":"16777216","size":"4096"},"1":{"type":"crypt","offset":"16781312","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":4096}$1"segments":["1"]`)
	null = forge(t, finished, filepath.Join(dir, "null.img"), `("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}cipher_null-ecb`)
	return linear, null, forge(t, pending, filepath.Join(dir, "moved.img"), `("keyslots":\["1"\][^}]*"digest":")....`, `${1}AAAA`)
}

// verityOpened is the script of a verity pair that we open and veritysetup looks at: on a
// disk with partitions, as an image file, and with a root hash that is another's.
const verityOpened = `
image=%[1]q root=%[2]s; loop=$(losetup -f --show -P $image)
$s open --root-hash $root vol $loop#usr && veritysetup status vol >verity && same vol "-o ro" && dmsetup table vol >ours && dmsetup info -c --noheadings -o uuid vol | sed 's/[^-]*$//' >>ours && $s close vol \
	&& veritysetup open ${loop}p2 vol ${loop}p3 $root && dmsetup table vol >theirs && dmsetup info -c --noheadings -o uuid vol | sed 's/[^-]*$//' >>theirs && veritysetup close vol && cmp ours theirs \
	&& grep -q "type: *VERITY" verity && grep -q "status: *verified" verity && echo verity-device >>good
losetup -d $loop
$s open --root-hash $root vol $image#usr && same vol "-o ro" && $s close vol && test -z "$(losetup -j $image)" && echo verity-file >>good
other=$(echo $root | cut -c 3-); ! $s open --root-hash 00$other vol $image#usr 2>wrong && grep -q "not what the root hash promises" wrong && ! test -e /dev/mapper/vol && echo verity-wrong >>good
! $s open --root-hash ${root}00 vol $image#usr 2>wrong && grep -q "has no partition with the UUID" wrong && ! $s open --root-hash ab vol $image#usr 2>wrong && grep -q "at least 64" wrong && echo verity-usage >>good
`

// TestOpen opens and closes volumes by our own device-mapper calls.
func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 40)
	sums := sumsOf(t, dir)
	untouched := rig.Copy(t, plain.Path, filepath.Join(dir, "untouched.img"))
	clean := stopped(t, plain, filepath.Join(dir, "clean.img"), syscall.SIGINT)
	crash := stopped(t, plain, filepath.Join(dir, "crash.img"), syscall.SIGKILL)
	rig.Must(t, plain.Apply(plain.Path)...)
	fresh := newFresh(t, dir, plain.Key)
	example, err := filepath.Abs("../../examples/loop-device")
	if err != nil {
		t.Fatal(err)
	}
	linear, null, moved := forgeries(t, dir, plain.Path, clean)
	script := fmt.Sprintf(opened, rig.Sealpart(t).Path, plain.Path, plain.Key, sums, example, untouched) + fmt.Sprintf(pending, clean, crash) +
		fmt.Sprintf(forgedOpened, linear, null, moved) + fmt.Sprintf(verityOpened, fresh, rootHashOf(t, fresh))
	good, log := boot(t, dir, script)
	for _, name := range []string{
		"device", "cryptsetup-closes", "we-close", "busy", "read-only", "plain-too", "plain", "stranger", "file", "wrong-key", "name", "no-key-left", "clean", "crash",
		"linear-beside-crypt", "null-cipher", "pending-forged",
		"verity-device", "verity-file", "verity-wrong", "verity-usage", "example",
	} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
