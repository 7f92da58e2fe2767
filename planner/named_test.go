package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestNamedKeys: in a boot a token's key is enrolled only where its definition says which.
func TestNamedKeys(t *testing.T) {
	card := definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=t"}
	named, made := card, card
	named.KeySHA256, made.Provision = strings.Repeat("ab", 32), true
	encrypt := func(k definitions.Key, unavailable string) plan.Encryption {
		return plan.Encryption{Keys: []definitions.Key{{Type: definitions.KeyFile}, k}, Unavailable: unavailable}
	}
	for name, c := range map[string]struct {
		action  plan.Action
		boot    bool
		refused bool
	}{
		"create":          {plan.Create{Number: 1, Encryption: new(encrypt(card, ""))}, true, true},
		"create, named":   {plan.Create{Number: 1, Encryption: new(encrypt(named, ""))}, true, false},
		"create, made":    {plan.Create{Number: 1, Encryption: new(encrypt(made, ""))}, true, false},
		"create, by hand": {plan.Create{Number: 1, Encryption: new(encrypt(card, ""))}, false, false},
		"create, plain":   {plan.Create{Number: 1}, true, false},
		"convert":         {plan.Reencrypt{Number: 1, Encryption: encrypt(card, "")}, true, true},
		"convert, left":   {plan.Reencrypt{Number: 1, Encryption: encrypt(card, definitions.UnavailableLeave)}, true, false},
		"resume":          {plan.Reencrypt{Number: 1, Encryption: encrypt(card, ""), Resume: true}, true, false},
		"enroll":          {plan.Enroll{Number: 1, Keys: []definitions.Key{card}}, true, true},
		"enroll, left":    {plan.Enroll{Number: 1, Keys: []definitions.Key{card}, Unavailable: definitions.UnavailableLeave}, true, false},
		"verity":          {plan.Verity{}, true, false},
	} {
		l := &layout{opts: Options{Boot: c.boot}, parts: []*part{{number: 1, def: &definitions.Definition{File: "10-root.toml"}}}}
		err := l.checkNamed(&plan.Plan{Actions: []plan.Action{c.action}})
		var refusal *Refusal
		if c.refused != errors.As(err, &refusal) || c.refused && (!strings.HasPrefix(err.Error(), "10-root.toml: partition 1: the key pkcs11:token=t would be enrolled in a boot") || refusal.Remedy == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if o := (Options{Boot: true}); !o.absent(card) || o.absent(named) || o.absent(made) {
		t.Error("a late key")
	}
	if names := []string{AwaitName(card)}; !NamesKey(names, named) || NamesKey([]string{AwaitName(named)}, card) {
		t.Error("names")
	}
}
