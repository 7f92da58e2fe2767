package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// drawDefinitions writes definitions for most partitions, and some for new ones.
func (w *promiseWorld) drawDefinitions(there []promisePart, mbr bool) error {
	dir := filepath.Join(w.dir, "defs")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
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
	last := "[partition]\ntype = \"tmp\"\npriority = 1\nsize_max = \"1M\"\nsize_min = \"64K\"\n"
	if w.rng.IntN(24) == 0 && len(there) > 0 {
		last += fmt.Sprintf("supplement_for = %q\n", "10-"+there[0].typ)
	}
	return w.define("99-last", last)
}

func (w *promiseWorld) define(name, text string) error {
	fmt.Fprintf(w.story, "-- %s.toml --\n%s", name, text)
	return os.WriteFile(filepath.Join(w.dir, "defs", name+".toml"), []byte(text), 0o644)
}

// promiseText is the text of a definition in the making.
type promiseText struct {
	strings.Builder
	w *promiseWorld
}

// maybe writes a line, one time in n.
func (t *promiseText) maybe(n int, format string, values ...any) {
	if t.w.rng.IntN(n) == 0 {
		fmt.Fprintf(t, format+"\n", values...)
	}
}

// drawDefinition draws one of any kind.
func (w *promiseWorld) drawDefinition(p promisePart, mbr bool) string {
	rng, b, name := w.rng, &promiseText{w: w}, p.typ
	fmt.Fprintf(b, "[partition]\ntype = %q\n", name)
	switch {
	case mbr:
		fmt.Fprintf(b, "match = { filesystem = %q }\n", cmp.Or(p.kind(), "ext4"))
	case rng.IntN(8) == 0:
		fmt.Fprintf(b, "match = { label = %q }\nlabel = %q\n", name, name)
	case rng.IntN(16) == 0 && p.entry.Number > 0:
		fmt.Fprintf(b, "match = { uuid = %q }\n", p.entry.UUID)
	}
	low := rng.IntN(1 + oneOf(rng, 4096, 70000, 2<<20, 12<<20))
	if rng.IntN(4) > 0 {
		fmt.Fprintf(b, "size_min = %q\n", fmt.Sprint(low))
		b.maybe(2, "size_max = %q", fmt.Sprint(low+rng.IntN(1+oneOf(rng, 100, 70000, 30<<20))))
	}
	w.drawAttributes(b, name)
	encrypts := rng.IntN(3) > 0 && (name != "esp" || rng.IntN(8) == 0)
	if rng.IntN(2) == 0 && !mbr && name != "swap" {
		w.drawFilesystem(b)
	}
	if encrypts {
		w.drawEncryption(b, p)
	}
	if rng.IntN(12) == 0 {
		b.WriteString("[conditions]\n")
		b.maybe(2, "tpm2 = %v", rng.IntN(2) == 0)
		b.maybe(3, "path_exists = %q", oneOf(rng, "/etc", "!/etc", "/nosuch"))
		b.maybe(3, "firmware = %q", oneOf(rng, "uefi", "bios", "!uefi"))
		b.maybe(3, "first_boot = %v", rng.IntN(2) == 0)
		b.maybe(3, "secure_boot = false")
		b.maybe(3, "architecture = %q", oneOf(rng, "x86-64", "arm64", "!arm64"))
		b.maybe(3, "virtualization = %q", oneOf(rng, "yes", "no", "!kvm"))
		b.maybe(3, "kernel_command_line = %q", "!nosuch")
	}
	return b.String()
}

// drawAttributes draws the rest of [partition].
func (w *promiseWorld) drawAttributes(b *promiseText, name string) {
	rng := w.rng
	b.maybe(3, "weight = %d", oneOf(rng, 0, 1, 500))
	b.maybe(4, "priority = %d", rng.IntN(3))
	pad := rng.IntN(2 << 20)
	b.maybe(6, "padding_min = %q", fmt.Sprint(pad))
	b.maybe(8, "padding_max = %q", fmt.Sprint(pad+rng.IntN(8<<20)))
	b.maybe(8, "padding_weight = %d", oneOf(rng, 0, 1, 900))
	b.maybe(6, "factory_reset = true")
	b.maybe(16, "uuid = %q", oneOf(rng, "null", "deadbeef-c4ae-4012-a15e-7be3c29e6a01", "deadbeef-c4ae-4012-a15e-7be3c29e6a02"))
	b.maybe(12, "flags = %q", oneOf(rng, "0x1", "0x4", "0x1000000000000000"))
	if name != "esp" && name != "swap" && name != "linux-generic" || rng.IntN(40) == 0 {
		b.maybe(10, "read_only = %v", rng.IntN(2) == 0)
		b.maybe(10, "no_auto = %v", rng.IntN(2) == 0)
		b.maybe(16, "grow_file_system = %v", rng.IntN(2) == 0)
	}
	if name != "swap" || rng.IntN(20) == 0 {
		b.maybe(8, "mount_point = %q", oneOf(rng, "/"+name, "/"+name+":noatime", "/mnt"))
	}
	b.maybe(12, "split_name = %q", oneOf(rng, "%t", "-", "p%n", "%U"))
}

// drawFilesystem draws what a new partition holds.
func (w *promiseWorld) drawFilesystem(b *promiseText) {
	rng := w.rng
	b.WriteString("[filesystem]\n")
	switch rng.IntN(5) {
	case 0:
		fmt.Fprintf(b, "copy_blocks = %q\n", filepath.Join(w.dir, "blocks"))
	case 1, 2:
		fmt.Fprintf(b, "copy_files = [%q]\n", filepath.Join(w.dir, oneOf(rng, "tree", "tree", "tree", "awkward", "nosuch"))+":/")
		b.maybe(2, "format = %q", oneOf(rng, "ext4", "vfat"))
	default:
		fmt.Fprintf(b, "format = %q\n", oneOf(rng, "ext4", "vfat", "vfat", "swap"))
		b.maybe(6, "label = %q", oneOf(rng, "data", "DATA", "DATA", "DATA", "a label that is too long", "é"))
	}
}

// drawEncryption draws what is to be encrypted how.
func (w *promiseWorld) drawEncryption(b *promiseText, p promisePart) {
	rng := w.rng
	existing := oneOf(rng, "keep", "convert", "enroll", "rekey")
	switch {
	case rng.IntN(8) == 0:
	case p.luks:
		existing = oneOf(rng, "keep", "enroll", "rekey", "rekey")
	case p.kind() != "":
		existing = oneOf(rng, "keep", "convert", "convert", "convert")
	}
	fmt.Fprintf(b, "[encryption]\nexisting = %q\nheader_size = %q\n", existing, oneOf(rng, "1M", "2M", "2M", "2M", "3M", "5M"))
	switch existing {
	case "convert":
		rooms := []string{"gap", "grow", "shrink"}
		rng.Shuffle(len(rooms), func(i, j int) { rooms[i], rooms[j] = rooms[j], rooms[i] })
		rooms = rooms[:rng.IntN(4)]
		if len(rooms) == 0 || rng.IntN(6) == 0 {
			rooms = append(rooms, "detached:"+filepath.Join(w.out, oneOf(rng, "header", "header", "header-"+p.typ, "nosuch/header")))
		}
		fmt.Fprintf(b, "header_room = [\"%s\"]\n", strings.Join(rooms, `", "`))
		b.maybe(3, "free_space = \"discard\"")
		b.maybe(4, "trailing = \"discard\"")
	case "rekey", "enroll":
		if existing == "rekey" || rng.IntN(2) == 0 {
			fmt.Fprintf(b, "existing_key = %q\n", "file:"+filepath.Join(w.dir, oneOf(rng, "vendor", "vendor", "vendor", "vendor", "key1", "nosuch")))
		}
	}
	b.maybe(3, "unavailable = \"leave\"")
	b.maybe(6, "sector_size = %d", oneOf(rng, 512, 1024, 4096))
	b.maybe(8, "header_backup = %q", oneOf(rng, filepath.Join(w.out, "backup"), filepath.Join(w.out, "backup-"+p.typ), filepath.Join(w.out, "nosuch/backup"), "esp:/backup", "2:/backup"))
	b.maybe(12, "label = %q", "sealed")
	b.maybe(16, "key_bits = 512")
	b.maybe(24, "cipher = \"aes-xts-plain64\"")
	w.drawKeys(b, p)
}

// drawKeys draws one key or two, or rarely more than there is room for.
func (w *promiseWorld) drawKeys(b *promiseText, p promisePart) {
	rng := w.rng
	if n := rng.IntN(24); n == 0 {
		for i := range oneOf(rng, 3, 5, 14) {
			fmt.Fprintf(b, "[[encryption.key]]\ntype = \"file\"\npath = %q\n", filepath.Join(w.dir, fmt.Sprint("many", i)))
		}
		return
	}
	file := func(name string) string {
		return fmt.Sprintf("type = \"file\"\npath = %q\n", filepath.Join(w.dir, name))
	}
	keys := []string{
		file("key0"), "type = \"tpm2\"\npcrs = [7]\n", file("key1"), w.drawTPMKey(),
		"type = \"pkcs11\"\nuri = \"" + oneOf(rng, "pkcs11:token=card;object=disk;type=private", "pkcs11:token=other;object=disk;type=private") + "\"\n" +
			oneOf(rng, "", "key_sha256 = \""+strings.Repeat("ab", 32)+"\"\n"),
		fmt.Sprintf("type = \"recovery\"\npath = %q\n", filepath.Join(w.out, oneOf(rng, "recovery", "recovery-"+p.typ, "recovery-"+p.typ, "nosuch/recovery"))),
		"type = \"recovery\"\nescrow = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n",
		oneOf(rng, file("key0")+"offset = 1\nsize = 2\n", file("nosuch"), file("key0")+"offset = 64\n", "type = \"file\"\n"),
		fmt.Sprintf("type = \"command\"\nprogram = %q\n", filepath.Join(w.dir, oneOf(rng, "module", "module", "nosuch"))),
	}
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys[:oneOf(rng, 1, 1, 1, 1, 2, 2, 3)] {
		b.WriteString("[[encryption.key]]\n" + key)
		b.maybe(8, "required = true")
	}
}

// drawTPMKey draws what a key can be bound to.
func (w *promiseWorld) drawTPMKey() string {
	rng, b := w.rng, &promiseText{w: w}
	b.WriteString("type = \"tpm2\"\n")
	fmt.Fprintf(b, "pcrs = %s\n", oneOf(rng, "[0, 7]", "[11]", `["7:sha256=`+strings.Repeat("ab", 32)+`"]`))
	b.maybe(6, "bank = %q", oneOf(rng, "sha256", "sha384"))
	b.maybe(6, "pin = %q", "file:"+filepath.Join(w.dir, oneOf(rng, "key1", "nosuch")))
	b.maybe(6, "format = %q", oneOf(rng, "auto", "widest", "newest"))
	b.maybe(16, "public_key = %q", oneOf(rng, "auto", filepath.Join(w.dir, "key0"), filepath.Join(w.dir, "public.pem")))
	b.maybe(16, "pcrlock = \"auto\"")
	b.maybe(24, "blank = \"allow\"")
	b.maybe(32, "srk = %q", oneOf(rng, "0x81000001", "0x81000002"))
	b.maybe(48, "device_key = %q", filepath.Join(w.dir, "public.pem"))
	return b.String()
}

// drawVerity draws a set.
func (w *promiseWorld) drawVerity() (data, hash string) {
	size := disk.Bytes(4096 * (1 + w.rng.IntN(300)))
	block := oneOf(w.rng, 512, 1024, 4096, 4096)
	data = fmt.Sprintf("[partition]\ntype = \"usr\"\nlabel = \"v\"\nmatch = { label = \"v\" }\nsize_min = \"%d\"\nsize_max = \"%d\"\n", size, size)
	if w.rng.IntN(2) == 0 {
		data += fmt.Sprintf("[filesystem]\ncopy_blocks = %q\n", filepath.Join(w.dir, "blocks"))
	}
	data += fmt.Sprintf("[verity]\nrole = \"data\"\nmatch_key = \"usr\"\ndata_block_size = %d\n", block)
	hash = "[partition]\ntype = \"usr-verity\"\n[verity]\nrole = \"hash\"\nmatch_key = \"usr\"\n"
	if w.rng.IntN(4) == 0 {
		data, hash = data+"hash_block_size = 1024\n", hash+"hash_block_size = 1024\n"
	}
	if w.rng.IntN(4) == 0 {
		data, hash = data+"salt = \"aabb\"\n", hash+"salt = \"aabb\"\n"
	}
	return data, hash
}
