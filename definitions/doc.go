// Package definitions reads partition definitions: TOML files, found by name in
// several directories, each describing one partition.
//
// Load finds the files (higher directories replace and mask lower ones), applies
// drop-ins key by key, and returns Definitions in the order of their file names.
// It is strict: what it does not know or cannot do, it refuses with the file, the
// line and the column. It reads through fs.FS and touches nothing else.
package definitions
