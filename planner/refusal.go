package planner

import "fmt"

// Refusal says why a definition cannot be made true on this disk. Nothing was
// written.
type Refusal struct {
	Definition string // file of the definition
	Partition  int    // number, 0 where none is concerned
	Reason     string
	Remedy     string // what to do next
}

// Error names the definition, the partition and the reason.
func (r *Refusal) Error() string {
	if r.Partition == 0 {
		return fmt.Sprintf("%s: %s", r.Definition, r.Reason)
	}
	return fmt.Sprintf("%s: partition %d: %s", r.Definition, r.Partition, r.Reason)
}

// Hint says what to do next.
func (r *Refusal) Hint() string { return r.Remedy }

// TableError says why the partition table of a disk cannot be written, so that nothing
// on it can be changed. Nothing was written.
type TableError struct {
	Path   string // of the disk
	Reason string
	Remedy string // what to do next
}

// Error names the disk and the reason.
func (e *TableError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Reason) }

// Hint says what to do next.
func (e *TableError) Hint() string { return e.Remedy }
