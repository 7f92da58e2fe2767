// Package disk holds the values that describe a disk: its partition table, what
// lies in each partition, and the units in which places and sizes are counted.
//
// Nothing here does I/O. A Snapshot is what probe saw; the planner turns it,
// together with definitions and host facts, into a plan. A Snapshot survives a
// round trip through JSON, so a plan can be made for a disk that is elsewhere.
package disk
