package planner

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// TestDisagreement: where a volume and its definition disagree in a way that nothing
// mends, a note says so, and names the keys by what they are bound to.
func TestDisagreement(t *testing.T) {
	root := there("root", 2048, 204800)
	pkcs11 := definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=t"}
	signed := definitions.Key{Type: definitions.KeyTPM2, PublicKey: "/k.pem", PublicKeyPCRs: []int{11}, PIN: "ask"}
	locked := definitions.Key{Type: definitions.KeyTPM2, PCRLock: "auto"}
	command := definitions.Key{Type: definitions.KeyCommand, Program: "/usr/lib/hsm"}
	converts := convertAs("shrink")
	converts.Encryption.Keys = []definitions.Key{tpmKey, signed, locked, pkcs11, command, fileKey}
	secure := convertAs("shrink")
	secure.Encryption.SecureKey = &definitions.SecureKey{}
	under := luks(root, 0, tpmToken)
	under.Content.LUKS.Cipher = "paes-xts-plain64"
	awaiting := luks(root, 1, disk.Token{Type: disk.TokenAwaits, Awaits: []string{AwaitName(tpmKey)}})
	for name, c := range map[string]struct {
		def  definitions.Definition
		root disk.Partition
		want string
	}{
		"keys that a conversion would have made": {converts, luks(root, 1),
			`is encrypted, but has no key as the definition wants it (tpm2 with PCRs [7], tpm2 with signed PCRs [11] and a PIN, tpm2 with pcrlock, pkcs11 pkcs11:token=t, command /usr/lib/hsm); existing = "enroll" would add it`},
		"all there": {convertAs("shrink"), luks(root, 0, tpmToken), ""},
		"a passphrase in place of a file": {func() definitions.Definition {
			d := convertAs("shrink")
			d.Encryption.Keys = []definitions.Key{fileKey}
			return d
		}(),
			luks(root, 1), ""},
		"no secure key": {secure, luks(root, 0, tpmToken),
			`is encrypted, but its volume key is no secure key; "zkey-cryptsetup convert" would make it one`},
		"a secure key":            {secure, under, ""},
		"more than its keys":      {volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey), luks(root, 2, tpmToken), "has all the keys of the definition, and keyslots [0 1] besides"},
		"one that is yet to come": {convertAs("shrink"), awaiting, ""},
		"its keys alone":          {volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey), luks(root, 0, tpmToken), ""},
		"none to be replaced":     {volumeAs(definitions.ExistingEnroll, "", tpmKey), luks(root, 2, tpmToken), ""},
	} {
		if got := noteKeys(c.def.Encryption, c.root.Content); got != c.want {
			t.Errorf("%s:\n%s\nwant: %s", name, got, c.want)
		}
	}
	half := pending(luks(root, 1, tpmToken), "reencrypt", "checksum", disk.ReencryptClean)
	if got := noteKeys(volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey).Encryption, half.Content); got != "" {
		t.Errorf("the old keys go with the end of a conversion: %s", got)
	}
}

// TestSpare: a keyslot without a token is a file key's, each for one; where the header
// says that the key is yet to come, none is.
func TestSpare(t *testing.T) {
	root := there("root", 2048, 204800)
	second := definitions.Key{Type: definitions.KeyFile, Path: "/run/second.key"}
	awaits := luks(root, 1, disk.Token{Type: disk.TokenAwaits, Awaits: []string{AwaitName(fileKey)}})
	awaits.Content.LUKS.Tokens[0].Keyslots = nil
	awaitsMarked := luks(root, 0, fileToken)
	awaitsMarked.Content.LUKS.Tokens = append(awaitsMarked.Content.LUKS.Tokens, awaits.Content.LUKS.Tokens[0])
	for name, c := range map[string]struct {
		root disk.Partition
		keys []definitions.Key
		want []definitions.Key
	}{
		"one for one":            {luks(root, 1), []definitions.Key{fileKey}, nil},
		"one for two":            {luks(root, 1), []definitions.Key{fileKey, second}, []definitions.Key{second}},
		"none":                   {luks(root, 0, tpmToken), []definitions.Key{fileKey}, []definitions.Key{fileKey}},
		"yet to come":            {awaits, []definitions.Key{fileKey}, []definitions.Key{fileKey}},
		"another file's is here": {awaitsMarked, []definitions.Key{fileKey}, []definitions.Key{fileKey}},
	} {
		e := volumeAs(definitions.ExistingEnroll, "", c.keys...).Encryption
		if diff := cmp.Diff(c.want, lacking(e, c.root.Content.LUKS)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// TestBoundAs: a token is a key's only where everything agrees that both say.
func TestBoundAs(t *testing.T) {
	card := definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=t", KeySHA256: "aa"}
	nameless := card
	nameless.KeySHA256 = ""
	module := definitions.Key{Type: definitions.KeyCommand, Program: "/usr/lib/hsm"}
	on := func(typ, uri, sum, program string) disk.Token {
		return disk.Token{Type: typ, URI: uri, KeySHA256: sum, Module: program}
	}
	for name, c := range map[string]struct {
		token disk.Token
		key   definitions.Key
		want  bool
	}{
		"the same key":                 {on(disk.TokenPKCS11, card.URI, "aa", ""), card, true},
		"another key":                  {on(disk.TokenPKCS11, card.URI, "bb", ""), card, false},
		"a token that does not say":    {on(disk.TokenPKCS11, card.URI, "", ""), card, true},
		"a definition that does not":   {on(disk.TokenPKCS11, card.URI, "aa", ""), nameless, true},
		"another URI":                  {on(disk.TokenPKCS11, "pkcs11:token=u", "aa", ""), card, false},
		"a token of another kind":      {on(disk.TokenFile, card.URI, "aa", ""), card, false},
		"its module":                   {on(disk.TokenCommand, "", "", "hsm"), module, true},
		"another module":               {on(disk.TokenCommand, "", "", "kms"), module, false},
		"a module's name on a TPM key": {on(disk.TokenTPM2, "", "", "hsm"), module, false},
	} {
		if got := boundAs(c.token, c.key); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	tpm := definitions.Key{Type: definitions.KeyTPM2, PCRs: []int{7}, Bank: "sha256", PCRValues: map[int]string{7: "aa"}}
	auto := definitions.Key{Type: definitions.KeyTPM2, PCRLock: definitions.AutoPath}
	named := definitions.Key{Type: definitions.KeyTPM2, PCRLock: "/p.json"}
	for name, c := range map[string]struct {
		token disk.Token
		key   definitions.Key
		want  bool
	}{
		"its values":               {disk.Token{Type: disk.TokenTPM2, PCRs: []int{7}, Bank: "sha256", PCRValues: map[int]string{7: "aa"}}, tpm, true},
		"other values":             {disk.Token{Type: disk.TokenTPM2, PCRs: []int{7}, Bank: "sha256", PCRValues: map[int]string{7: "bb"}}, tpm, false},
		"values that are not said": {disk.Token{Type: disk.TokenTPM2, PCRs: []int{7}, Bank: "sha256"}, tpm, true},
		"another bank":             {disk.Token{Type: disk.TokenTPM2, PCRs: []int{7}, Bank: "sha1"}, tpm, false},
		"a policy where there is":  {disk.Token{Type: disk.TokenTPM2, PCRLock: true}, auto, true},
		"none where there is none": {disk.Token{Type: disk.TokenTPM2}, auto, true},
		"no policy":                {disk.Token{Type: disk.TokenTPM2}, named, false},
		"not of a TPM":             {disk.Token{Type: disk.TokenFile}, auto, false},
	} {
		if got := boundAs(c.token, c.key); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	l := luks(there("root", 2048, 204800), 0, tpmToken).Content.LUKS
	l.Tokens[0].Keyslots = []int{0, 7}
	if got := bindKeys([]definitions.Key{tpmKey}, l); len(got.missing) != 1 || len(got.slots) != 0 {
		t.Errorf("a token one of whose keyslots is gone: %+v", got)
	}
}
