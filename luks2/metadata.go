package luks2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// tree is the JSON metadata as it is written: every object with all its members.
// It is the only thing that changes; metadata is derived from it.
type tree struct {
	top                                 object // its five known members are stale; encode replaces them
	keyslots, tokens, segments, digests table
	config                              object
	text                                json.RawMessage // what encode returned, until it is cloned
}

// table holds the objects of one kind by id.
type table map[int]object

// parseTree reads the text of a JSON area, without its trailing NULs.
func parseTree(text []byte) (*tree, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, fmt.Errorf("the JSON area does not begin with an object")
	}
	if d := depth(text); d > maxDepth {
		return nil, fmt.Errorf("the JSON area nests %d levels deep, more than %d", d, maxDepth)
	}
	if holdsNUL(text) {
		return nil, fmt.Errorf("a text of the JSON area holds a NUL, where readers in C take it to end")
	}
	top, err := parseObject(text)
	if err != nil {
		return nil, fmt.Errorf("the JSON area: %w", err)
	}
	t := &tree{top: top}
	for _, p := range t.tables() {
		if *p.table, err = parseTable(top, p.name); err != nil {
			return nil, err
		}
	}
	t.config = fields{where: "the JSON area", object: top, err: &err}.sub("config").object
	return t, err
}

// namedTable is a table of a tree with its name in the JSON.
type namedTable struct {
	name  string
	table *table
}

// tables lists the tables of a tree in the order in which they are checked.
func (t *tree) tables() []namedTable {
	return []namedTable{{"keyslots", &t.keyslots}, {"tokens", &t.tokens}, {"segments", &t.segments}, {"digests", &t.digests}}
}

// parseTable reads the objects of one kind.
func parseTable(top object, name string) (table, error) {
	var err error
	all := fields{where: "the JSON area", object: top, err: &err}.sub(name)
	if err != nil {
		return nil, err
	}
	t := table{}
	for _, m := range all.object {
		id, err := parseID(m.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if t[id], err = parseObject(m.value); err != nil {
			return nil, fmt.Errorf("%s: %d: %w", name, id, err)
		}
	}
	return t, nil
}

// clone returns a copy that can be changed alone.
func (t *tree) clone() *tree {
	c := *t
	c.text = nil
	for _, p := range c.tables() {
		*p.table = maps.Clone(*p.table)
	}
	return &c
}

// encode returns the JSON text of a tree that changes no more.
func (t *tree) encode() json.RawMessage {
	if t.text != nil {
		return t.text
	}
	top := t.top
	for _, p := range t.tables() {
		top = top.with(p.name, p.table.encode())
	}
	t.text = top.with("config", t.config.encode()).encode()
	return t.text
}

// ids returns the ids in use, in order.
func (t table) ids() []int { return slices.Sorted(maps.Keys(t)) }

// free returns the lowest id that is not in use.
func (t table) free(kind string) (int, error) {
	for id := range maxIDs {
		if _, taken := t[id]; !taken {
			return id, nil
		}
	}
	return 0, fmt.Errorf("all %d %ss are in use", maxIDs, kind)
}

// encode returns the table as a JSON object.
func (t table) encode() json.RawMessage {
	var o object
	for _, id := range t.ids() {
		o = append(o, member{strconv.Itoa(id), t[id].encode()})
	}
	return o.encode()
}

// unlink removes an id from the list called name in every object of the table.
func (t table) unlink(name string, id int) error {
	for _, in := range t.ids() {
		var err error
		list := fields{where: strconv.Itoa(in), object: t[in], err: &err}.ids(name)
		if err != nil {
			return err
		}
		if slices.Contains(list, id) {
			list = slices.DeleteFunc(list, func(n int) bool { return n == id })
			t[in] = t[in].with(name, jsonIDs(list))
		}
	}
	return nil
}

// metadata is the meaning of a tree. Slices are in the order of ids.
type metadata struct {
	keyslots []Keyslot
	tokens   []Token
	segments []Segment
	digests  []digest
	config   config
}

// parseMetadata gives a tree its meaning. It checks each object by itself; check
// (validate.go) then looks at them together.
func parseMetadata(t *tree) (m metadata, err error) { return parseChanged(t, nil, metadata{}) }

// parseChanged is parseMetadata for what was made of the tree was, which means had, or
// nil. A conversion changes segments only, thousands of times.
func parseChanged(t, was *tree, had metadata) (m metadata, err error) {
	if was == nil {
		was = &tree{}
	}
	if m.config = had.config; !t.config.is(was.config) {
		m.config = parseConfig(fields{where: "config", object: t.config, err: &err})
	}
	m.tokens = parseAll("token", t.tokens, was.tokens, had.tokens, parseToken, &err)
	m.digests = parseAll("digest", t.digests, was.digests, had.digests, parseDigest, &err)
	m.segments = parseAll("segment", t.segments, was.segments, had.segments, parseSegment, &err)
	m.keyslots = parseAll("keyslot", t.keyslots, was.keyslots, had.keyslots, parseKeyslot, &err)
	return m, err
}

// parseAll parses the objects of a table, but those that are in was and had, too.
func parseAll[T any](kind string, t, was table, had []T, parse func(id int, f fields) T, err *error) (all []T) {
	known := map[int]T{}
	for i, id := range was.ids() {
		if i < len(had) && t[id].is(was[id]) {
			known[id] = had[i]
		}
	}
	for _, id := range t.ids() {
		one, ok := known[id]
		if !ok {
			one = parse(id, fieldsOf(kind, id, t, err))
		}
		all = append(all, one)
	}
	return all
}

// fieldsOf returns the fields of one object of a table.
func fieldsOf(kind string, id int, t table, err *error) fields {
	return fields{where: kind + " " + strconv.Itoa(id), object: t[id], err: err}
}

// splitArea returns the text of a JSON area: what stands before the NULs, of which
// there must be at least one.
func splitArea(area []byte) ([]byte, error) {
	text, rest, found := bytes.Cut(area, []byte{0})
	if !found {
		return nil, fmt.Errorf("the JSON area does not end with a NUL")
	}
	if i := bytes.IndexFunc(rest, func(r rune) bool { return r != 0 }); i >= 0 {
		return nil, fmt.Errorf("byte %d of the JSON area, after its end, is not NUL", len(text)+1+i)
	}
	return text, nil
}
