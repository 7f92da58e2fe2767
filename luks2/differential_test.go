package luks2

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

var mutants = flag.Uint64("mutants", 30, "changed headers of each volume that are shown to cryptsetup")

// values are what a member of an object becomes.
var values = []string{
	`""`, `"0"`, `"1"`, `"9"`, `"512"`, `"4096"`, `"18446744073709551615"`, `"18446744073709551104"`, `"9223372036854775808"`, `"-1"`, `"x"`, `"dynamic"`,
	`0`, `1`, `-1`, `512`, `1536`, `2147483648`, `4294967295`, `4294967296`, `99999999999999999999`, `1.5`, `null`, `true`, `[]`, `["0"]`, `["1"]`, `["7"]`, `[0]`, `{}`,
	`"crypt"`, `"linear"`, `"raw"`, `"luks1"`, `"luks2"`, `"reencrypt"`, `"null"`, `"pbkdf2"`, `"journal"`, `"backward"`,
	`["backup-final"]`, `["in-reencryption"]`, `{"mandatory":["online-reencrypt-v2"]}`, `{"mandatory":["new"]}`,
}

// mutate changes one member somewhere in a JSON object, and returns it anew.
func mutate(rnd *rand.Rand, text string) string {
	var root any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&root) != nil {
		return text
	}
	var all []func()
	var collect func(node any)
	collect = func(node any) {
		object, is := node.(map[string]any)
		if !is {
			return
		}
		names := make([]string, 0, len(object))
		for name := range object {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			all = append(all, func() { delete(object, name) }, func() { object[name] = json.RawMessage(values[rnd.IntN(len(values))]) },
				func() { object[name] = json.RawMessage(values[rnd.IntN(len(values))]) },
				func() { object["x"] = object[name]; delete(object, name) },
				func() { object[strconv.Itoa(rnd.IntN(4))] = object[name] })
			collect(object[name])
		}
	}
	collect(root)
	all[rnd.IntN(len(all))]()
	changed, err := json.Marshal(root)
	if err != nil {
		return text
	}
	return string(changed)
}

// TestCryptsetupTakesTheSame: of headers in all states that are changed somewhere,
// cryptsetup reads those that we read, and no others. What is refused here and read there is in
// hostileHeaders, each with its reason.
func TestCryptsetupTakesTheSame(t *testing.T) {
	tool := testenv.Need(t, "cryptsetup")
	states := map[string]memory{"finished": volume(t)}
	for name, j := range map[string]*job{"shift": shifted(t, mib, mib, 0, 512), "forward": gap(t, "checksum", 512), "rekey": rekey(t, "journal", 0)} {
		states[name] = j.bytesAt(0, min(j.size, 4*mib))
		j.hot(0)
		states[name+", hot"] = j.bytesAt(0, min(j.size, 4*mib))
	}
	var lock sync.Mutex
	taken, refused := 0, 0
	for name, good := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range *mutants {
				rnd := rand.New(rand.NewPCG(seed, uint64(len(name))))
				m := memory(bytes.Clone(good))
				var text string
				m.json(func(s string) string {
					if text == "" {
						text = mutate(rnd, s)
					}
					return text
				})
				img := newImage(t, int64(len(m)))
				img.put(m, 0)
				_, ours := m.read()
				theirs := exec.Command(tool, "isLuks", "--type", "luks2", img.Name()).Run()
				if (ours == nil) == (theirs == nil) {
					lock.Lock()
					if taken++; ours != nil {
						taken, refused = taken-1, refused+1
					}
					lock.Unlock()
					continue
				}
				t.Errorf("seed %d: we say %v, cryptsetup %v, of\n%s", seed, ours, theirs, text)
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d headers read by both, %d by none", taken, refused) })
}
