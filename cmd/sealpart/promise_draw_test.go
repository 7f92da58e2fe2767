package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/luks2"
)

// promiseContent is what a partition may hold: its first bytes, and how large it must be.
type promiseContent struct {
	name  string
	bytes []byte
	size  disk.Bytes
	luks  bool
}

// promiseContents makes what foreign tools make once, and volumes in all states.
func promiseContents(t *testing.T, dir string) []promiseContent {
	contents := []promiseContent{{name: "zero", size: disk.MiB}, {name: "garbage", size: disk.MiB, bytes: garbage(70000)}}
	for _, f := range []struct {
		name string
		size disk.Bytes
		line string
	}{
		{"ext4", 8 * disk.MiB, "mkfs.ext4 -q -b 1024 -L rootfs IMG"},
		{"ext4 of 4096", 12 * disk.MiB, "mkfs.ext4 -q -b 4096 IMG"},
		{"ext2", 4*disk.MiB + 1024, "mke2fs -q -b 1024 -t ext2 IMG"},
		{"vfat", 4 * disk.MiB, "mkfs.vfat -n BOOT IMG"},
		{"swap", disk.MiB, "mkswap -q IMG"},
		{"xfs", 20 * disk.MiB, "env TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q IMG"},
		{"btrfs", 20 * disk.MiB, "mkfs.btrfs -q -M IMG"},
		{"LUKS1", 4 * disk.MiB, "cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --key-file " + filepath.Join(dir, "vendor") + " IMG"},
	} {
		image := filepath.Join(dir, "content")
		if err := os.WriteFile(image, make([]byte, f.size), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; "+strings.ReplaceAll(f.line, "IMG", image))
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", f.line, err, out)
		}
		content, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, promiseContent{name: f.name, size: f.size, bytes: bytes.TrimRight(content, "\x00")})
	}
	return append(contents, promiseVolumes(t)...)
}

func garbage(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// promiseVolumes are the vendor's volumes, as other tools may have made them.
func promiseVolumes(t *testing.T) (contents []promiseContent) {
	add := func(name string, sector, keyslots int, offset disk.Bytes, reword ...string) {
		volume := promiseVolume(t, sector, keyslots, offset)
		for i := 0; i < len(reword); i += 2 {
			volume = rewordHeader(volume, reword[i], reword[i+1])
		}
		contents = append(contents, promiseContent{name: name, bytes: volume, size: offset + 2*disk.MiB, luks: true})
	}
	add("volume", 512, 1, disk.MiB)
	add("volume of 4096", 4096, 2, 2*disk.MiB)
	add("volume with a small area", 512, 1, disk.MiB, `"keyslots_size":"1015808"`, `"keyslots_size":"524288"`)
	add("volume with a full area", 512, 3, disk.MiB)
	add("volume with all keyslots", 512, 32, 9*disk.MiB)
	add("volume of a fixed size", 512, 1, disk.MiB, `"size":"dynamic"`, `"size":"1048576"`)
	add("volume with integrity", 512, 1, disk.MiB, `"iv_tweak":"0"`, `"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"},"iv_tweak":"0"`)
	add("volume of serpent", 512, 1, disk.MiB, `"iv_tweak":"0","encryption":"aes`, `"iv_tweak":"0","encryption":"serpent`)
	add("volume of whirlpool", 512, 1, disk.MiB, `"kdf":{"type":"pbkdf2","hash":"sha512"`, `"kdf":{"type":"pbkdf2","hash":"whirlpool"`)
	add("volume whose digest is of whirlpool", 512, 1, disk.MiB, `"segments":["0"],"hash":"sha256"`, `"segments":["0"],"hash":"whirlpool"`)
	tokens := []string{`"0":{"type":"foreign","keyslots":[]}`}
	for id := 1; id < 32; id++ {
		tokens = append(tokens, fmt.Sprintf(`"%d":{"type":"foreign","keyslots":["0"]}`, id))
	}
	add("volume with all tokens", 512, 1, disk.MiB, `"tokens":{}`, `"tokens":{`+strings.Join(tokens, ",")+`}`)
	add("volume with a full text", 512, 1, disk.MiB, `"tokens":{}`, `"tokens":{"3":{"type":"foreign","keyslots":[],"x":"`+strings.Repeat("x", 11000)+`"}}`)
	add("volume that requires more", 512, 1, disk.MiB, `"config":{`, `"config":{"requirements":{"mandatory":["new-thing"]},`)
	add("volume of two segments", 512, 1, disk.MiB, `"size":"dynamic"`, `"size":"1048576"`, `"sector_size":512}}`,
		`"sector_size":512},"1":{"type":"crypt","offset":"2097152","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512}}`,
		`"segments":["0"]`, `"segments":["0","1"]`)
	return contents
}

// promiseVolume is a volume with the vendor's key in the last of its keyslots.
func promiseVolume(t *testing.T, sector, keyslots int, offset disk.Bytes) []byte {
	rnd := rand.NewChaCha8([32]byte{byte(keyslots)})
	h, err := luks2.Format(luks2.FormatOptions{DataOffset: int64(offset), Cipher: "aes-xts-plain64", KeySize: 64, SectorSize: sector, Rand: rnd})
	if err != nil {
		t.Fatal(err)
	}
	key, dev := garbage(64), &promiseMemory{}
	for i := range keyslots {
		passphrase := "vendor"
		if i < keyslots-1 {
			passphrase = fmt.Sprint("other", i)
		}
		if _, err := h.AddKeyslot(context.Background(), dev, key, []byte(passphrase), luks2.TokenKDF(), rnd); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Commit(dev); err != nil {
		t.Fatal(err)
	}
	return dev.Bytes()
}

// promiseMemory is a device in memory.
type promiseMemory struct{ b []byte }

func (m *promiseMemory) Bytes() []byte { return m.b }
func (m *promiseMemory) Sync() error   { return nil }

func (m *promiseMemory) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(m.b)) {
		copy(p, m.b[off:])
	}
	return len(p), nil
}

func (m *promiseMemory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// rewordHeader replaces a text in both copies of a header.
func rewordHeader(volume []byte, old, with string) []byte {
	for which := range 2 {
		h := volume[which*headerSize:][:headerSize]
		text := bytes.Replace(bytes.TrimRight(h[jsonStart:], "\x00"), []byte(old), []byte(with), 1)
		clear(h[jsonStart:])
		copy(h[jsonStart:], text)
		clear(h[headerChecksum : headerChecksum+64])
		sum := sha256.Sum256(h)
		copy(h[headerChecksum:], sum[:])
	}
	return volume
}

// promiseTypes are the types of partitions, each once on a disk but the last.
var promiseTypes = []string{"root", "home", "srv", "var", "swap", "esp", "usr", "linux-generic"}

// kind is what blkid would call it, as far as a conversion goes.
func (c promiseContent) kind() string {
	kind, _, _ := strings.Cut(c.name, " ")
	if c.luks {
		return "crypto_LUKS"
	}
	if kind == "zero" || kind == "garbage" || kind == "LUKS1" {
		return ""
	}
	return kind
}

// draw draws a disk, definitions and flags.
func (w *promiseWorld) draw() error {
	rng := w.rng
	w.chip = promiseChip{oneOf(rng, nil, nil, nil, errPromise, key.Absent(errPromise))}
	w.flags = applyFlags{planFlags: planFlags{
		definitions: []string{filepath.Join(w.dir, "defs")}, seed: "750b6cd5-c4ae-4012-a15e-7be3c29e6a47", discard: rng.IntN(2) == 0,
		empty: oneOf(rng, "refuse", "refuse", "refuse", "refuse", "refuse", "refuse", "allow", "allow", "require", "force"), factoryReset: rng.IntN(8) == 0, boot: true, leftovers: oneOf(rng, "keep", "discard", "discard"),
	}}
	w.flags.tpm2, w.flags.unseen = "auto", true
	w.flags.keys = &w.flags.keyFlags
	sector := disk.Bytes(oneOf(rng, 512, 512, 512, 4096))
	if sector == 4096 {
		w.flags.sectorSize = 4096
	}
	size := disk.Bytes(14+rng.IntN(34))*disk.MiB + disk.Bytes(rng.IntN(3)*rng.IntN(9))*sector
	fmt.Fprintf(w.story, "disk of %d bytes, sectors of %d, %+v, chip: %v\n", size, sector, w.flags.planFlags, w.chip.err)
	if err := os.WriteFile(w.image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(w.image, int64(size)); err != nil {
		return err
	}
	entries, there, err := w.drawPartitions(size, sector)
	if err != nil {
		return err
	}
	kind := oneOf(rng, "gpt", "gpt", "gpt", "gpt", "gpt", "mbr", "none")
	if kind == "none" && rng.IntN(8) > 0 {
		w.flags.empty, there = oneOf(rng, "allow", "force"), nil
		_ = errors.Join(os.Truncate(w.image, 0), os.Truncate(w.image, int64(size)))
	}
	fmt.Fprintf(w.story, "table: %s\n", kind)
	switch kind {
	case "gpt":
		err = w.writeGPT(entries, size, sector)
	case "mbr":
		err = w.writeMBR(entries, sector)
	}
	if err != nil {
		return err
	}
	return w.drawDefinitions(there, kind == "mbr")
}

// promisePart is a partition that is there.
type promisePart struct {
	typ string
	promiseContent
}

// drawPartitions lays partitions out, and fills them.
func (w *promiseWorld) drawPartitions(size, sector disk.Bytes) (entries []disk.Entry, there []promisePart, err error) {
	file, err := os.OpenFile(w.image, os.O_WRONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	rng, at := w.rng, disk.MiB
	for range rng.IntN(4) {
		c := oneOf(rng, w.contents...)
		name := promiseTypes[(rng.IntN(2)+2*len(entries))%len(promiseTypes)]
		at += oneOf(rng, 0, 0, sector, disk.MiB, 3*disk.MiB)
		length := (c.size + oneOf(rng, 0, 0, sector, 7*sector, 2*disk.MiB, 4*disk.MiB+sector)).RoundUp(sector)
		if at+length > size-disk.MiB {
			break
		}
		if _, err := file.WriteAt(c.bytes, int64(at)); err != nil {
			return nil, nil, err
		}
		t, _ := disk.TypeByName(name, "x86-64")
		e := disk.Entry{Number: len(entries) + 1, Type: t.UUID, Name: oneOf(rng, name, "", "b-"+name), Extent: disk.Extent{Offset: at, Size: length},
			UUID: uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, rng.Uint64()))}
		fmt.Fprintf(w.story, "partition %d: %s %q at %d, %d bytes, %s\n", e.Number, name, e.Name, at, length, c.name)
		entries, there, at = append(entries, e), append(there, promisePart{name, c}), e.End().RoundUp(oneOf(rng, sector, disk.MiB))
	}
	return entries, there, nil
}

// writeGPT writes a table.
func (w *promiseWorld) writeGPT(entries []disk.Entry, size, sector disk.Bytes) error {
	dev, err := blockdev.Open(w.image, blockdev.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer dev.Close()
	state, err := gpt.New(size, sector, uuid.NewSHA1(uuid.NameSpaceURL, []byte("disk")))
	if err != nil {
		return err
	}
	writes, err := state.Writes(state.Table, entries, size)
	if err != nil {
		return err
	}
	return state.Apply(dev, writes)
}

// writeMBR writes a table of primary partitions.
func (w *promiseWorld) writeMBR(entries []disk.Entry, sector disk.Bytes) error {
	file, err := os.OpenFile(w.image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	mbr := make([]byte, 512)
	for i, e := range entries {
		slot := mbr[446+16*i:]
		slot[4] = 0x83
		binary.LittleEndian.PutUint32(slot[8:], uint32(e.Offset/sector))
		binary.LittleEndian.PutUint32(slot[12:], uint32(e.Size/sector))
	}
	mbr[510], mbr[511] = 0x55, 0xaa
	_, err = file.WriteAt(mbr, 0)
	return err
}

// drawDefinitions writes definitions for most partitions, and some for new ones.
func (w *promiseWorld) drawDefinitions(there []promisePart, mbr bool) error {
	dir := filepath.Join(w.dir, "defs")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for range w.rng.IntN(3) {
		there = append(there, promisePart{typ: promiseTypes[w.rng.IntN(len(promiseTypes))]})
	}
	defined := map[string]bool{} // of two of a type, one that is dropped gives the other its partition
	for i, p := range there {
		if w.rng.IntN(6) == 0 || defined[p.typ] {
			continue
		}
		defined[p.typ] = true
		if err := w.define(fmt.Sprintf("%d0-%s", i+1, p.typ), w.drawDefinition(p, mbr)); err != nil {
			return err
		}
	}
	if w.rng.IntN(6) == 0 {
		data, hash := w.drawVerity()
		if err := w.define("80-data", data); err != nil {
			return err
		}
		return w.define("81-hash", hash)
	}
	if mbr {
		return nil
	}
	return w.define("99-last", "[partition]\ntype = \"tmp\"\npriority = 1\nsize_max = \"1M\"\nsize_min = \"64K\"\n")
}

func (w *promiseWorld) define(name, text string) error {
	fmt.Fprintf(w.story, "-- %s.toml --\n%s", name, text)
	return os.WriteFile(filepath.Join(w.dir, "defs", name+".toml"), []byte(text), 0o644)
}

// drawDefinition draws one of any kind.
func (w *promiseWorld) drawDefinition(p promisePart, mbr bool) string {
	rng, b, name := w.rng, &strings.Builder{}, p.typ
	fmt.Fprintf(b, "[partition]\ntype = %q\n", name)
	if mbr {
		fmt.Fprintf(b, "match = { filesystem = %q }\n", p.kind())
	} else if rng.IntN(8) == 0 {
		fmt.Fprintf(b, "match = { label = %q }\nlabel = %q\n", name, name)
	}
	maybe := func(n int, format string, values ...any) {
		if rng.IntN(n) == 0 {
			fmt.Fprintf(b, format+"\n", values...)
		}
	}
	if low := rng.IntN(1 + oneOf(rng, 4096, 70000, 2<<20, 12<<20)); rng.IntN(4) > 0 {
		fmt.Fprintf(b, "size_min = %q\n", fmt.Sprint(low))
		maybe(2, "size_max = %q", fmt.Sprint(low+rng.IntN(1+oneOf(rng, 100, 70000, 30<<20))))
	}
	maybe(3, "weight = %d", oneOf(rng, 0, 1, 500))
	maybe(4, "priority = %d", rng.IntN(3))
	maybe(6, "padding_min = %q", fmt.Sprint(rng.IntN(2<<20)))
	maybe(6, "factory_reset = true")
	encrypts := rng.IntN(3) > 0 && (name != "esp" || rng.IntN(8) == 0)
	if rng.IntN(2) == 0 && !mbr && name != "swap" {
		b.WriteString("[filesystem]\n")
		switch rng.IntN(5) {
		case 0:
			fmt.Fprintf(b, "copy_blocks = %q\n", filepath.Join(w.dir, "blocks"))
		case 1, 2:
			fmt.Fprintf(b, "copy_files = [%q]\n", filepath.Join(w.dir, oneOf(rng, "tree", "tree", "nosuch"))+":/")
		default:
			fmt.Fprintf(b, "format = %q\n", oneOf(rng, "ext4", "vfat", "vfat", "swap"))
		}
	}
	if encrypts {
		w.drawEncryption(b, p)
	}
	return b.String()
}

// drawEncryption draws what is to be encrypted how.
func (w *promiseWorld) drawEncryption(b *strings.Builder, p promisePart) {
	rng := w.rng
	existing := oneOf(rng, "keep", "convert", "enroll", "rekey")
	switch {
	case rng.IntN(8) == 0:
	case p.luks:
		existing = oneOf(rng, "keep", "enroll", "rekey", "rekey")
	case p.kind() != "":
		existing = oneOf(rng, "keep", "convert", "convert", "convert")
	}
	fmt.Fprintf(b, "[encryption]\nexisting = %q\nheader_size = %q\n", existing, oneOf(rng, "1M", "2M", "2M"))
	switch existing {
	case "convert":
		rooms := []string{"gap", "grow", "shrink"}
		rng.Shuffle(len(rooms), func(i, j int) { rooms[i], rooms[j] = rooms[j], rooms[i] })
		fmt.Fprintf(b, "header_room = [\"%s\"]\n", strings.Join(rooms[:1+rng.IntN(3)], `", "`))
		if rng.IntN(3) == 0 {
			b.WriteString("free_space = \"discard\"\n")
		}
		if rng.IntN(4) == 0 {
			b.WriteString("trailing = \"discard\"\n")
		}
	case "rekey", "enroll":
		if existing == "rekey" || rng.IntN(2) == 0 {
			fmt.Fprintf(b, "existing_key = %q\n", "file:"+filepath.Join(w.dir, oneOf(rng, "vendor", "vendor", "vendor", "key1", "nosuch")))
		}
	}
	if rng.IntN(3) == 0 {
		b.WriteString("unavailable = \"leave\"\n")
	}
	if rng.IntN(6) == 0 {
		fmt.Fprintf(b, "sector_size = %d\n", oneOf(rng, 512, 4096))
	}
	keys := []string{
		fmt.Sprintf("type = \"file\"\npath = %q\n", filepath.Join(w.dir, "key0")), "type = \"tpm2\"\npcrs = [7]\n",
		fmt.Sprintf("type = \"file\"\npath = %q\n", filepath.Join(w.dir, "key1")),
	}
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys[:1+rng.IntN(len(keys))*rng.IntN(2)] {
		b.WriteString("[[encryption.key]]\n" + key)
	}
}

// drawVerity draws a set.
func (w *promiseWorld) drawVerity() (data, hash string) {
	size := 4096 * (1 + w.rng.IntN(300))
	block := oneOf(w.rng, 512, 1024, 4096, 4096)
	data = fmt.Sprintf("[partition]\ntype = \"usr\"\nlabel = \"v\"\nmatch = { label = \"v\" }\nsize_min = \"%d\"\nsize_max = \"%d\"\n", size, size)
	if w.rng.IntN(2) == 0 {
		data += fmt.Sprintf("[filesystem]\ncopy_blocks = %q\n", filepath.Join(w.dir, "blocks"))
	}
	data += fmt.Sprintf("[verity]\nrole = \"data\"\nmatch_key = \"usr\"\ndata_block_size = %d\n", block)
	hash = "[partition]\ntype = \"usr-verity\"\n[verity]\nrole = \"hash\"\nmatch_key = \"usr\"\n"
	return data, hash
}
