package definitions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// twin is one setting in both languages, with values to try. A value is written
// quoted in TOML unless bare is set.
type twin struct {
	repart, table, key string
	bare               bool
	values             []string
}

// blocks stands for a file that systemd-repart finds, a multiple of 512 bytes.
const blocks = "/blocks.img"

var sizes = []string{"0", "4096", "4097", "8191", "1M", "1.5M", "1M 512K", "3M", "2MB", "x", "", "-1", "M", "0.5K"}

var twins = []twin{
	{"Type", "partition", "type", false, []string{"home", "home", "root", "root", "usr-verity", "swap", "esp", "var", "root-arm64", "linux-generic",
		"0fc63daf-8483-4772-8e79-3d69d8477de4", "rot", "Home"}},
	{"Label", "partition", "label", false, []string{"x", "größe", strings.Repeat("a", 36), strings.Repeat("a", 37), strings.Repeat("😀", 9), strings.Repeat("😀", 19)}},
	{"UUID", "partition", "uuid", false, []string{"null", "7b1367a6-5845-43f2-99b1-a742d873f590", "7b1367a6584543f299b1a742d873f591", "root", "7b1367a6-584543f2-99b1-a742d873f590"}},
	{"SizeMinBytes", "partition", "size_min", false, sizes},
	{"SizeMaxBytes", "partition", "size_max", false, sizes},
	{"PaddingMinBytes", "partition", "padding_min", false, sizes},
	{"PaddingMaxBytes", "partition", "padding_max", false, sizes},
	{"Weight", "partition", "weight", true, []string{"0", "1000000", "1000001"}},
	{"PaddingWeight", "partition", "padding_weight", true, []string{"0", "1000000", "1000001"}},
	{"Priority", "partition", "priority", true, []string{"-2147483648", "2147483647", "2147483648"}},
	{"NoAuto", "partition", "no_auto", true, []string{"true", "false"}},
	{"ReadOnly", "partition", "read_only", true, []string{"true", "false"}},
	{"GrowFileSystem", "partition", "grow_file_system", true, []string{"true", "false"}},
	{"Flags", "partition", "flags", false, []string{"0x8000000000000000", "1", "x", "0x10000000000000000"}},
	{"Format", "filesystem", "format", false, []string{"ext4", "vfat", "swap"}},
	{"CopyFiles", "filesystem", "copy_files", false, []string{"/etc/hostname:/x", "/etc/hostname"}},
	{"CopyBlocks", "filesystem", "copy_blocks", false, []string{blocks, "blocks.img"}},
	{"Verity", "verity", "role", false, []string{"data", "hash", "sig"}},
	{"VerityMatchKey", "verity", "match_key", false, []string{"a", "b"}},
	{"Encrypt", "encryption", "key", true, []string{"[{ type = 'file' }]"}},
}

// choose picks settings for one definition, each with the given chance.
func choose(r *rand.Rand, chance float64) map[string]string {
	chosen := map[string]string{}
	for _, t := range twins {
		if r.Float64() < chance || t.key == "type" && r.IntN(20) > 0 {
			chosen[t.repart] = t.values[r.IntN(len(t.values))]
		}
	}
	return chosen
}

// write gives a definition in both languages.
func write(chosen map[string]string) (conf, text string) {
	conf, text = "[Partition]\n", "# an empty file would be a mask\n"
	for _, t := range twins {
		v, ok := chosen[t.repart]
		if !ok {
			continue
		}
		ours, theirs := "'"+v+"'", v
		if t.bare {
			ours = v
		}
		if t.repart == "Encrypt" {
			theirs = "key-file"
		}
		conf += t.repart + "=" + theirs + "\n"
		text += t.table + "." + t.key + " = " + ours + "\n"
	}
	return conf, text
}

// stricter tells where we refuse what systemd-repart 252 takes, on purpose.
func stricter(chosen map[string]string) bool {
	set := func(key string) bool { _, ok := chosen[key]; return ok }
	kind := chosen["Type"]
	plain := slices.Contains([]string{"esp", "linux-generic", "0fc63daf-8483-4772-8e79-3d69d8477de4"}, kind)
	switch {
	case plain && (set("NoAuto") || set("ReadOnly") || set("GrowFileSystem")), // 252 only logs it, when it applies them
		(kind == "swap" || kind == "usr-verity") && set("GrowFileSystem"),
		kind == "swap" && set("ReadOnly"),
		chosen["ReadOnly"] == "true" && chosen["GrowFileSystem"] == "true",
		kind == "esp" && set("Encrypt"),
		chosen["SizeMaxBytes"] == "0",
		kind == "swap" && set("CopyFiles"), // 252 wants the format to be named
		chosen["Verity"] == "sig":          // not built
		return true
	}
	// An empty value resets the setting in the other language; ours are not set.
	return slices.Contains([]string{chosen["SizeMinBytes"], chosen["SizeMaxBytes"], chosen["PaddingMinBytes"], chosen["PaddingMaxBytes"]}, "") &&
		(set("SizeMinBytes") || set("SizeMaxBytes") || set("PaddingMinBytes") || set("PaddingMaxBytes"))
}

// complaint matches what systemd-repart says of a definition it does not take, or
// takes only in part.
var complaint = regexp.MustCompile(`\.conf:\d+: .*`)

// judge runs systemd-repart on the definitions and returns its complaints.
func judge(t *testing.T, repart string, confs []string) string {
	dir := t.TempDir()
	source := filepath.Join(dir, blocks)
	if err := os.WriteFile(source, make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, conf := range confs {
		conf = strings.ReplaceAll(conf, "="+blocks, "="+source)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.conf", i)), []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(image, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<30); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(repart, "--definitions="+dir, "--empty=force", "--dry-run=yes", "--no-pager",
		"--seed=750b6cd5c4ae4012a15e7be3c29e6a47", image)
	out, err := cmd.CombinedOutput()
	var said []string
	for _, line := range complaint.FindAllString(string(out), -1) {
		if !strings.Contains(line, "Rounded ") {
			said = append(said, line)
		}
	}
	if err != nil && said == nil {
		t.Fatalf("systemd-repart: %v\n%s\n%s", err, strings.Join(confs, "\n"), out)
	}
	return strings.Join(said, "\n")
}

// TestRepartAgrees writes random definitions for systemd-repart and for us, and
// expects both to take them, or both to find fault.
func TestRepartAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	repart := testenv.Need(t, "systemd-repart")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	verdicts := map[bool]int{}
	for range 300 {
		var confs, texts []string
		files, uuids, skip := map[string]string{}, map[string]bool{}, false
		for i := range 1 + r.IntN(2) {
			chosen := choose(r, 0.12)
			conf, text := write(chosen)
			confs, texts, skip = append(confs, conf), append(texts, text), skip || stricter(chosen)
			files[fmt.Sprintf("%d.toml", i)] = text
			// 252 gives the second of two equal UUIDs a random one.
			u := chosen["UUID"]
			skip = skip || u != "" && u != "null" && uuids[u]
			uuids[u] = true
		}
		if skip {
			continue
		}
		theirs := judge(t, repart, confs)
		_, ours := load(files)
		verdicts[ours == nil]++
		if (theirs == "") != (ours == nil) {
			t.Errorf("%s\nsystemd-repart: %q\nwe: %v", strings.Join(texts, "\n---\n"), theirs, ours)
		}
	}
	if verdicts[true] < 20 || verdicts[false] < 20 {
		t.Errorf("%d definitions were right and %d wrong: that proves little", verdicts[true], verdicts[false])
	}
}
