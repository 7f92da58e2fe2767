package luks2

import (
	"slices"
	"strings"
)

// maxKeyslotsSize is the most that the keyslots area may take.
const maxKeyslotsSize = 128 << 20

// areaAlignment is the unit of keyslot areas and of the keyslots area.
const areaAlignment = 4096

// reencryptRequirement is the mandatory requirement of a volume in conversion.
const reencryptRequirement = "online-reencrypt-v2"

// config is the "config" object: sizes, flags and requirements.
type config struct {
	jsonSize, keyslotsSize int64
	flags, requirements    []string
}

func parseConfig(f fields) config {
	c := config{jsonSize: f.size("json_size"), keyslotsSize: f.size("keyslots_size")}
	if f.has("flags") {
		c.flags = f.strings("flags")
	}
	if f.has("requirements") {
		if r := f.sub("requirements"); r.has("mandatory") {
			c.requirements = r.strings("mandatory")
		}
	}
	return c
}

// pending returns the re-encryption requirement, or "".
func (c config) pending() string {
	for _, r := range c.requirements {
		if tellsReencryption(r) {
			return r
		}
	}
	return ""
}

// tellsReencryption reports whether a requirement is that of a re-encryption, of a
// version that need not be known: "online-reencrypt", "online-reencrypt-v2", …
func tellsReencryption(requirement string) bool {
	version, is := strings.CutPrefix(requirement, "online-reencrypt")
	if version == "" {
		return is
	}
	digits, numbered := strings.CutPrefix(version, "-v")
	return is && numbered && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// known are the requirements under which this package may still change a header
// without breaking the volume for those who understand them.
var known = []string{"online-reencrypt-v2", "online-reencrypt-v3", "inline-hw-tags", "opal", "opal-v2"}

// writable returns an error where a requirement forbids changing the header.
func (c config) writable() error {
	for _, r := range c.requirements {
		if !slices.Contains(known, r) {
			return unsupportedf("the header requires %.60q, which is not known here, so it must not be changed", r)
		}
	}
	return nil
}

// Writable returns an error, which is ErrUnsupported, where the header has a
// requirement that is not known here: who does not understand it must not change
// anything. Ask before a key is asked for.
func (h *Header) Writable() error { return h.meta.config.writable() }

// setRequirements replaces the mandatory requirements in the tree, keeping what
// else may stand beside them.
func (t *tree) setRequirements(list []string) error {
	var err error
	requirements := object{}
	if t.config.get("requirements") != nil {
		requirements = fields{where: "config", object: t.config, err: &err}.sub("requirements").object
	}
	requirements = requirements.without("mandatory")
	if len(list) > 0 {
		requirements = requirements.with("mandatory", jsonStrings(list))
	}
	t.config = t.config.without("requirements")
	if len(requirements) > 0 {
		t.config = t.config.with("requirements", requirements.encode())
	}
	return err
}

// newConfig makes the "config" object of a fresh header.
func newConfig(jsonLength, keyslotsSize int64, flags []string) object {
	o := object{{"json_size", jsonSize(jsonLength)}, {"keyslots_size", jsonSize(keyslotsSize)}}
	if len(flags) > 0 {
		o = o.with("flags", jsonStrings(flags))
	}
	return o
}
