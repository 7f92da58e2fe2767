package main

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// shown returns a plan as it is said: --key-file overrules the files that definitions name for
// their keys, and those are not read.
func (f *planFlags) shown(p *plan.Plan) *plan.Plan {
	if f.keys == nil || f.keys.keyFile == "" {
		return p
	}
	said := *p
	said.Actions = slices.Clone(p.Actions)
	for i, action := range said.Actions {
		switch a := action.(type) {
		case plan.Create:
			if a.Encryption != nil {
				e := *a.Encryption
				e.Keys = f.keys.named(e.Keys)
				a.Encryption = &e
			}
			said.Actions[i] = a
		case plan.Reencrypt:
			a.Encryption.Keys = f.keys.named(a.Encryption.Keys)
			said.Actions[i] = a
		case plan.Enroll:
			a.Keys = f.keys.named(a.Keys)
			said.Actions[i] = a
		}
	}
	return &said
}

// named returns keys with the file that they are read from.
func (f *keyFlags) named(keys []definitions.Key) []definitions.Key {
	keys = slices.Clone(keys)
	for i := range keys {
		if keys[i].Type == definitions.KeyFile {
			keys[i].Path = f.keyFile
		}
	}
	return keys
}
