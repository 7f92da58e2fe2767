// Package definitions reads partition definitions: TOML files, found by name in
// several directories, each describing one partition.
//
// Load goes one road. It finds the files: a file in a higher directory replaces the
// one of its name in a lower one, an empty file or a link to /dev/null masks it
// (find.go). It parses each into values and the places where they stand (parse.go,
// locate.go) and reads those into settings by the list of known keys (keys.go,
// settings.go, convert.go). Drop-ins, from NAME.toml.d of every directory, override
// the settings of NAME.toml key by key; arrays are replaced whole. What is left
// becomes the fields of a Definition (build*.go), which must not contradict
// themselves (check.go) or each other (check_set.go).
//
// It is strict: what it does not know or cannot do it refuses with the file, the
// line, the column, a mark under the word, and the nearest word that it knows. A key
// whose work is not built yet is refused by name, never ignored. It reads through
// fs.FS, touches nothing else, and takes any bytes for a file: limits on length,
// depth and number keep a hostile one from taking more than a moment (locate.go).
package definitions
