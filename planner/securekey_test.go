package planner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// securely gives a definition a secure key.
func securely(d definitions.Definition) definitions.Definition {
	d.Encryption.SecureKey = &definitions.SecureKey{KeyType: "CCA-AESCIPHER"}
	d.Encryption.Cipher = definitions.CipherSecure
	return d
}

// TestSecureKeyCreate: a new partition can have one, where zkey is there to make it.
func TestSecureKeyCreate(t *testing.T) {
	defs := named(securely(want("home", encrypted, sizes(64*disk.MiB, 64*disk.MiB))))
	p, err := Make(defs, gpt(disk.GiB), host.Facts{}, options(EmptyRefuse))
	if err != nil {
		t.Fatal(err)
	}
	e := p.Actions[0].(plan.Create).Encryption
	if e.SecureKey == nil || e.KeyBits != 2176 || e.Cipher != "paes-xts-plain64" || e.SectorSize != 4096 {
		t.Errorf("planned %+v", e)
	}
	e.SecureKey = nil
	if err := plan.Check(p, gpt(disk.GiB)); err == nil || !strings.Contains(err.Error(), "has a volume key that the cipher") {
		t.Errorf("a secure cipher without a secure key passes: %v", err)
	}
	_, err = Make(defs, gpt(disk.GiB), host.Facts{Tools: map[string]string{"mkfs.ext4": "/sbin/mkfs.ext4"}}, options(EmptyRefuse))
	var refusal *Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "its volume key takes zkey") || !strings.Contains(refusal.Remedy, "s390-tools") {
		t.Errorf("without zkey: %v", err)
	}
	if !slices.Contains(Programs(defs), "zkey") {
		t.Error("an initramfs would not get zkey")
	}
}

// TestSecureKeyRefusals: nothing is converted to, from or under a secure key, and the reason
// is told; a volume that has what the definition says stays as it is.
func TestSecureKeyRefusals(t *testing.T) {
	plain := ext4(there("root", 2048, 204800))
	clear := luks(plain, 1)
	secure := luks(plain, 1)
	secure.Content.LUKS.Cipher = "paes-xts-plain64"
	rekey := volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)
	convert := convertAs("shrink")
	converted := convertAs("shrink")
	for reason, c := range map[string]struct {
		def  definitions.Definition
		root disk.Partition
	}{
		"it is plain and would be encrypted under a secure key":        {securely(convert), plain},
		"its volume is under a secure key":                             {rekey, secure},
		"its volume would come under a secure key":                     {securely(volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)), clear},
		"a conversion was begun, and its volume is under a secure key": {converted, pending(secure, "encrypt", "datashift", disk.ReencryptClean)},
	} {
		_, err := Make(named(c.def), gpt(disk.GiB, c.root), host.Facts{}, options(EmptyRefuse))
		var refusal *Refusal
		if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Reason, reason+", which only the kernel can use") || !strings.Contains(refusal.Remedy, "zkey-cryptsetup convert") {
			t.Errorf("%s: %v", reason, err)
		}
	}
	p, err := Make(named(securely(convertAs("shrink"))), gpt(disk.GiB, clear), host.Facts{}, options(EmptyRefuse))
	if err != nil || !p.Empty() || len(p.Notes) == 0 || !strings.Contains(p.Notes[0].Text, "its volume key is no secure key") {
		t.Errorf("a volume under a clear key: %+v, %v", p, err)
	}
}
