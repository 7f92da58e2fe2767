package planner

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// Policies are the files that "auto" stands for in tpm2 keys, "" for one that is not there.
type Policies struct {
	PublicKey string // signs PCR policies
	PCRLock   string // of systemd-pcrlock
	// Unusable says, for keys of definitions, why a file that they name cannot be used. Keys
	// that are none of them are not looked at.
	Unusable []Unusable
}

// Unusable says why a key cannot be bound to what a setting of it names.
type Unusable struct {
	Key     definitions.Key // with the path that "auto" stands for
	Setting string          // "public_key", "pcrlock" or "device_key"
	Reason  string
}

// settingRefusal is a refusal of what a setting of a key says.
type settingRefusal struct {
	*KeyRefusal
	key     int // index
	setting string
}

func (r *settingRefusal) Unwrap() error { return r.KeyRefusal }

// settleKeys decides, of the keys that a plan makes, what their definitions leave open, so
// that the plan says what they are bound to and in which form. A conversion that was begun
// has its keys.
func (l *layout) settleKeys(p *plan.Plan) error {
	parts := l.byNumber()
	for i, action := range p.Actions {
		if r, ok := action.(plan.Reencrypt); ok && r.Resume {
			continue
		}
		changed, err := plan.WithKeys(action, func(keys []definitions.Key) ([]definitions.Key, error) {
			return l.settled(parts[action.Partition()], keys)
		})
		if err != nil {
			return err
		}
		p.Actions[i] = changed
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
	var refusal *settingRefusal
	if errors.As(err, &refusal) {
		at := placeOf(p.def, keys[refusal.key], refusal.setting)
		return nil, &Refusal{Definition: at, Partition: p.number, Reason: refusal.Reason, Remedy: refusal.Remedy}
	}
	return done, err
}

// placeOf says where a setting of a key stands in a definition.
func placeOf(d *definitions.Definition, k definitions.Key, setting string) string {
	e := d.Encryption
	i := slices.IndexFunc(e.Keys, func(other definitions.Key) bool { return reflect.DeepEqual(k, other) })
	if i < 0 || i >= len(e.Places) || e.Places[i][setting] == "" {
		return d.File
	}
	return e.Places[i][setting]
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
			note, refusal := settlePolicies(k, name, *policies)
			if refusal != nil {
				refusal.key = i
				return nil, nil, refusal
			}
			notes = append(notes, note...)
		}
		notes = append(notes, settleForm(k, name, opener, root)...)
	}
	return settled, notes, nil
}

// settlePolicies puts paths in the place of "auto", and refuses files that cannot be used: what
// the plan says that a key is bound to, apply binds it to.
func settlePolicies(k *definitions.Key, name string, files Policies) (notes []string, err *settingRefusal) {
	if k.PublicKey == definitions.AutoPath {
		if k.PublicKey = files.PublicKey; k.PublicKey == "" {
			return nil, refuseSetting("public_key", name+` has public_key = "auto", and no key that signs PCR policies is here`,
				"put tpm2-pcr-public-key.pem where systemd has it (/etc/systemd), or name its path")
		}
	}
	if k.PCRLock == definitions.AutoPath {
		if k.PCRLock = files.PCRLock; k.PCRLock == "" {
			if !k.Conditional() && !k.AllowsBlank() {
				return nil, refuseSetting("pcrlock", name+" would bind to nothing: there is no policy of systemd-pcrlock here",
					`"systemd-pcrlock make-policy" makes one; or name "pcrs", "public_key" or "pin", or say blank = "allow"`)
			}
			notes = append(notes, name+" is not bound to a policy of systemd-pcrlock: there is none here")
		}
	}
	for _, u := range files.Unusable {
		if reflect.DeepEqual(u.Key, *k) {
			return nil, refuseSetting(u.Setting, fmt.Sprintf("%s: %q: %s", name, u.Setting, u.Reason), "nothing could be bound to it: name a file that is there, or leave it out")
		}
	}
	return notes, nil
}

func refuseSetting(setting, reason, remedy string) *settingRefusal {
	return &settingRefusal{KeyRefusal: &KeyRefusal{reason, remedy}, setting: setting}
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
