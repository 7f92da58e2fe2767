package definitions

import (
	"errors"
	"maps"
	"strings"
)

// Options says where definitions are read and what their words stand for.
type Options struct {
	Sources      []Source // highest priority first; those that do not exist are skipped
	Architecture string   // systemd's name, "x86-64": what the types "root" and "usr" mean
	Specifiers   Specifiers
}

// loaded is a definition with the settings it came from, for errors to point at.
type loaded struct {
	Definition
	set settings
}

// Load reads the definitions of all sources, in the order of their file names. It
// fails with every error of every file joined, each an *Error; there are then no
// definitions. Checks between definitions run when each is right on its own.
func Load(o Options) ([]Definition, error) {
	files, errs := findFiles(o.Sources, ".")
	var all []loaded
	for _, f := range files {
		l, wrong := loadOne(o, f)
		all, errs = append(all, l), append(errs, wrong...)
	}
	if len(errs) == 0 {
		errs = checkSet(all)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var definitions []Definition
	for _, l := range all {
		definitions = append(definitions, l.Definition)
	}
	return definitions, nil
}

// loadOne reads one definition with its drop-ins, which may lie in any source.
func loadOne(o Options, f found) (loaded, []error) {
	set, errs := readSettings(f)
	dropIns, wrong := findFiles(o.Sources, f.name+".d")
	errs = append(errs, wrong...)
	l := loaded{set: set}
	l.Name, l.File = strings.TrimSuffix(f.name, ".toml"), f.path()
	for _, d := range dropIns {
		over, wrong := readSettings(d)
		errs = append(errs, wrong...)
		l.DropIns = append(l.DropIns, d.path())
		maps.Copy(l.set, over)
	}
	if len(errs) > 0 {
		return l, errs
	}
	b := builder{Options: o, loaded: &l}
	b.build()
	return l, b.errors
}

// readSettings reads the settings of one file. They are never nil.
func readSettings(f found) (settings, []error) {
	text, err := readFile(f)
	if err != nil {
		return settings{}, []error{err}
	}
	d, wrong := parse(f.path(), text)
	if wrong != nil {
		return settings{}, []error{wrong}
	}
	return read(d)
}
