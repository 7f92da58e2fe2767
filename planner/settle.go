package planner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
)

// Policies are the files that "auto" stands for in tpm2 keys, "" for one that is not there.
type Policies struct {
	PublicKey string // signs PCR policies
	PCRLock   string // of systemd-pcrlock
}

// settleKeys decides, of the keys that a plan makes, what their definitions leave open, so
// that the plan says what they are bound to and in which form. A conversion that was begun
// has its keys.
func (l *layout) settleKeys(p *Plan) error {
	parts := l.byNumber()
	for i, action := range p.Actions {
		of, err := parts[action.Partition()], error(nil)
		switch a := action.(type) {
		case Create:
			if a.Encryption == nil {
				continue
			}
			e := *a.Encryption
			e.Keys, err = l.settled(of, e.Keys)
			a.Encryption, p.Actions[i] = &e, a
			p.Actions[i] = a
		case Reencrypt:
			if a.Resume {
				continue
			}
			a.Encryption.Keys, err = l.settled(of, a.Encryption.Keys)
			p.Actions[i] = a
		case Enroll:
			a.Keys, err = l.settled(of, a.Keys)
			p.Actions[i] = a
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settled returns the keys of a partition as they are made.
func (l *layout) settled(p *part, keys []definitions.Key) ([]definitions.Key, error) {
	kind := p.def.Partition.Type.Name
	root := strings.HasPrefix(kind, "root") || strings.HasPrefix(kind, "usr")
	done, notes, err := SettleKeys(keys, l.opts.Policies, l.facts.Opener, root)
	for _, note := range notes {
		l.note(p, note)
	}
	var refusal *KeyRefusal
	if errors.As(err, &refusal) {
		return nil, &Refusal{Definition: p.def.File, Partition: p.number, Reason: refusal.Reason, Remedy: refusal.Remedy}
	}
	return done, err
}

// SettleKeys decides what keys leave open: the files that "auto" stands for, where policies
// says which are here, and the form of TPM keys, by what opens the volume later. root says
// that it is the root file system's or /usr's. Notes are for people. A key that would bind
// to nothing is a *KeyRefusal.
func SettleKeys(keys []definitions.Key, policies *Policies, opener host.Opener, root bool) (settled []definitions.Key, notes []string, err error) {
	settled = slices.Clone(keys)
	for i := range settled {
		k := &settled[i]
		if k.Type != definitions.KeyTPM2 {
			continue
		}
		name := fmt.Sprintf("key %d (%s)", i+1, k.Type)
		if policies != nil {
			note, err := settlePolicies(k, name, *policies)
			if err != nil {
				return nil, nil, err
			}
			notes = append(notes, note...)
		}
		notes = append(notes, settleForm(k, name, opener, root)...)
	}
	return settled, notes, nil
}

// settlePolicies puts paths in the place of "auto".
func settlePolicies(k *definitions.Key, name string, files Policies) (notes []string, err error) {
	if k.PublicKey == definitions.AutoPath {
		if k.PublicKey = files.PublicKey; k.PublicKey == "" {
			return nil, &KeyRefusal{name + ` has public_key = "auto", and no key that signs PCR policies is here`,
				"put tpm2-pcr-public-key.pem where systemd has it (/etc/systemd), or name its path"}
		}
	}
	if k.PCRLock != definitions.AutoPath {
		return nil, nil
	}
	if k.PCRLock = files.PCRLock; k.PCRLock != "" {
		return nil, nil
	}
	if !k.Conditional() && !k.AllowsBlank() {
		return nil, &KeyRefusal{name + " would bind to nothing: there is no policy of systemd-pcrlock here",
			`"systemd-pcrlock make-policy" makes one; or name "pcrs", "public_key" or "pin", or say blank = "allow"`}
	}
	return []string{name + " is not bound to a policy of systemd-pcrlock: there is none here"}, nil
}

// settleForm decides on the form of a token, and says why.
func settleForm(k *definitions.Key, name string, opener host.Opener, root bool) (notes []string) {
	opens := opener.OpensNewest(k.PIN != "", root)
	who := "it is not known what opens it later"
	switch {
	case opener.Initramfs && !root:
	case opener.Name == host.OpenerSealpart:
		who = "sealpart opens it later"
	case opener.Name == host.OpenerSystemd && opener.Version > 0:
		who = fmt.Sprintf("systemd %d opens it later", opener.Version)
	}
	switch {
	case k.Format == "" && opens:
		k.Format = definitions.FormatNewest
		notes = append(notes, fmt.Sprintf("%s is sealed in the newest form: %s", name, who))
	case k.Format == "":
		k.Format = definitions.FormatWidest
		notes = append(notes, fmt.Sprintf("%s is sealed in the widest form: %s, and the newest takes systemd %d", name, who, host.NewestSince(k.PIN != "")))
	case k.Format == definitions.FormatNewest && !opens && opener.Version > 0 && k.DeviceKey == "":
		notes = append(notes, fmt.Sprintf("%s is sealed in the newest form, which takes systemd %d, and %s", name, host.NewestSince(k.PIN != ""), who))
	}
	if k.PIN != "" && k.Format == definitions.FormatWidest {
		notes = append(notes, name+" has "+WeakPIN)
	}
	return notes
}

// WeakPIN says what a PIN in the widest form is worth.
const WeakPIN = `a PIN in the widest form: who sits on the bus of the TPM can learn it, by trying, without the TPM; format = "newest" hardens it`
