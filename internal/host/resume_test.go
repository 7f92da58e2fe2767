package host

import (
	"slices"
	"testing"
	"time"
)

// TestResumePlaces: whoever tells the machine where a system may be hibernated is heard.
func TestResumePlaces(t *testing.T) {
	noted := "/sys/firmware/efi/efivars/HibernateLocation-" + systemdVendor
	for _, c := range []struct {
		name, cmdline string
		files         map[string]string
		want          []ResumePlace
	}{
		{"nobody", "quiet", map[string]string{"/sys/power/resume": "0:0\n"}, nil},
		{"partition", "resume=/dev/sda1", nil, []ResumePlace{{Name: "/dev/sda1", Node: "/dev/sda1"}}},
		{"file", "resume=UUID=" + twinID + " resume_offset=34816", map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"},
			[]ResumePlace{{Name: "UUID=" + twinID, Node: "/dev/disk/by-uuid/" + twinID, Offset: 34816 << 12}}},
		{"not there", "resume=/dev/mapper/swap", nil, []ResumePlace{{Name: "/dev/mapper/swap"}}},
		{"kernel", "quiet", map[string]string{"/sys/power/resume": "8:1\n", "/sys/power/resume_offset": "3\n"},
			[]ResumePlace{{Name: "/dev/sda1", Node: "/dev/sda1", Offset: 3 << 12}}},
		{"noted", "quiet", map[string]string{noted: efiString(`{"uuid":"0f5dca7421d24b5bb2cc98a5ae2ce5c7","offset":7,"kernelVersion":"6.1"}`)},
			[]ResumePlace{{Name: "UUID=" + twinID, Offset: 7 << 12, Hibernated: true}}},
		{"noted with dashes", "quiet", map[string]string{noted: efiString(`{"uuid":"` + twinID + `","offset":0}`), "/dev/disk/by-uuid/" + twinID: "->../../sda1"},
			[]ResumePlace{{Name: "UUID=" + twinID, Node: "/dev/disk/by-uuid/" + twinID, Hibernated: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := booting(t, c.cmdline, c.files).resumePlaces(4096); !slices.Equal(got, c.want) {
				t.Errorf("places are %+v", got)
			}
		})
	}
}

// TestAwaitResumeDevice: only a device that is named, that this boot resumes from, and
// that can appear is waited for.
func TestAwaitResumeDevice(t *testing.T) {
	const patience = 200 * time.Millisecond
	for _, c := range []struct {
		cmdline string
		files   map[string]string
		waits   bool
	}{
		{"quiet", nil, false},
		{"resume=/dev/sda1", nil, false},
		{"resume=/dev/mapper/swap", nil, true},
		{"resume=UUID=" + twinID, nil, true},
		{"resume=UUID=" + twinID, map[string]string{"/run/udev/control": "-"}, false},
		{"resume=/dev/mapper/swap noresume", nil, false},
	} {
		m := booting(t, c.cmdline, c.files)
		begin := time.Now()
		m.awaitResumeDevice(t.Context(), patience)
		if waited := time.Since(begin) >= patience; waited != c.waits {
			t.Errorf("%s: waited %v", c.cmdline, waited)
		}
	}
}

// TestResumesBeside knows systemd's unit of every version.
func TestResumesBeside(t *testing.T) {
	for _, unit := range []string{"systemd-hibernate-resume@dev-sda1.service", "systemd-hibernate-resume.service"} {
		if m := booting(t, "quiet", map[string]string{"/run/systemd/generator/sysinit.target.wants/" + unit: ""}); !m.resumesBeside() {
			t.Errorf("%s is not seen", unit)
		}
	}
	if booting(t, "quiet", map[string]string{"/run/systemd/generator/sysinit.target.wants/other.service": ""}).resumesBeside() {
		t.Error("a resume without a unit")
	}
}
