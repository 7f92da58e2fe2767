package definitions

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// setting is one key that a file sets: its value, of the Go type that its kind
// stands for, and where it stands.
type setting struct {
	path  string // "partition.size_min"
	value any
	name  place   // of the key
	at    place   // of the value
	items []place // of the value's elements, where it has any
}

// settings holds the keys of a definition by path, and its tables.
type settings map[string]setting

// maxErrors is how many errors of one file are told.
const maxErrors = 20

// reader turns one document into settings, and collects what is wrong with it.
type reader struct {
	*document
	found  settings
	errors []error
}

// read returns the settings of a document. Every key is checked, also those that a
// drop-in will override.
func read(d *document) (settings, []error) {
	r := &reader{document: d, found: settings{}}
	for _, name := range r.inOrder("", d.values) {
		if len(r.errors) > maxErrors {
			break
		}
		path, value := join("", name), d.values[name]
		if table, ok := value.(map[string]any); ok && slices.Contains(tables, name) {
			// An empty [encryption] says something too, so the table itself is noted.
			r.found[path] = setting{path: path, name: r.keyPlace(path), at: r.place(path)}
			r.table(path, table, r.found)
			continue
		}
		r.fail(r.strayKey(path, name, value))
	}
	return r.found, r.errors
}

// fail notes an error. Beyond maxErrors it says so, and reading ends.
func (r *reader) fail(e *Error) {
	if len(r.errors) == maxErrors {
		e = &Error{File: r.file.path, Message: "more errors follow"}
	}
	r.errors = append(r.errors, e)
}

// inOrder lists the keys of a table as they stand in the file.
func (r *reader) inOrder(table string, values map[string]any) []string {
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		if d := r.keyPlace(join(table, a)).start - r.keyPlace(join(table, b)).start; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// strayKey is the error for what stands outside the known tables.
func (r *reader) strayKey(path, name string, value any) *Error {
	at := r.keyPlace(path)
	switch _, isTable := value.(map[string]any); {
	case slices.Contains(tables, name):
		return at.errorf(path, "[%s] must be a table, not %s", name, describe(value))
	case isTable || describe(value) == "an array of tables":
		return at.errorf(path, "unknown table [%s]", path).hint("%s", didYouMean(name, tables))
	}
	e := at.errorf(path, "%q stands outside any table", name)
	if in := tablesWith(name); len(in) > 0 {
		return e.hint("put it below [%s]", strings.Join(in, "] or ["))
	}
	return e
}

// table reads the keys of one table into found.
func (r *reader) table(table string, values map[string]any, found settings) {
	for _, name := range r.inOrder(table, values) {
		if len(r.errors) > maxErrors {
			return
		}
		path := join(table, name)
		k, ok := findKey(trimIndex(table), name)
		switch {
		case !ok:
			r.fail(r.unknownKey(path, table, name))
		case k.built == later:
			r.fail(r.keyPlace(path).errorf(path, "%q in [%s] is not built yet", name, k.table))
		case k.kind == kindTable:
			r.subTable(path, values[name], found)
		default:
			r.value(path, k, values[name], found)
		}
	}
}

// trimIndex turns "encryption.key[2]" into "encryption.key".
func trimIndex(path string) string {
	path, _, _ = strings.Cut(path, "[")
	return path
}

// unknownKey is the error for a key that its table does not know.
func (r *reader) unknownKey(path, table, name string) *Error {
	table = trimIndex(table)
	e := r.keyPlace(path).errorf(path, "unknown key %q in [%s]", name, table)
	if h := didYouMean(name, keyNames(table)); h != "" {
		return e.hint("%s", h)
	}
	if in := tablesWith(name); len(in) > 0 {
		return e.hint("it belongs in [%s]", strings.Join(in, "] or ["))
	}
	return e
}

// subTable reads a table inside a table; its keys override one by one.
func (r *reader) subTable(path string, value any, found settings) {
	table, ok := value.(map[string]any)
	if !ok {
		r.fail(r.place(path).errorf(path, "%q %v", lastPart(path), wrongType(kindTable, value)))
		return
	}
	r.table(path, table, found)
}

// value reads one key of a kind that is no table of its own.
func (r *reader) value(path string, k known, value any, found settings) {
	s := setting{path: path, name: r.keyPlace(path), at: r.place(path)}
	for i := range length(value) {
		s.items = append(s.items, r.place(element(path, i)))
	}
	var wrong error
	if k.kind == kindTables {
		s.value, wrong = r.elements(path, value)
	} else {
		s.value, wrong = convert(k.kind, value)
	}
	if wrong != nil {
		r.fail(r.wrongValue(s, k, wrong))
		return
	}
	found[path] = s
}

// wrongValue is the error for a value that is not of the kind of its key.
func (r *reader) wrongValue(s setting, k known, wrong error) *Error {
	var of itemError
	if errors.As(wrong, &of) && of.index < len(s.items) {
		s.at = s.items[of.index]
	}
	e := s.at.errorf(s.path, "%q %v", k.name, wrong)
	if k.kind == kindTables {
		return e.hint("write [[%s]]", s.path)
	}
	return e
}

// elements reads an array of tables, written as [[…]] or as [{…}].
func (r *reader) elements(path string, value any) ([]settings, error) {
	var all []settings
	for i := range length(value) {
		table, ok := item(value, i).(map[string]any)
		if !ok {
			return nil, wrongItem(i, "must be %s, not an array with %s in it", kindTables, describe(item(value, i)))
		}
		here := settings{}
		r.table(element(path, i), table, here)
		all = append(all, here)
	}
	if length(value) == 0 && describe(value) != "an array" {
		return nil, wrongType(kindTables, value)
	}
	return all, nil
}

// length and item let both forms of a decoded array look the same.
func length(value any) int {
	switch v := value.(type) {
	case []any:
		return len(v)
	case []map[string]any:
		return len(v)
	}
	return 0
}

func item(value any, i int) any {
	if v, ok := value.([]map[string]any); ok {
		return v[i]
	}
	return value.([]any)[i]
}
