package main

import (
	"fmt"
	"path"
	"slices"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// checkSources refuses a plan that copies files which are not there: it would be found out
// only when some of the disk is written. The one at made comes about before anything is
// copied.
func checkSources(root, made string, p *plan.Plan) error {
	for _, action := range p.Actions {
		a, ok := action.(plan.Create)
		if !ok || a.Filesystem == nil {
			continue
		}
		a = withoutMade(a, made)
		for _, c := range a.Filesystem.CopyFiles {
			if _, err := resolve.Sources(root).Stat(c.Source); err != nil {
				return &planner.Refusal{
					Definition: fileOfRow(p, a.Number), Partition: a.Number, Reason: fmt.Sprintf("copy_files: %v", err),
					Remedy: "put there what is to be copied, or say with --root in which tree it is",
				}
			}
		}
		if err := executor.CheckFiles(root, a); err != nil {
			return &planner.Refusal{
				Definition: fileOfRow(p, a.Number), Partition: a.Number, Reason: fmt.Sprintf("copy_files: %v", err),
				Remedy: "give files other names, or the partition a file system that can hold them, such as format = \"ext4\"",
			}
		}
	}
	return nil
}

// withoutMade leaves the file at made out of what is copied.
func withoutMade(a plan.Create, made string) plan.Create {
	fs := *a.Filesystem
	fs.CopyFiles = slices.DeleteFunc(slices.Clone(fs.CopyFiles), func(c plan.CopyFile) bool {
		return made != "" && path.Clean(c.Source) == path.Clean(made)
	})
	a.Filesystem = &fs
	return a
}

// fileOfRow returns the definition of a partition.
func fileOfRow(p *plan.Plan, number int) string {
	row, _ := p.Row(number)
	return row.File
}
