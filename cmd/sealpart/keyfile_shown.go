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
		said.Actions[i], _ = plan.WithKeys(action, f.keys.named) // which never fails
	}
	return &said
}

// named returns keys with the file that they are read from.
func (f *keyFlags) named(keys []definitions.Key) ([]definitions.Key, error) {
	keys = slices.Clone(keys)
	for i := range keys {
		if keys[i].Type == definitions.KeyFile {
			keys[i].Path = f.keyFile
		}
	}
	return keys, nil
}
