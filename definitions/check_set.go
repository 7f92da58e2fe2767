package definitions

import (
	"bytes"
	"maps"
	"path"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// checkSet returns what definitions contradict each other in. Each is right on its
// own.
func checkSet(all []loaded) []error {
	var errs []error
	errs = append(errs, checkUUIDs(all)...)
	errs = append(errs, checkHeaderFiles(all)...)
	errs = append(errs, checkVerity(all)...)
	return append(errs, checkSupplements(all)...)
}

// wrong is an error at a key of one definition.
func (l *loaded) wrong(key, format string, args ...any) *Error {
	return l.place(key).errorf(key, format, args...)
}

// checkUUIDs refuses two partitions of one UUID. The nil UUID names none.
func checkUUIDs(all []loaded) []error {
	var errs []error
	owner := map[uuid.UUID]string{}
	for i := range all {
		u := all[i].Partition.UUID
		if u == nil || *u == uuid.Nil {
			continue
		}
		if other, taken := owner[*u]; taken {
			errs = append(errs, all[i].wrong("partition.uuid", "UUID %v is that of definition %q too", u, other))
			continue
		}
		owner[*u] = all[i].Name
	}
	return errs
}

// checkHeaderFiles refuses two volumes whose headers, or the copies of them, would
// go to one file: the second would overwrite the only way into the first.
func checkHeaderFiles(all []loaded) []error {
	var errs []error
	owner := map[string]string{}
	for i := range all {
		for _, file := range headerFiles(&all[i].Definition) {
			if other, taken := owner[file.path]; taken {
				errs = append(errs, all[i].wrong(file.key, "%s takes a header of definition %q already", file.path, other))
				continue
			}
			owner[file.path] = all[i].Name
		}
	}
	return errs
}

// headerFile is a file that a definition writes a LUKS2 header to.
type headerFile struct{ key, path string }

func headerFiles(d *Definition) []headerFile {
	if d.Encryption == nil {
		return nil
	}
	var files []headerFile
	if p := d.Encryption.DetachedHeader(); p != "" {
		files = append(files, headerFile{"encryption.header_room", path.Clean(p)})
	}
	if p := d.Encryption.HeaderBackup; p != "" {
		files = append(files, headerFile{"encryption.header_backup", d.Encryption.HeaderBackupIn + path.Clean(p)})
	}
	return files
}

// veritySet is the definitions of one match key, by role.
type veritySet map[string]*loaded

// checkVerity checks that data and hash of each match key are there once, and agree.
func checkVerity(all []loaded) []error {
	var errs []error
	sets := map[string]veritySet{}
	for i := range all {
		v := all[i].Verity
		if v == nil {
			continue
		}
		if sets[v.MatchKey] == nil {
			sets[v.MatchKey] = veritySet{}
		}
		if other := sets[v.MatchKey][v.Role]; other != nil {
			errs = append(errs, all[i].wrong("verity.role", "definition %q is the %s of match key %q already", other.Name, v.Role, v.MatchKey))
			continue
		}
		sets[v.MatchKey][v.Role] = &all[i]
	}
	for i := range all {
		if v := all[i].Verity; v != nil && sets[v.MatchKey][v.Role] == &all[i] {
			errs = append(errs, checkSibling(sets[v.MatchKey], &all[i])...)
		}
	}
	return errs
}

// checkSibling checks one member of a set against the other one. Disagreement is
// told once, at the hash.
func checkSibling(set veritySet, l *loaded) []error {
	data, hash := set[VerityData], set[VerityHash]
	switch {
	case data == nil:
		return []error{l.wrong("verity.match_key", "no definition is the data of match key %q", l.Verity.MatchKey)}
	case hash == nil:
		return []error{l.wrong("verity.match_key", "no definition is the hash of match key %q", l.Verity.MatchKey)}
	case l == hash:
		return checkAgreement(data, hash)
	}
	return nil
}

// checkAgreement checks that data and hash of a set can be made and dropped as one.
func checkAgreement(data, hash *loaded) []error {
	var errs []error
	differ := func(is bool, key string) {
		if !is {
			return
		}
		at := hash
		if !hash.has(key) {
			at = data
		}
		errs = append(errs, at.wrong(key, "%q differs between %q and %q, which are one verity set",
			lastPart(key), data.Name, hash.Name))
	}
	d, h := data.Verity, hash.Verity
	differ(data.Partition.Priority != hash.Partition.Priority, "partition.priority")
	differ(bothDiffer(d.DataBlockSize, h.DataBlockSize), "verity.data_block_size")
	differ(bothDiffer(d.HashBlockSize, h.HashBlockSize), "verity.hash_block_size")
	differ(d.Salt != nil && h.Salt != nil && !bytes.Equal(d.Salt, h.Salt), "verity.salt")
	return errs
}

// bothDiffer reports whether both sizes are set, to different values.
func bothDiffer(a, b disk.Bytes) bool { return a != 0 && b != 0 && a != b }

// checkSupplements checks that each supplement can be merged into its target.
func checkSupplements(all []loaded) []error {
	var errs []error
	byName := map[string]*loaded{}
	for i := range all {
		byName[all[i].Name] = &all[i]
	}
	taken := map[string]string{}
	for i := range all {
		l := &all[i]
		if l.Partition.SupplementFor == "" {
			continue
		}
		if err := checkSupplement(l, byName, taken); err != nil {
			errs = append(errs, err)
		}
		taken[l.Partition.SupplementFor] = l.Name
	}
	return errs
}

// checkSupplement checks one supplement. taken tells which targets have one.
func checkSupplement(l *loaded, byName map[string]*loaded, taken map[string]string) error {
	const key = "partition.supplement_for"
	name := l.Partition.SupplementFor
	target, ok := byName[name]
	if !ok {
		names := slices.Sorted(maps.Keys(byName))
		return l.wrong(key, "there is no definition %q", name).hint("%s", didYouMean(name, names))
	}
	if other, ok := taken[name]; ok {
		return l.wrong(key, "definition %q has a supplement already: %q", name, other)
	}
	if target.Partition.SupplementFor != "" {
		return l.wrong(key, "definition %q is itself a supplement, of %q", name, target.Partition.SupplementFor)
	}
	for _, side := range []*loaded{l, target} {
		if own := bindsContent(&side.Definition); own != "" {
			return l.wrong(key, "definition %q has %s, it cannot take part in a merge", side.Name, own)
		}
	}
	return checkMergedRanges(l, target)
}

// bindsContent names what ties a definition to a partition of its own.
func bindsContent(d *Definition) string {
	switch {
	case d.Filesystem.CopyBlocks != "":
		return `"copy_blocks"`
	case d.Encryption != nil:
		return "[encryption]"
	case d.Verity != nil:
		return "[verity]"
	}
	return ""
}

// checkMergedRanges checks that the sizes of both leave room for a merged one.
func checkMergedRanges(l, target *loaded) error {
	a, b := l.Partition, target.Partition
	for _, r := range []struct {
		name      string
		low, high [2]*disk.Bytes
	}{
		{"size", [2]*disk.Bytes{a.SizeMin, b.SizeMin}, [2]*disk.Bytes{a.SizeMax, b.SizeMax}},
		{"padding", [2]*disk.Bytes{a.PaddingMin, b.PaddingMin}, [2]*disk.Bytes{a.PaddingMax, b.PaddingMax}},
	} {
		for i := range 2 {
			low, high := r.low[i], r.high[1-i]
			if low != nil && high != nil && *low > *high {
				return l.wrong("partition.supplement_for", "merged with %q no %s is left: at least %v, at most %v",
					target.Name, r.name, *low, *high)
			}
		}
	}
	return nil
}
