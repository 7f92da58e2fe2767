package planner

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// builders makes the actions, in the order in which apply does them. Each is
// asked about every partition, in disk order, and returns nil where it has
// nothing to do.
var builders = []func(*layout, *part) (plan.Action, error){
	planCreate,
	planVerity,
	planGrow,
	planEnroll,
	planConversion,
}

// Make compares the definitions, in the order of their names, with the disk and
// returns what is to be done. The same arguments always give the same plan. Of facts
// count what conditions ask for, and Tools: nil says that the machine's programs are
// unknown.
//
// Where the snapshot is FreeUnread all free space counts as free. If the plan then takes some
// of it, or fails, free space is to be read and the plan made again (TakesFree).
//
// It fails with ErrLabelRefused where o.Empty does not allow the partition table,
// with a *NoSpaceError where the partitions do not fit, with a *TableError where the
// table that is there could not be written, or is that of an array, with a *HibernatedError where a system is
// hibernated on the disk and there is something to do, and otherwise where the
// definitions or the snapshot contradict themselves.
func Make(defs []definitions.Definition, snap disk.Snapshot, facts host.Facts, o Options) (*plan.Plan, error) {
	l := &layout{snap: trusted(snap, o.Distrusted), fingerprint: snap.Fingerprint(), opts: o, facts: facts, grain: grainOf(o, snap.SectorSize)}
	if err := l.decide(defs); err != nil {
		return nil, err
	}
	return l.plan()
}

// grainOf returns what new partitions are aligned to.
func grainOf(o Options, sector disk.Bytes) disk.Bytes {
	return max(plan.MinGrain, o.GrainSize, sector)
}

// decide lays the disk out.
func (l *layout) decide(defs []definitions.Definition) error {
	if err := l.prepare(defs); err != nil {
		return err
	}
	if l.table.Kind == disk.MBR {
		return l.keepAll()
	}
	if err := inTurn(l.arrange, l.number, l.assignUUIDs, l.assignNames); err != nil {
		return err
	}
	l.assignFlags()
	l.markRootUUIDs()
	return l.checkMatches()
}

// prepare finds out what is there, what is wanted, and what that takes.
func (l *layout) prepare(defs []definitions.Definition) error {
	var active []definitions.Definition
	return inTurn(
		l.validate,
		func() error { return l.chooseTable(defs) },
		func() (err error) { active, err = l.setAside(defs); return err },
		func() error { return l.match(active) },
		l.linkSupplements, l.checkVerity, l.measureContents,
	)
}

// inTurn runs steps until one fails.
func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// arrange finds places and sizes. Hash partitions depend on how large their data
// partitions turn out, so it goes on until they are large enough: data partitions
// get no larger by that, except where a partition is dropped for it.
func (l *layout) arrange() error {
	l.findAreas()
	l.findPlaces()
	for {
		if err := l.fit(); err != nil {
			return err
		}
		l.distribute()
		l.place()
		l.foresee()
		raised, err := l.raiseTrees()
		if err != nil || !raised {
			return err
		}
	}
}

// plan writes down what was decided.
func (l *layout) plan() (*plan.Plan, error) {
	p := &plan.Plan{
		Version: plan.Version,
		Target: plan.Target{
			Path: l.snap.Path, Size: l.diskSize(), SectorSize: l.snap.SectorSize, Fingerprint: l.fingerprint,
			FreeUnread: l.snap.FreeUnread,
		},
		Seed: l.opts.Seed, NewTable: l.newTable, Table: l.table, Rows: l.rows(), Occupied: l.snap.Occupied,
	}
	if l.opts.Leftovers == plan.LeftoversDiscard {
		p.Leftovers = plan.LeftoversDiscard
	}
	if err := inTurn(func() error { return l.act(p) }, func() error { return l.settleKeys(p) }, func() error { return l.placeBackups(p) }, func() error { return l.split(p) }); err != nil {
		return nil, err
	}
	if err := inTurn(func() error { return l.checkMember(p) }, func() error { return l.checkWritable(p) }, func() error { return CheckHibernated(p, hibernatedIn(l.snap)) }); err != nil {
		return nil, err
	}
	if err := inTurn(func() error { return l.checkNamed(p) }, func() error { return l.checkMetadata(p) }); err != nil {
		return nil, err
	}
	l.noteOversize()
	l.noteUnfinished(p)
	p.Marks = l.marks()
	p.Notes = l.notes
	if p.Empty() {
		p.Table = l.snap.Table // nothing needs a larger usable range
	}
	return p, nil
}

// act adds the actions of all builders to the plan.
func (l *layout) act(p *plan.Plan) error {
	byNumber := l.byNumber()
	for _, build := range builders {
		for _, r := range p.Rows {
			if r.Activity == plan.ActivityDelete {
				continue
			}
			action, err := build(l, byNumber[r.Number])
			if err != nil {
				return err
			}
			if action != nil {
				p.Actions = append(p.Actions, action)
			}
		}
	}
	return nil
}

// byNumber maps the partitions by their numbers.
func (l *layout) byNumber() map[int]*part {
	parts := make(map[int]*part, len(l.parts))
	for _, p := range l.parts {
		parts[p.number] = p
	}
	return parts
}
