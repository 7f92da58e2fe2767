package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// roomPart is the only partition of the disks whose volumes have full headers.
var roomPart = disk.Extent{Offset: disk.MiB, Size: 20 * disk.MiB}

// roomImage is a disk with a volume in its only partition.
func roomImage(t testing.TB, volume []byte) []byte {
	t.Helper()
	image := make([]byte, 22*disk.MiB)
	copy(image[roomPart.Offset:], volume)
	return partitioned(t, image, "label: gpt\nstart=2048, size=40960, type=linux, name=data\n")
}

// vendors is a volume of the vendor's with so many keyslots and its data at an offset. Where
// area is not 0, its keyslots area is no larger.
func vendors(t testing.TB, keyslots int, offset, area disk.Bytes) []byte {
	t.Helper()
	env := testEnv(t)
	v, err := newVolumeWith(env, stubEncryption(offset, 512), vendorPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	for i := 1; i < keyslots && err == nil; i++ {
		_, err = v.header.AddKeyslot(context.Background(), v.front, v.key.Bytes(), fmt.Append(nil, i), luks2.TokenKDF(), env.Random)
	}
	if err = errors.Join(err, v.header.Commit(v.front)); err != nil {
		t.Fatal(err)
	}
	if area == 0 {
		return v.front.bytes
	}
	return reworded(v.front.bytes, fmt.Sprintf(`"keyslots_size":"%d"`, offset-32*disk.KiB), fmt.Sprintf(`"keyslots_size":"%d"`, area))
}

// wants returns a definition that does something with the only partition by so many keys.
func wants(existing string, keys int) map[string]string {
	var list string
	for i := range keys {
		list += fmt.Sprintf(`{ type = "file", path = "/key%d" }, `, i)
	}
	return map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "` + existing + `", existing_key = "file:/vendor", key = [` + strings.TrimSuffix(list, ", ") + `] }`}
}

// TestHeadersFindRoom: a volume with all 32 keyslots in use, and one whose keyslots area is
// small, get their new keys. cryptsetup opens them, and a second run has nothing to do.
func TestHeadersFindRoom(t *testing.T) {
	for name, c := range map[string]struct {
		volume   []byte
		existing string
		keys     int
	}{
		"rekey, 32 keyslots": {vendors(t, 32, 16*disk.MiB, 0), "rekey", 10},
		"rekey, small area":  {vendors(t, 1, disk.MiB, 512*disk.KiB), "rekey", 1},
		"enroll, small area": {vendors(t, 2, disk.MiB, 512*disk.KiB), "enroll", 1},
		"rekey, much JSON":   {vendors(t, 2, 16*disk.MiB, 0), "rekey", 12},
	} {
		dev := simdev.New(roomImage(t, c.volume))
		if err := applyTo(t, dev, wants(c.existing, c.keys), tokenless{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		volume := read(t, dev, roomPart)
		if !opensBy(t, volume, passphrase) || opensBy(t, volume, vendorPassphrase) {
			t.Errorf("%s: it does not open by the new key, or opens by the old one", name)
		}
		done := len(dev.Log())
		if err := applyTo(t, dev, wants(c.existing, c.keys), tokenless{}); err != nil || len(dev.Log()) > done {
			t.Errorf("%s: the second run: %v, %d operations", name, err, len(dev.Log())-done)
		}
	}
}

// TestPlanRefusesWhatHeadersHaveNoRoomFor: what a rekey or an enrolment would fail of every
// time, plan refuses.
func TestPlanRefusesWhatHeadersHaveNoRoomFor(t *testing.T) {
	const file = "test/10-data.toml: partition 1: "
	small := vendors(t, 1, disk.MiB, 0)
	tokens := `"0":{"type":"foreign","keyslots":[]}`
	for id := 1; id < 32; id++ {
		tokens += fmt.Sprintf(`,"%d":{"type":"foreign","keyslots":["0"]}`, id)
	}
	full := reworded(small, `"tokens":{}`, `"tokens":{`+tokens+`}`)
	long := reworded(small, `"tokens":{}`, `"tokens":{"3":{"type":"foreign","keyslots":[],"x":"`+strings.Repeat("x", 11200)+`"}}`)
	left, emptied := jsonRoom(t, long)
	for name, c := range map[string]struct {
		volume   []byte
		existing string
		keys     int
		want     string
	}{
		"all keyslots":  {vendors(t, 32, 16*disk.MiB, 0), "enroll", 1, "of its header's 32 keyslots 0 are free, and 1 are needed"},
		"too many keys": {vendors(t, 32, 16*disk.MiB, 0), "rekey", 16, "of its header's 32 keyslots 31 are free, and 32 are needed"},
		"too much JSON": {vendors(t, 1, 16*disk.MiB, 0), "rekey", 13, "the text of its header has room for 11858 bytes more, and the 13 keys may take 12562"},
		"small header":  {small, "rekey", 2, "its header has no room for 4 more keyslots beside those that are there: 516096 bytes are missing before its data"},
		"too many more": {small, "enroll", 3, "its header has no room for 3 more keyslots beside those that are there: 258048 bytes are missing before its data"},
		"all tokens":    {full, "enroll", 1, "of its header's 32 tokens 0 are free, and 1 are needed"},
		"rekey, tokens": {full, "rekey", 1, "of its header's 32 tokens 0 are free, and 3 are needed"},
		"long text":     {long, "enroll", 1, fmt.Sprintf("the text of its header has room for %d bytes more, and the 1 keys may take 432", left)},
		"rekey, text":   {long, "rekey", 1, fmt.Sprintf("the text of its header has room for %d bytes more, and the 1 keys may take 2194", emptied)},
		"digest": {reworded(small, `"segments":["0"],"hash":"sha256"`, `"segments":["0"],"hash":"whirlpool"`), "enroll", 1,
			`no keyslot of its volume can be opened here: keyslot 0: its key cannot be verified: digest 0: hash "whirlpool" is not supported`},
		"cipher":     {reworded(small, `"iv_tweak":"0","encryption":"aes`, `"iv_tweak":"0","encryption":"serpent`), "rekey", 1, "its data is under the cipher serpent-xts-plain64, and only data under aes-xts-plain64 is rewritten here"},
		"fixed size": {reworded(small, `"size":"dynamic"`, `"size":"1048576"`), "rekey", 1, "its header fixes the size of its data at 1048576 bytes, and only data that reaches to the end of its partition gets another key"},
	} {
		dev := simdev.New(roomImage(t, c.volume))
		err := applyTo(t, dev, wants(c.existing, c.keys), tokenless{})
		var refusal *planner.Refusal
		if !errors.As(err, &refusal) || err.Error() != file+c.want || refusal.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations", name, n)
		}
	}
}

// jsonRoom returns what the text of a header has room for, and without keyslots.
func jsonRoom(t *testing.T, volume []byte) (now, emptied int64) {
	t.Helper()
	h, err := luks2.Read(bytes.NewReader(append(bytes.Clone(volume), make([]byte, disk.MiB)...)), int64(len(volume))+int64(disk.MiB))
	if err != nil {
		t.Fatal(err)
	}
	if emptied, err = h.JSONRoomEmptied(); err != nil {
		t.Fatal(err)
	}
	return h.JSONRoom(), emptied
}

// reworded replaces a text in the JSON of both copies of a header.
func reworded(volume []byte, old, with string) []byte {
	volume = bytes.Clone(volume)
	for which := range 2 {
		header := volume[which*16<<10:][:16<<10]
		text := bytes.TrimRight(header[4096:], "\x00")
		reseal(header, bytes.Replace(text, []byte(old), []byte(with), 1))
	}
	return volume
}

// TestNewPartitionIsLeftUnmade: where the keys of a new partition cannot be used and its
// definition lets it be left, the others are made all the same.
func TestNewPartitionIsLeftUnmade(t *testing.T) {
	files := map[string]string{
		"10-secret": `partition = { type = "var", size_min = "32M", size_max = "32M" }
encryption = { unavailable = "leave", header_size = "1M", key = [{ type = "tpm2", pcrs = [7] }] }`,
		"20-open": `partition = { type = "home", size_min = "4M", size_max = "4M" }`,
	}
	image := partitioned(t, make([]byte, 64*disk.MiB), "label: gpt\n")
	dev := simdev.New(image)
	var left []int
	told := func(e Event) {
		if e.Phase == Left {
			left = append(left, e.Partition)
		}
	}
	broken := chip{seal: errBoom}
	for range 2 {
		if err := applyTold(t, dev, files, nil, told, broken); err != nil {
			t.Fatal(err)
		}
		snapshot, err := probe.Disk(dev, 512)
		if err != nil || len(snapshot.Partitions) != 1 || snapshot.Partitions[0].Size != 4*disk.MiB {
			t.Fatalf("partitions %+v (%v)", snapshot.Partitions, err)
		}
	}
	if len(left) != 2 {
		t.Errorf("left: %v", left)
	}
	delete(files, "20-open")
	only := simdev.New(image)
	if err := applyTo(t, only, files, broken); err != nil || len(only.Log()) > 0 {
		t.Errorf("with nothing else to do: %v, %d operations", err, len(only.Log()))
	}
	if err := applyTo(t, dev, files, chip{}); err != nil {
		t.Errorf("once the key is there: %v", err)
	}
}
