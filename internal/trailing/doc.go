// Package trailing looks at what lies behind a file system, up to the end of its partition:
// an overlay, a hash tree, metadata of an array, or only what an earlier file system left.
// A conversion takes that space, so it must know.
package trailing
