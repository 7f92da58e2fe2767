package planner

import (
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

func label(text string) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Partition.Label = text }
}

// TestDroppedOneTakesNothing: the first of two definitions of a type finds no place, and
// has none in any later run, whatever the seed, and not the partition of the other.
func TestDroppedOneTakesNothing(t *testing.T) {
	for name, labels := range map[string][]func(*definitions.Definition){
		"default names": {label(""), label("")}, "labels": {label("big"), label("small")}, "the same label": {label("x"), label("x")},
		"the first's": {label("big"), label("")}, "the second's": {label(""), label("small")},
	} {
		defs := named(want("var", sizes(disk.GiB, 0), priority(1), labels[0]), want("var", sizes(100*disk.MiB, 0), labels[1]))
		snap := blank(512 * disk.MiB)
		first := planned(t, defs, snap, options(EmptyAllow))
		if len(first.Rows) != 1 || first.Rows[0].Definition != "20-var" {
			t.Fatalf("%s: %+v", name, first.Rows)
		}
		for _, seed := range []uuid.UUID{testSeed, uuid.New()} {
			if seed != testSeed && name == "the same label" {
				continue // nothing tells whose it is
			}
			o := options(EmptyRefuse)
			o.Seed = seed
			after := After(first, snap)
			if p := planned(t, defs, after, o); !p.Empty() || p.Rows[0].Definition != "20-var" {
				t.Errorf("%s: the second run: %v %+v", name, sectors(p), p.Rows[0])
			}
			o.Size = 4 * disk.GiB // once there is space, the first has a partition of its own, and so it stays
			grown := planned(t, defs, after, o)
			if len(grown.Rows) != 2 || grown.Rows[0].Definition != "20-var" || grown.Rows[1].Definition != "10-var" {
				t.Fatalf("%s: on a larger disk: %v", name, sectors(grown))
			}
			o.Seed, o.Size = uuid.New(), 0
			if p := planned(t, defs, After(grown, after), o); name != "the same label" && (!p.Empty() || p.Rows[0].Definition != "20-var") {
				t.Errorf("%s: after that: %v", name, sectors(p))
			}
		}
	}
}

// TestOwners: what tells whose a partition is, before the order does.
func TestOwners(t *testing.T) {
	other := uuid.MustParse("11111111-2222-4333-8444-555555555555")
	derived := (&layout{opts: options("")}).expectedUUIDs(named(want("var"), want("var")))
	given := func(d *definitions.Definition) { d.Partition.UUID = &other }
	const none = ""
	type old struct {
		name string
		id   uuid.UUID
	}
	for name, c := range map[string]struct {
		a, b  func(*definitions.Definition)
		old   []old
		owner []string // of each
	}{
		"the order":                      {label(""), label(""), []old{{"x", uuid.New()}, {"y", uuid.New()}}, []string{"10-var", "20-var"}},
		"no name":                        {label(""), label(""), []old{{"", uuid.Nil}}, []string{"10-var"}},
		"its given UUID":                 {label(""), given, []old{{"x", other}}, []string{"20-var"}},
		"its derived UUID":               {label(""), label(""), []old{{"x", derived[1]}}, []string{"20-var"}},
		"its label":                      {label("a"), label("b"), []old{{"b", uuid.New()}}, []string{"20-var"}},
		"its label, not an old UUID":     {label("a"), label("b"), []old{{"b", derived[0]}}, []string{"20-var"}},
		"a UUID, not the label it had":   {label("a2"), label("b"), []old{{"a1", derived[0]}, {"a2", derived[1]}}, []string{"10-var", "20-var"}},
		"its default name":               {label(""), label(""), []old{{"var-2", uuid.New()}}, []string{"20-var"}},
		"default names the other way":    {label(""), label(""), []old{{"var-2", uuid.New()}, {"var", uuid.New()}}, []string{"20-var", "10-var"}},
		"a default name behind another":  {label(""), label(""), []old{{"x", uuid.New()}, {"var", uuid.New()}}, []string{"10-var", "20-var"}},
		"a default name that none makes": {label(""), label(""), []old{{"var-7", uuid.New()}}, []string{"10-var"}},
		"a name that is no default":      {label(""), label(""), []old{{"var-02", uuid.New()}, {"variable", uuid.New()}}, []string{"10-var", "20-var"}},
		"more than there are":            {label("a"), label("b"), []old{{"x", uuid.New()}, {"b", uuid.New()}, {"y", uuid.New()}}, []string{"10-var", "20-var", none}},
	} {
		var partitions []disk.Partition
		for i, o := range c.old {
			p := there("var", int64(2048+204800*i), 204800)
			p.Name, p.UUID = o.name, o.id
			partitions = append(partitions, p)
		}
		p := planned(t, named(want("var", c.a), want("var", c.b)), gpt(disk.GiB, partitions...), options(EmptyRefuse))
		for i, want := range c.owner {
			if got := p.Rows[i].Definition; got != want {
				t.Errorf("%s: partition %d belongs to %q, not %q", name, i+1, got, want)
			}
		}
	}
}

// TestOwnersKeepConditions: a definition that is set aside does not give away what shows
// that it is its own.
func TestOwnersKeepConditions(t *testing.T) {
	a := want("var", label("a"), func(d *definitions.Definition) { d.Conditions = &definitions.Conditions{TPM2: new(true)} })
	defs := named(a, want("var", label("b")))
	p := there("var", 2048, 204800)
	p.Name = "b"
	got, err := Make(defs, gpt(disk.GiB, p), host.Facts{}, options(EmptyRefuse))
	if err != nil || got.Rows[0].Definition != "20-var" {
		t.Errorf("%v %+v", err, got)
	}
}
