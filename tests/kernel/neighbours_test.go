package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// neighbours is the script of other programs beside a conversion. It is stopped between
// two hot zones, so that they have all the time they want; none of them gets at the volume,
// and it is whole afterwards.
const neighbours = `
image=%[1]q key=%[2]q s=%[3]q sums=%[4]q
mkdir -p /run/vol
# begun DEFINITIONS: an apply that is stopped after its first zone
begun() { rm -f events; mkfifo events; $s apply --definitions $1 --key-file $key --seed %[5]s --progress json $loop 2>events & pid=$!; exec 3<events; grep -q -m1 "hot zone" <&3; kill -STOP $pid; }
ended() { kill -CONT $pid; cat <&3 >said; wait $pid; }
refused() { ! timeout 20 "$@" >>refusals 2>&1 || { echo "not refused: $*"; return 1; }; }
whole() { cryptsetup open --key-file $1 ${loop}p1 vol && mount /dev/mapper/vol /run/vol && (cd /run/vol && sha256sum --quiet -c $sums); r=$?; umount /run/vol; cryptsetup close vol; return $r; }
beside() { refused cryptsetup open --key-file $key ${loop}p1 vol && refused cryptsetup repair --batch-mode --key-file $key ${loop}p1 && refused cryptsetup reencrypt --resume-only --batch-mode --key-file $key ${loop}p1 \
	&& refused mount ${loop}p1 /run/vol && refused dmsetup create above --table "0 2048 linear ${loop}p1 0" && refused $s open --key-file $key vol $loop#root; }
loop=$(losetup -f --show -P $image)
begun grow.d; beside && ended && whole $key && echo grow >>good
losetup -d $loop
`

// TestNeighbours runs cryptsetup and others beside a conversion.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 40)
	sums := sumsOf(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "grow.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, filepath.Join(dir, "grow.d"), "10-root.toml", roomBehind)
	good, log := boot(t, dir, fmt.Sprintf(neighbours, plain.Path, plain.Key, rig.Sealpart(t).Path, sums, rig.Seed))
	if !slices.Contains(good, "grow") {
		refusals, _ := os.ReadFile(filepath.Join(dir, "refusals"))
		t.Errorf("%s\nrefusals: %s", log, refusals)
	}
}

// roomBehind converts root where it has room behind it.
const roomBehind = `partition = { type = "root", weight = 0 }
encryption = { existing = "convert", header_room = "grow", key = [{ type = "file" }] }
`
