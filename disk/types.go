package disk

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Type is a GPT partition type of the Discoverable Partitions Specification.
type Type struct {
	Name string    // "root-x86-64", "esp", …; "" for an unknown GUID
	UUID uuid.UUID // the GPT type GUID
}

// String returns the name, or the GUID of a type without one.
func (t Type) String() string {
	if t.Name == "" {
		return t.UUID.String()
	}
	return t.Name
}

// The GPT attribute bits that the Discoverable Partitions Specification defines.
const (
	AttributeGrowFileSystem uint64 = 1 << 59 // grow the file system when it is mounted
	AttributeReadOnly       uint64 = 1 << 60 // mount read-only
	AttributeNoAuto         uint64 = 1 << 63 // do not mount by type
)

// typesByUUID and typesByName are the tables of typetable.go, turned for look-up.
var (
	typesByUUID = indexTypes(func(t Type) uuid.UUID { return t.UUID })
	typesByName = indexTypes(func(t Type) string { return t.Name })
	// designators says what each known type is for, whatever its architecture.
	designators = indexDesignators()
)

// TypeByName returns the type with the given name: one of TypeNames; "root" or
// "usr" (also with "-verity", "-verity-sig"), which mean those of the
// architecture arch, in systemd's name for it ("x86-64"); the same with
// "-secondary", such as "root-secondary-verity", for the 32-bit architecture that
// arch also runs; or the text of a GUID. It reports false for anything else.
func TypeByName(name, arch string) (Type, bool) {
	if t, ok := typesByName[resolveAlias(name, arch)]; ok {
		return t, true
	}
	if len(name) != len(uuid.Nil.String()) {
		return Type{}, false // uuid.Parse would also take braces and urn:uuid:
	}
	u, err := uuid.Parse(name)
	if err != nil || u == uuid.Nil {
		return Type{}, false // the nil GUID marks an unused entry (UEFI 2.10, table 5-7)
	}
	return TypeByUUID(u), true
}

// resolveAlias turns "root-verity" into "root-x86-64-verity" and
// "usr-secondary" into "usr-x86"; other names come back as they are.
func resolveAlias(name, arch string) string {
	for _, use := range []string{"root", "usr"} {
		rest, ok := strings.CutPrefix(name, use)
		if !ok {
			continue
		}
		if tail, ok := strings.CutPrefix(rest, "-secondary"); ok {
			rest, arch = tail, secondary[arch]
		}
		switch rest {
		case "", "-verity", "-verity-sig":
			return use + "-" + arch + rest
		}
	}
	return name
}

// TypeByUUID returns the type with the given GUID. Its Name is empty where the
// specification does not know the GUID.
func TypeByUUID(u uuid.UUID) Type {
	if t, ok := typesByUUID[u]; ok {
		return t
	}
	return Type{UUID: u}
}

// TypeNames returns the names that TypeByName takes whatever the architecture,
// and the aliases that depend on it, sorted.
func TypeNames() []string {
	var names []string
	for _, t := range allTypes() {
		names = append(names, t.Name)
	}
	for _, d := range archDesignators {
		use, tail, _ := strings.Cut(d, "-")
		names = append(names, d, strings.TrimSuffix(use+"-secondary-"+tail, "-"))
	}
	slices.Sort(names)
	return names
}

// Designator says what the type is for, whatever the architecture: "root",
// "usr-verity", "esp", …; empty for an unknown GUID.
func (t Type) Designator() string { return designators[t.UUID] }

// Architecture returns systemd's name of the architecture that the type belongs
// to, empty for types that are the same everywhere.
func (t Type) Architecture() string {
	for _, a := range architectures {
		if slices.Contains(a.guids[:], t.UUID) {
			return a.name
		}
	}
	return ""
}

// KnowsNoAuto reports whether AttributeNoAuto has a meaning for the type.
func (t Type) KnowsNoAuto() bool {
	switch t.Designator() {
	case "swap", "root-verity", "usr-verity":
		return true
	}
	return t.isMounted()
}

// KnowsReadOnly reports whether AttributeReadOnly has a meaning for the type.
func (t Type) KnowsReadOnly() bool { return t.isMounted() || t.IsVerity() }

// KnowsGrowFileSystem reports whether AttributeGrowFileSystem has a meaning for
// the type. It is then set by default, unless the partition is read-only.
func (t Type) KnowsGrowFileSystem() bool { return t.isMounted() }

// IsVerity reports whether the type is for hash trees or their signatures, which
// are read-only by default.
func (t Type) IsVerity() bool {
	d := t.Designator()
	return strings.HasSuffix(d, "-verity") || strings.HasSuffix(d, "-verity-sig")
}

// isMounted reports whether the type holds a file system that is found by its type
// and has all the attributes of one. The ESP is not among them: firmware reads it.
func (t Type) isMounted() bool {
	switch t.Designator() {
	case "root", "usr", "home", "srv", "var", "tmp", "xbootldr":
		return true
	}
	return false
}

// allTypes lists every type of the tables.
func allTypes() []Type {
	types := slices.Clone(common)
	for _, a := range architectures {
		for i, d := range archDesignators {
			types = append(types, Type{Name: resolveAlias(d, a.name), UUID: a.guids[i]})
		}
	}
	return types
}

func indexTypes[K comparable](key func(Type) K) map[K]Type {
	index := make(map[K]Type)
	for _, t := range allTypes() {
		index[key(t)] = t
	}
	return index
}

func indexDesignators() map[uuid.UUID]string {
	index := make(map[uuid.UUID]string)
	for _, t := range common {
		index[t.UUID] = t.Name
	}
	for _, a := range architectures {
		for i, d := range archDesignators {
			index[a.guids[i]] = d
		}
	}
	return index
}
