package disk

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestTypesKnownToSfdisk lets sfdisk name the GUIDs: its own list of types was
// written down independently of ours.
func TestTypesKnownToSfdisk(t *testing.T) {
	sfdisk := testenv.Need(t, "sfdisk")
	out, err := exec.Command(sfdisk, "--label", "gpt", "--list-types").Output()
	if err != nil {
		t.Fatal(err)
	}
	spoken := map[string]string{} // GUID -> "Linux root (x86-64)"
	for _, line := range strings.Split(string(out), "\n") {
		if guid, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && len(guid) == 36 {
			spoken[strings.ToLower(guid)] = strings.TrimSpace(name)
		}
	}
	want := map[string]string{
		"esp": "EFI System", "xbootldr": "Linux extended boot", "swap": "Linux swap",
		"home": "Linux home", "srv": "Linux server data", "var": "Linux variable data",
		"tmp": "Linux temporary data", "user-home": "Linux user's home",
		"linux-generic": "Linux filesystem",
		"root-x86-64":   "Linux root (x86-64)", "usr-arm64": "Linux /usr (ARM-64)",
		"root-s390x-verity": "Linux root verity (S390X)",
	}
	for name, text := range want {
		u, ok := TypeByName(name, "")
		if !ok || spoken[u.UUID.String()] != text {
			t.Errorf("%s is %v, which sfdisk calls %q, want %q", name, u.UUID, spoken[u.UUID.String()], text)
		}
	}
	for _, typ := range allTypes() {
		text, ok := spoken[typ.UUID.String()]
		if !ok {
			continue // older util-linux does not know mips, mips64 and parisc
		}
		if arch := typ.Architecture(); arch != "" && !agrees(text, typ) {
			t.Errorf("%s %s: sfdisk says %q", typ.Name, typ.UUID, text)
		}
	}
}

// agrees reports whether sfdisk's words fit the type: use, verity, signature, and
// the letters and digits of the architecture.
func agrees(text string, typ Type) bool {
	use, arch, _ := strings.Cut(strings.TrimSuffix(strings.ToLower(text), ")"), " (")
	arch = strings.NewReplacer("-", "", " ", "", "mips-32", "mips").Replace(arch)
	ours := strings.ReplaceAll(typ.Architecture(), "-", "")
	d := typ.Designator()
	return arch == ours &&
		strings.Contains(use, "root") == strings.HasPrefix(d, "root") &&
		strings.Contains(use, "verity") == typ.IsVerity() &&
		strings.Contains(use, "sign") == strings.HasSuffix(d, "-sig")
}

func TestTypeByName(t *testing.T) {
	cases := []struct{ name, arch, want string }{
		{"root", "x86-64", "root-x86-64"},
		{"root", "arm64", "root-arm64"},
		{"usr-verity-sig", "riscv64", "usr-riscv64-verity-sig"},
		{"root-secondary", "x86-64", "root-x86"},
		{"usr-secondary-verity", "arm64", "usr-arm-verity"},
		{"root-secondary", "riscv64", ""},
		{"root", "vax", ""},
		{"root", "", ""},
		{"root-x86-64", "arm64", "root-x86-64"},
		{"Root", "x86-64", ""},
		{"", "x86-64", ""},
		{"933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "x86-64", "home"},
		{"{933AC7E1-2EB4-4F13-B844-0E14E2AEF915}", "x86-64", ""},
		{"00000000-0000-0000-0000-000000000000", "x86-64", ""},
	}
	for _, c := range cases {
		got, ok := TypeByName(c.name, c.arch)
		if got.Name != c.want || ok != (c.want != "") {
			t.Errorf("TypeByName(%q, %q) = %+v, %v; want %q", c.name, c.arch, got, ok, c.want)
		}
	}
	unknown, ok := TypeByName("12345678-1234-4234-8234-123456789abc", "x86-64")
	if !ok || unknown.Name != "" || unknown.UUID == uuid.Nil {
		t.Errorf("an unknown GUID is a type without a name; got %+v, %v", unknown, ok)
	}
}

func TestTypeNamesResolve(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range TypeNames() {
		if _, ok := TypeByName(name, "x86-64"); !ok || seen[name] {
			t.Errorf("%q does not resolve, or stands twice", name)
		}
		seen[name] = true
	}
	if want := len(common) + 6*len(architectures) + 12; len(seen) != want || len(typesByUUID) != want-12 {
		t.Errorf("%d names, %d GUIDs; want %d and %d", len(seen), len(typesByUUID), want, want-12)
	}
}

func TestAttributesKnown(t *testing.T) {
	cases := []struct {
		name                   string
		noAuto, readOnly, grow bool
	}{
		{"root", true, true, true}, {"xbootldr", true, true, true}, {"tmp", true, true, true},
		{"root-verity", true, true, false}, {"usr-verity-sig", false, true, false},
		{"swap", true, false, false}, {"esp", false, false, false},
		{"linux-generic", false, false, false}, {"user-home", false, false, false},
	}
	for _, c := range cases {
		u, _ := TypeByName(c.name, "x86-64")
		if u.KnowsNoAuto() != c.noAuto || u.KnowsReadOnly() != c.readOnly || u.KnowsGrowFileSystem() != c.grow {
			t.Errorf("%s: no-auto %v, read-only %v, grow %v", c.name, u.KnowsNoAuto(), u.KnowsReadOnly(), u.KnowsGrowFileSystem())
		}
	}
}
