package planner

import (
	"math"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// unlimited is a size without an upper bound. No disk reaches it, so sums
// saturate there (see plus).
const unlimited disk.Bytes = math.MaxInt64

// layout is the plan in the making: what is there, what is wanted, and, filled in
// step by step, where everything goes.
type layout struct {
	snap        disk.Snapshot // without what is distrusted
	fingerprint string        // of the whole
	opts        Options
	facts       host.Facts
	grain       disk.Bytes // what offsets and sizes of new partitions are multiples of
	newTable    bool
	table       disk.Table  // as it will be
	usable      disk.Extent // of table, narrowed to multiples of grain
	// parts holds one part a definition, in their order, then the partitions that
	// no definition matches, by number. UUIDs and labels depend on this order.
	parts   []*part
	deleted []deletion // by factory reset, or with the old table
	areas   []*area
	notes   []plan.Note
}

// part is one partition while it is decided on.
type part struct {
	def  *definitions.Definition // nil: no definition matches it
	old  *disk.Partition         // nil: a new one
	gap  *area                   // free space behind old, nil for none
	rank int                     // place in layout.parts
	// dropped is set where space is short and the priority allows it. A new
	// partition is then not made, and one that is there is treated as foreign.
	dropped bool
	// target is what a supplement may be merged into; merged tells that it is.
	target *part
	merged bool
	// work is what is to be done with the content of one that is there; refusal says
	// why it cannot be done.
	work    work
	refusal error
	// places lists where the header of a conversion can go, the first being the one
	// wanted most; choice is the index of the one that is taken.
	places []place
	choice int
	former int // number of the partition that the factory reset deletes, or 0

	content disk.Bytes // what a new one's content takes
	tree    disk.Bytes // what the hash tree in a new one takes
	needs   needs

	extent  disk.Extent // as it will be
	padding disk.Bytes  // free space wanted behind it
	number  int
	name    string
	attrs   uint64
	// uuid is the partition's UUID, from which those inside it are derived. Where
	// rootUUID is set, the entry gets another one, from the root hash.
	uuid     uuid.UUID
	rootUUID bool
}

// deletion is a partition that goes, and why.
type deletion struct {
	disk.Partition
	def *definitions.Definition // nil: it goes with the old table
}

// foreign reports whether p is there and must not be touched.
func (p *part) foreign() bool { return p.old != nil && (p.def == nil || p.dropped) }

// base is what of the disk belongs to an existing partition before it grows: with
// the free space in front of it that its LUKS2 header takes.
func (p *part) base() disk.Extent {
	front := p.place().front
	return disk.Extent{Offset: p.old.Offset - front, Size: p.old.Size + front}
}

// absent reports whether p has no place on the disk.
func (p *part) absent() bool { return p.old == nil && (p.dropped || p.merged) }

// created reports whether p is a new partition of the plan.
func (p *part) created() bool { return p.old == nil && !p.dropped && !p.merged }

// note records something that the reader of the plan should know about p.
func (l *layout) note(p *part, text string) {
	l.notes = append(l.notes, plan.Note{Definition: p.def.Name, Text: text})
}

// plus adds sizes, and saturates at unlimited.
func plus(a, b disk.Bytes) disk.Bytes {
	if a > unlimited-b {
		return unlimited
	}
	return a + b
}
