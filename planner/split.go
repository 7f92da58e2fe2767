package planner

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// defaultSplitName is the split_name of definitions that set none: the type.
const defaultSplitName = "%t"

// split says which files take the content of the partitions that definitions speak
// of: beside the image, with the split name before ".raw" or at the end.
func (l *layout) split(p *plan.Plan) error {
	if !l.opts.Split {
		return nil
	}
	image, isRaw := strings.CutSuffix(l.snap.Path, ".raw")
	owner, parts := map[string]string{}, l.byNumber()
	for i := range p.Rows {
		r := &p.Rows[i]
		part := parts[r.Number]
		if r.Activity == plan.ActivityDelete || part.foreign() || part.def.Partition.SplitName == definitions.SplitOff {
			continue
		}
		name, err := splitName(r, part.def)
		if err != nil {
			return err
		}
		if other, taken := owner[name]; taken {
			return &splitError{first: other, second: r.Definition, name: name}
		}
		owner[name] = r.Definition
		r.SplitPath = image + "." + name
		if isRaw {
			r.SplitPath += ".raw"
		}
	}
	return nil
}

// splitName fills in what split_name says of the partition, as systemd-repart does:
// UUIDs without dashes, numbers counted from 0.
func splitName(r *plan.Row, def *definitions.Definition) (string, error) {
	template := def.Partition.SplitName
	if template == "" {
		template = defaultSplitName
	}
	own := plan.PlainUUID(r.UUID)
	if r.UUIDDerived {
		own = plan.DerivedUUID
	}
	name, err := definitions.Specifiers{
		't': typeName(def.Partition.Type), 'T': plan.PlainUUID(r.Type), 'U': own, 'n': strconv.Itoa(r.Number - 1),
	}.Expand(template)
	if err != nil {
		return "", fmt.Errorf("%s.toml: split_name %w", def.Name, err)
	}
	return name, nil
}

// splitError says that two partitions would be split off into one file.
type splitError struct{ first, second, name string }

// Error names both definitions.
func (e *splitError) Error() string {
	return fmt.Sprintf("%s.toml and %s.toml are split off under the same name %q", e.first, e.second, e.name)
}

// Hint says what makes the names differ.
func (*splitError) Hint() string {
	return `give one of them a split_name of its own, such as "%t-%n", or "-" to leave it out`
}
