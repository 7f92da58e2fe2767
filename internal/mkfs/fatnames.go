package mkfs

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// FAT takes README and readme for one name, gives every long name a second, short one
// that other files may have, and cuts dots and blanks off the end. The programs that
// write it settle such clashes by overwriting, so it is looked at before.

// fatTree is what is to be in a FAT file system, by clean absolute paths.
type fatTree struct {
	nodes map[string]*fatNode
	order []string
	in    map[string][]string // what is in each directory
	keys  map[string]string   // paths as FAT compares them -> as they are
}

// fatNode is a file or a directory of it.
type fatNode struct {
	source string
	dir    bool
	size   int64
	// alias is the name it is written under, by programs that convert names to a code
	// page on the way; where it is not the name itself, it is replaced after that.
	alias string
}

// planFAT collects what copies bring, and refuses what FAT cannot hold, by name.
func planFAT(copies []Copy) (*fatTree, error) {
	t := &fatTree{nodes: map[string]*fatNode{"/": {dir: true}}, in: map[string][]string{}, keys: map[string]string{"/": "/"}}
	for _, c := range copies {
		if err := t.addParents(c); err != nil {
			return nil, err
		}
		if err := c.walk(func(e entry) error { return t.addEntry(c, e) }); err != nil {
			return nil, fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
	}
	if err := t.checkShortNames(); err != nil {
		return nil, err
	}
	return t, t.chooseAliases()
}

// addParents adds the directories above the target of c.
func (t *fatTree) addParents(c Copy) error {
	target := path.Clean(c.Target)
	for i := 1; i < len(target); i++ {
		if target[i] != '/' {
			continue
		}
		if err := t.add(target[:i], fatNode{source: "the target " + c.Target, dir: true}); err != nil {
			return err
		}
	}
	return nil
}

// addEntry adds one entry of a source. Links count as what they lead to.
func (t *fatTree) addEntry(c Copy, e entry) error {
	mode, size := e.info.Mode(), e.info.Size()
	if mode&os.ModeSymlink != 0 {
		file, err := c.tree().Open(e.at, os.O_RDONLY|unix.O_NONBLOCK)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if closed := file.Close(); err != nil || closed != nil {
			return fmt.Errorf("%s: %w", e.source, err)
		}
		mode, size = info.Mode(), info.Size()
	}
	switch {
	case mode.IsDir():
		return t.add(e.target, fatNode{source: e.source, dir: true})
	case !mode.IsRegular():
		return fmt.Errorf("%s: FAT holds only files and directories", e.source)
	case size > maxFATFile:
		return fmt.Errorf("%s: FAT holds files up to 4 GiB, and it has %d bytes", e.source, size)
	}
	return t.add(e.target, fatNode{source: e.source, size: size})
}

// maxFATFile is the largest size that a directory entry can say.
const maxFATFile = 1<<32 - 1

// add adds a file or directory. Directories may come from several sources, in any case;
// a later file replaces an earlier one of exactly the same name.
func (t *fatTree) add(target string, n fatNode) error {
	if target == "/" {
		return nil
	}
	target = path.Join(t.path(path.Dir(target)), path.Base(target))
	if problem := fatProblem(path.Base(target)); problem != "" {
		return fmt.Errorf("%s: FAT cannot hold a file of the name %q: %s", n.source, path.Base(target), problem)
	}
	key := fatKey(target)
	known, exists := t.keys[key]
	switch {
	case !exists:
		t.keys[key], t.nodes[target], t.order = target, &n, append(t.order, target)
		t.in[path.Dir(target)] = append(t.in[path.Dir(target)], target)
	case n.dir && t.nodes[known].dir:
	case n.dir == t.nodes[known].dir && known == target:
		*t.nodes[target] = n
	default:
		return fmt.Errorf("%s and %s cannot both be in FAT, where %q and %q are one name", t.nodes[known].source, n.source, known, target)
	}
	return nil
}

// path returns how a directory that was added is written.
func (t *fatTree) path(dir string) string {
	if known, ok := t.keys[fatKey(dir)]; ok {
		return known
	}
	return dir
}

// fatKey is equal for names that FAT takes for one.
func fatKey(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// maxFATName is how many UTF-16 units a long name has at most.
const maxFATName = 255

// fatProblem says why a name cannot be kept, "" where it can (Microsoft's FAT
// specification, "Long Directory Entries").
func fatProblem(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.ContainsFunc(name, notInFAT):
		return `it has one of the characters "*:<>?\| or a control character`
	case strings.TrimRight(name, ". ") != name:
		return "it ends with a dot or a blank, which FAT cuts off"
	case len(utf16.Encode([]rune(name))) > maxFATName:
		return "it is longer than 255 UTF-16 units"
	}
	return ""
}

// notInFAT reports whether long names exclude a character.
func notInFAT(r rune) bool { return r < ' ' || strings.ContainsRune(`"*:<>?\|`, r) }

// tailed are names that could also be the short ones that long names get.
var tailed = regexp.MustCompile(`^([^.~]{1,6})~[0-9]{1,6}(?:\.([^.]{1,3}))?$`)

// checkShortNames refuses a name that the short one of another file in its directory may be.
func (t *fatTree) checkShortNames() error {
	for _, target := range t.order {
		short := tailed.FindStringSubmatch(path.Base(target))
		if short == nil {
			continue
		}
		for _, other := range t.in[path.Dir(target)] {
			if other != target && mayShorten(path.Base(other), short[1], short[2]) {
				return fmt.Errorf("%s and %s cannot both be in FAT: %q may be the short name of %q", t.nodes[target].source, t.nodes[other].source, path.Base(target), path.Base(other))
			}
		}
	}
	return nil
}

// plainShort are names that need no long form but for their case.
var plainShort = regexp.MustCompile("^[A-Za-z0-9!#$%&'()@^_`{}~-]{1,8}(?:\\.[A-Za-z0-9!#$%&'()@^_`{}~-]{1,3})?$")

// mayShorten reports whether the short form of a name may begin with prefix and have the
// extension. What is not ASCII becomes anything.
func mayShorten(name, prefix, extension string) bool {
	if plainShort.MatchString(name) {
		return false
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		return true
	}
	basis, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		basis, ext = name[:i], name[i+1:]
	}
	shorten := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '.':
				return -1
			case strings.ContainsRune("+,;=[]", r):
				return '_'
			}
			return r
		}, strings.ToUpper(s))
	}
	basis, ext = shorten(basis), shorten(ext)
	return strings.HasPrefix(basis, strings.ToUpper(prefix)) && ext[:min(3, len(ext))] == strings.ToUpper(extension)
}

// devices are names that the programs keep for devices of DOS.
var devices = []string{"CON", "PRN", "AUX", "NUL", "CLOCK$", "COM1", "COM2", "COM3", "COM4", "LPT1", "LPT2", "LPT3", "LPT4"}

// needsAlias reports whether a name must not go through the programs: they change what
// is not ASCII, take brackets for patterns, and keep some names for devices.
func needsAlias(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	return strings.ContainsFunc(name, func(r rune) bool { return r > '~' || r == '[' || r == ']' }) || slices.Contains(devices, strings.ToUpper(base))
}

// chooseAliases gives every name that the programs would not keep another, of ASCII and
// of as many UTF-16 units, whose first character makes it a long one.
func (t *fatTree) chooseAliases() error {
	for _, target := range t.order {
		name := path.Base(target)
		if t.nodes[target].alias = name; !needsAlias(name) {
			continue
		}
		alias, ok := t.unusedAlias(path.Dir(target), len(utf16.Encode([]rune(name))))
		if !ok {
			return fmt.Errorf("%s: FAT cannot hold a file of the name %q: there are too many like it in %s", t.nodes[target].source, name, path.Dir(target))
		}
		t.nodes[target].alias = alias
		t.keys[fatKey(path.Join(path.Dir(target), alias))] = target
	}
	return nil
}

// unusedAlias counts through names of n characters until one is free in dir.
func (t *fatTree) unusedAlias(dir string, n int) (string, bool) {
	const first, others = "+,;=", "0123456789abcdefghijklmnopqrstuvwxyz"
	alias := []byte(first[:1] + strings.Repeat(others[:1], n-1))
	for {
		if _, used := t.keys[fatKey(path.Join(dir, string(alias)))]; !used {
			return string(alias), true
		}
		i := n - 1
		for ; i > 0 && alias[i] == others[len(others)-1]; i-- {
			alias[i] = others[0]
		}
		switch at := strings.IndexByte(first, alias[0]); {
		case i > 0:
			alias[i] = others[strings.IndexByte(others, alias[i])+1]
		case at == len(first)-1:
			return "", false
		default:
			alias[0] = first[at+1]
		}
	}
}

// onDisk is the path that the programs write a target to.
func (t *fatTree) onDisk(target string) (string, error) {
	if target == "/" {
		return "/", nil
	}
	target = t.path(target)
	n := t.nodes[target]
	if n == nil {
		return "", fmt.Errorf("%s has come while its directory was copied", target)
	}
	dir, err := t.onDisk(path.Dir(target))
	return path.Join(dir, n.alias), err
}
