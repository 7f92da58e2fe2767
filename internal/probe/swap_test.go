package probe

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// writers are what blkid calls who hibernates, and their signatures. All but that of
// TuxOnIce end the header page.
var writers = map[string]string{
	"s1suspend": "S1SUSPEND\x00", "s2suspend": "S2SUSPEND\x00", "ulsuspend": "ULSUSPEND\x00",
	"linhib0001": "LINHIB0001", "tuxonice": tuxOnIce,
}

// TestHibernated: blkid and we say the same of a swap in which a system is hibernated,
// whoever wrote it and whatever its pages are.
func TestHibernated(t *testing.T) {
	for _, page := range pageSizes {
		for writer, signature := range writers {
			t.Run(fmt.Sprint(writer, page), func(t *testing.T) {
				path := mkfs(t, 1*disk.MiB, fmt.Sprintf("mkswap -q -p %d -L swapping IMG", page))
				hibernate(t, path, page, signature)
				got := judged(t, path)
				if got.Kind != disk.Hibernated || got.Version != writer || !got.HoldsHibernated() {
					t.Errorf("it is %+v", got)
				}
			})
		}
	}
}

// hibernate makes the header page of a swap that of one with a hibernated system.
func hibernate(t *testing.T, path string, page int64, signature string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	at := page - 10
	if signature == tuxOnIce {
		at = 0
	}
	if _, err := file.WriteAt([]byte(signature), at); err != nil {
		t.Fatal(err)
	}
}

// TestSuspended: the header page of a swap file may lie anywhere in a device.
func TestSuspended(t *testing.T) {
	const page = 4 << 10
	image := make([]byte, 8*page)
	copy(image[6*page-10:], "S1SUSPEND\x00")
	copy(image[2*page:], tuxOnIce)
	for number, want := range map[int64]string{2: "tuxonice", 4: "", 5: "s1suspend", 6: "", 800: ""} {
		if got, err := Suspended(bytes.NewReader(image), number*page, page); got != want || err != nil {
			t.Errorf("page %d: %q, %v", number, got, err)
		}
	}
}
