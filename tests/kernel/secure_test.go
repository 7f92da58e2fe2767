package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// inKernel is the script of a partition that the kernel encrypts for us: what it wrote,
// cryptsetup opens, and we decrypt to the same; nothing of it is left open. A cipher that
// this kernel does not have is refused with nothing written.
const inKernel = `
export TMPDIR=/run
truncate -s 96M disk.img
./executor.test -test.run '^TestInKernel$' -in-kernel "$PWD" && test -z "$(losetup -a)$(dmsetup ls --target crypt | grep -v 'No devices')" && echo made >>good
loop=$(losetup -f --show -o 1M --sizelimit 94M disk.img) && mkdir -p /run/vol && cryptsetup open --key-file pass $loop vol && mount /dev/mapper/vol /run/vol \
	&& diff -r seed /run/vol/ -x lost+found && umount /run/vol && e2fsck -fn /dev/mapper/vol && cryptsetup close vol && losetup -d $loop && echo cryptsetup >>good
e2fsck -fn content && debugfs -R 'cat /big' content 2>/dev/null | cmp - seed/big && echo ours >>good

mkdir block; cp -r seed block/seed; truncate -s 96M back.img; loop=$(losetup -f --show back.img); ln -s $loop block/disk.img
./executor.test -test.run '^TestInKernel$' -in-kernel "$PWD/block" && e2fsck -fn block/content && losetup -d $loop \
	&& loop=$(losetup -f --show -o 1M --sizelimit 94M back.img) && cryptsetup open --key-file pass $loop vol2 && test "$(head -c 77M /dev/mapper/vol2 | sha256sum)" = "$(head -c 77M block/content | sha256sum)" && cryptsetup close vol2 && losetup -d $loop && echo block >>good

export PATH=%[2]q:$PATH
truncate -s 128M empty.img; echo label: gpt | sfdisk -q empty.img; cp empty.img before.img
%[1]q apply --definitions defs --key-file pass empty.img 2>refused; test $? = 1 && grep -q 'the kernel opens no volume under the cipher paes-xts-plain64' refused \
	&& grep -q 'hint: .*paes_s390' refused && same_bytes empty.img before.img && test -z "$(losetup -a)" && ! ls /dev/mapper | grep sealpart && echo refused >>good
%[1]q apply --definitions defs --key-file pass --empty=create --size=128M new.img 2>refused; test $? = 1 && ! test -e new.img && echo created >>good
%[1]q open --key-file pass vol foreign.img#data 2>open; test $? = 1 && grep -q 'the kernel opens no volume under the cipher paes-xts-plain64' open && ! test -e /dev/mapper/vol && echo open >>good
cat refused open
`

// TestSecureKey: the kernel's way of encrypting a new partition, which secure keys go.
func TestSecureKey(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"cryptsetup", "e2fsck", "sfdisk", "debugfs", "losetup", "dmsetup"} {
		testenv.Need(t, program)
	}
	dir := t.TempDir()
	double, err := filepath.Abs("../../internal/key/securekey/testdata")
	if err != nil {
		t.Fatal(err)
	}
	rig.Run(t, "go", "test", "-c", "-o", filepath.Join(dir, "executor.test"), "../../executor")
	for _, sub := range []string{"seed/sub", "defs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rig.Run(t, "sh", "-ec", `cd "$1/seed"; head -c 9000001 /dev/urandom >big; echo small >sub/small`, "-", dir)
	rig.File(t, filepath.Join(dir, "defs"), "10-data.toml", `partition = { type = "linux-generic" }
encryption = { key = [{ type = "secure-key", apqns = ["00.0035"] }, { type = "file" }] }
`)
	foreign(t, dir)
	good, log := boot(t, dir, fmt.Sprintf(inKernel, rig.Sealpart(t).Path, double))
	for _, name := range []string{"made", "cryptsetup", "ours", "block", "refused", "created", "open"} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// foreign makes foreign.img, with a volume of cryptsetup's under a secure key.
func foreign(t *testing.T, dir string) {
	t.Helper()
	rig.Run(t, "sh", "-ec", `cd "$1"; printf 'a passphrase of the tests' >pass; head -c 272 /dev/urandom >blob; truncate -s 30M volume; truncate -s 32M foreign.img
echo "start=2048, type=linux, name=data" | sfdisk -q --label gpt foreign.img
cryptsetup luksFormat -q --type luks2 --volume-key-file blob --key-size 2176 --cipher paes-xts-plain64 --sector-size 4096 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 volume pass
dd if=volume of=foreign.img bs=1M seek=1 conv=notrunc status=none`, "-", dir)
}
