// Package planner compares definitions with a disk and says what to do: pure
// functions from values to a plan.Plan. It opens nothing, asks nothing and draws no
// random number; everything it needs is in its arguments.
//
// Make goes one road, a file a step. The partitions that are there are matched
// with definitions by type (match.go); what is free between them becomes areas
// (areas.go); what is to be done with the content of those that are there is decided
// (work.go, keys.go) and where a header has its room (room.go); every definition says
// what it needs (needs.go); new partitions go to the smallest area that can hold
// them, and what does not fit is given up by priority (fit.go, supplement.go); each
// area is divided by weights (distribute.go) and filled from its start (place.go).
// Then come numbers, UUIDs, names and attributes (number.go, uuid.go, label.go,
// flags.go), and last the rows and actions that are the plan. Of a disk with an MBR
// all that is left out but the content of its partitions (mbr.go).
//
// The layout is that of systemd-repart in its newest form, so that definitions can
// be moved over, with three differences, each for the sake of a second run that
// finds nothing to do: see number.go, place.go (foresee) and match.go
// (checkMatches).
//
// The plan itself, its actions and the laws that it must keep are package plan.
package planner
