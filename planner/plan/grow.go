package plan

import (
	"github.com/sealpart/sealpart/disk"
)

// Grow moves the end of an existing partition up. It is done by the one write of
// the partition table, and touches no byte of the partition.
type Grow struct {
	Number int        `json:"number"`
	From   disk.Bytes `json:"from"` // sizes, with the room before it that a header takes
	To     disk.Bytes `json:"to"`
	Why    string     `json:"reason"`
}

// Kind returns "grow".
func (Grow) Kind() string { return "grow" }

// Partition returns the number of the partition that grows.
func (g Grow) Partition() int { return g.Number }

// Reason says why the partition grows.
func (g Grow) Reason() string { return g.Why }
