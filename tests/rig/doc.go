// Package rig is what the tests of the whole command share: the built program, disk
// images with real file systems, and the foreign tools that look at them.
//
// The tests themselves lie beside it. kill ends the program at random instants;
// interop lets cryptsetup finish what we began and the other way round; blklog cuts
// the power under the built program; kernel mounts our volumes in a real kernel.
package rig
