package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
)

// promiseContent is what a partition may hold: its first bytes, and how large it must be.
type promiseContent struct {
	name  string
	bytes []byte
	size  disk.Bytes
	luks  bool
}

// promiseMade is what foreign programs make, of IMG, an empty file at first, and what is in the directory HERE.
var promiseMade = []struct {
	name string
	size disk.Bytes
	line string
	luks bool
}{
	{"ext4", 8 * disk.MiB, "mkfs.ext4 -q -b 1024 -L rootfs IMG", false},
	{"ext4 of 4096", 12 * disk.MiB, "mkfs.ext4 -q -b 4096 IMG", false},
	{"ext4 with clusters", 8 * disk.MiB, "mkfs.ext4 -q -O bigalloc -C 16384 IMG", false},
	{"ext3", 6 * disk.MiB, "mkfs.ext3 -q -b 1024 IMG", false},
	{"ext2", 4*disk.MiB + 1024, "mke2fs -q -b 1024 -t ext2 IMG", false},
	{"vfat", 4 * disk.MiB, "mkfs.vfat -n BOOT IMG", false},
	{"swap", disk.MiB, "mkswap -q IMG", false},
	{"xfs", 20 * disk.MiB, "env TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q IMG", false},
	{"btrfs", 20 * disk.MiB, "mkfs.btrfs -q -M IMG", false},
	{"squashfs", disk.MiB, "mksquashfs HERE/tree IMG -noappend -quiet -no-progress", false},
	{"erofs", disk.MiB, "mkfs.erofs --quiet IMG HERE/tree", false},
	{"LUKS1", 4 * disk.MiB, "cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --key-file HERE/vendor IMG", false},
	{"volume that an encryption was begun in", 16 * disk.MiB, "mkfs.ext4 -q -b 4096 IMG 6M && cryptsetup -q reencrypt --encrypt --init-only --reduce-device-size 8M " + cheapLUKS2 + " IMG", true},
	{"volume that an encryption without protection was begun in", 16 * disk.MiB, "mkfs.ext4 -q -b 4096 IMG 6M && cryptsetup -q reencrypt --encrypt --init-only --reduce-device-size 8M --resilience journal " + cheapLUKS2 + " IMG", true},
	{"volume that a rekey was begun in", 8 * disk.MiB, cheapFormat + " && cryptsetup -q reencrypt --init-only " + cheapLUKS2 + " IMG", true},
	{"volume that a rekey without protection was begun in", 8 * disk.MiB, cheapFormat + " && cryptsetup -q reencrypt --init-only --resilience none " + cheapLUKS2 + " IMG", true},
	{"volume that a rekey with a journal was begun in", 8 * disk.MiB, cheapFormat + " && cryptsetup -q reencrypt --init-only --resilience journal " + cheapLUKS2 + " IMG", true},
}

// What keeps the key derivations of these volumes cheap.
const (
	cheapLUKS2  = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file HERE/vendor"
	cheapFormat = "cryptsetup -q luksFormat --type luks2 --offset 8192 " + cheapLUKS2 + " IMG"
)

// promiseContents makes what foreign tools make once, and volumes in all states.
func promiseContents(t *testing.T, dir string) []promiseContent {
	contents := []promiseContent{{name: "zero", size: disk.MiB}, {name: "garbage", size: disk.MiB, bytes: garbage(70000)}}
	made := make([]promiseContent, len(promiseMade))
	var all sync.WaitGroup
	for i, f := range promiseMade {
		all.Go(func() {
			image := filepath.Join(dir, fmt.Sprint("content", i))
			line := strings.NewReplacer("IMG", image, "HERE", dir).Replace(f.line)
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				t.Error(err)
			}
			_ = os.Truncate(image, int64(f.size))
			if out, err := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; "+line).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			content, err := os.ReadFile(image)
			if err != nil {
				t.Error(err)
			}
			made[i] = promiseContent{name: f.name, size: f.size, bytes: bytes.TrimRight(content, "\x00"), luks: f.luks}
			_ = os.Remove(image)
		})
	}
	all.Wait()
	return append(append(contents, made...), promiseVolumes(t)...)
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
