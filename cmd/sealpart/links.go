package main

import (
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// checkKeyLinks refuses a plan that changes something where a definition names a key on
// a device by a link that several devices claim: a planted one would become a key of the
// volume, or be tried in the place of its own.
func checkKeyLinks(defs []definitions.Definition, plan *plan.Plan) error {
	if plan.Empty() {
		return nil
	}
	for _, d := range defs {
		for _, path := range keyPaths(d) {
			if err := host.CheckLink(path); err != nil {
				return fmt.Errorf("%s: a key: %w", d.File, err)
			}
		}
	}
	return nil
}

// keyPaths lists the paths that a definition's keys are read from.
func keyPaths(d definitions.Definition) (paths []string) {
	if d.Encryption == nil {
		return nil
	}
	for _, k := range d.Encryption.Keys {
		paths = append(paths, k.Path)
	}
	return append(paths, strings.TrimPrefix(d.Encryption.ExistingKey, "file:"))
}
