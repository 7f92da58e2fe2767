package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/doctor"
	"github.com/sealpart/sealpart/internal/key/file"
	"github.com/sealpart/sealpart/internal/key/module"
	"github.com/sealpart/sealpart/internal/key/pkcs11"
	"github.com/sealpart/sealpart/internal/key/recovery"
	"github.com/sealpart/sealpart/internal/key/securekey"
	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/planner"
)

// env lists the kinds of key this binary can use.
func (f *keyFlags) env(defs []definitions.Definition) executor.Env {
	pins, cards, files, recoveries := new(source.PINs), f.cards(defs), f.files(), new(recovery.Files)
	env := executor.Env{
		Sealers: []executor.Sealer{
			f.tpm(defs, pins), cards, files, recovery.Sealer{Terminal: "/dev/tty", Files: recoveries},
			module.Sealer{Known: keysOf(defs, definitions.KeyCommand), Dirs: module.Directories},
		},
		Random:    rand.Reader,
		SecureKey: securekey.Maker{Devices: securekey.Devices}.Make,
		KeySource: source.Read,
		TakeBack:  recoveries.TakeBack,
		Forget: func() {
			pins.Forget()
			cards.Forget()
			files.Input.Forget()
		},
	}
	if f.keyFile != "" {
		env.Keys = append(env.Keys, definitions.Key{Type: definitions.KeyFile, Path: f.keyFile})
	}
	for _, d := range defs {
		if d.Encryption == nil {
			continue
		}
		for _, k := range d.Encryption.Keys {
			if k.Type == definitions.KeyFile && k.Path != "" && (f.keyFile == "" || k.Offset+k.Size > 0) {
				env.Keys = append(env.Keys, k)
			}
		}
	}
	return env
}

// untyped returns the flags of who asks nobody for a PIN: keys that want one typed are as if
// nobody had it.
func (f *keyFlags) untyped() *keyFlags {
	silent := *f
	silent.silent = true
	return &silent
}

// cards opens the tokens of smart cards and the like.
func (f *keyFlags) cards(defs []definitions.Definition) *pkcs11.Sealer {
	known, from := keysOf(defs, definitions.KeyPKCS11), f.pin(definitions.KeyPKCS11)
	if f.silent && (from == "" || from == definitions.SourceAsk) {
		from, known = "", slices.DeleteFunc(known, isTyped) // a boot gives a token that is not known no PIN
	}
	sealer := pkcs11.NewSealer(known, from, source.Prompted)
	sealer.Unseen = f.unseen
	return sealer
}

// tpm opens tokens with the PIN, which pins keeps, of --pin, or the one that all definitions name. Where
// they name several, nobody knows which is a token's, and to try costs.
func (f *keyFlags) tpm(defs []definitions.Definition, pins *source.PINs) tpm2.Sealer {
	var sources []string
	for _, d := range defs {
		if d.Encryption == nil {
			continue
		}
		for _, k := range d.Encryption.Keys {
			if k.Type == definitions.KeyTPM2 && k.PIN != "" && !slices.Contains(sources, k.PIN) {
				sources = append(sources, k.PIN)
			}
		}
	}
	sealer := tpm2.Sealer{
		Device: f.tpm2, Search: f.policy, PIN: f.pin(definitions.KeyTPM2), SlotPINs: f.slotPINs(), ReadPIN: pins.Read,
		Refused: new(tpm2.Refusals), Warn: once(warn),
	}
	if sealer.PIN == "" && len(sources) == 1 {
		sealer.PIN = sources[0]
	}
	if f.silent && sealer.PIN == definitions.SourceAsk {
		sealer.PIN = ""
	}
	return sealer
}

// policies are the files of TPM policies that are here, and what is wrong with those that keys
// name.
func (f *keyFlags) policies(keys []definitions.Key) *planner.Policies {
	publicKey, pcrLock := f.policy.Files()
	files := &planner.Policies{PublicKey: publicKey, PCRLock: pcrLock}
	for _, k := range keys {
		if k.PublicKey == definitions.AutoPath {
			k.PublicKey = publicKey
		}
		if k.PCRLock == definitions.AutoPath {
			k.PCRLock = pcrLock
		}
		if setting, err := f.policy.Check(k); err != nil {
			files.Unusable = append(files.Unusable, planner.Unusable{Key: k, Setting: setting, Reason: err.Error()})
		}
	}
	return files
}

// keysOf returns the keys of definitions that are of one kind.
func keysOf(defs []definitions.Definition, kind string) (keys []definitions.Key) {
	for _, d := range defs {
		keys = append(keys, doctor.KeysOf(d, kind)...)
	}
	return keys
}

// files reads key files, and standard input where one is named "-".
func (f *keyFlags) files() file.Sealer {
	return file.Sealer{Default: f.keyFile, Input: file.NewInput(os.Stdin), Warn: once(warn)}
}

// warn says on the terminal what somebody should know.
func warn(text string) { fmt.Fprintf(os.Stderr, "sealpart: warning: %s\n", printable(text)) }

// once passes each text on once.
func once(say func(string)) func(string) {
	said := map[string]bool{}
	return func(text string) {
		if !said[text] {
			said[text] = true
			say(text)
		}
	}
}
