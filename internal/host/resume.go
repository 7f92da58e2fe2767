package host

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ResumePlace is where this machine is told to look for a hibernated system.
type ResumePlace struct {
	Name   string // of the device, as in fstab(5), or the path of its node
	Node   string // path of its node, "" where it is not there
	Offset int64  // bytes from its start to the page with the swap's header
	// Hibernated says that a system was hibernated there, and not only that it may be.
	Hibernated bool
}

// ResumePlaces lists the places that the kernel command line names (resume=,
// resume_offset=), those that the kernel was told (/sys/power/resume), and the one that
// systemd noted in the EFI variable HibernateLocation when it hibernated.
func ResumePlaces() []ResumePlace { return machine("/").resumePlaces(int64(os.Getpagesize())) }

func (m machine) resumePlaces(page int64) []ResumePlace {
	var places []ResumePlace
	add := func(name string, pages int64, hibernated bool) {
		p := ResumePlace{Name: name, Offset: pages * page, Hibernated: hibernated}
		if node := tagNode(name); node != "" && m.exists(node) {
			p.Node = node
		}
		places = append(places, p)
	}
	line := m.commandLine()
	if name, ok := line.Value("resume"); ok && name != "" {
		pages, _ := line.Value("resume_offset")
		add(name, number(pages), false)
	}
	if dir, err := filepath.EvalSymlinks(m.path("/sys/dev/block/" + m.line("/sys/power/resume"))); err == nil && m.line("/sys/power/resume") != "" {
		add(diskName(dir), number(m.line("/sys/power/resume_offset")), false)
	}
	var noted struct {
		UUID   string `json:"uuid"`
		Offset int64  `json:"offset"`
	}
	if err := json.Unmarshal([]byte(m.efiText("HibernateLocation-"+systemdVendor)), &noted); err == nil && noted.UUID != "" {
		add("UUID="+dashed(noted.UUID), noted.Offset, true)
	}
	return places
}

// number returns a count that another program wrote, 0 where it is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// dashed writes a UUID of 32 digits as file systems have it.
func dashed(id string) string {
	if len(id) != 32 {
		return id
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

// AwaitResumeDevice waits, for patience at most, until the device is there that
// "resume=" on the kernel command line names. Until then nobody can tell whether a
// system is hibernated on it. A system that this boot will not resume is not waited for.
func AwaitResumeDevice(ctx context.Context, patience time.Duration) {
	machine("/").awaitResumeDevice(ctx, patience)
}

func (m machine) awaitResumeDevice(ctx context.Context, patience time.Duration) {
	line := m.commandLine()
	name, named := line.Value("resume")
	node := tagNode(name)
	linked := m.exists("/run/udev/control") || node == name // without udev there are no links
	if !named || node == "" || !linked || slices.Contains(line, "noresume") {
		return
	}
	for end := time.Now().Add(patience); !m.exists(node) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollPause):
		}
	}
}

// ResumesBeside reports whether systemd is to resume a hibernated system beside this
// process, whose unit cannot be ordered behind that: the swap may be in a volume that
// is opened only after this process is done.
func ResumesBeside() bool { return machine("/").resumesBeside() }

func (m machine) resumesBeside() bool {
	units, err := filepath.Glob(m.path("/run/systemd/generator*/*.wants/systemd-hibernate-resume*.service"))
	return err == nil && len(units) > 0
}
