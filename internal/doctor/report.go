package doctor

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
)

// Report is what was found out about a machine; its JSON is the face for machines.
type Report struct {
	Machine     host.Facts        `json:"machine"`
	TPM2        TPM2              `json:"tpm2"`
	Kernel      map[string]string `json:"kernel"`      // device-mapper target or cipher: host.Module…
	Definitions []string          `json:"definitions"` // paths of the files
	Programs    map[string]string `json:"programs"`    // that the definitions call for; "" is missing
	Disk        string            `json:"disk"`        // path, "" where none was found
	Actions     int               `json:"actions"`     // what is to do on it
	Findings    []Finding         `json:"findings"`
}

// TPM2 is what a TPM says of itself.
type TPM2 struct {
	Present bool     `json:"present"`
	Banks   []string `json:"banks,omitempty"` // PCR banks it keeps
	// Blank lists the PCRs that keys are to be bound to and that nothing was ever
	// measured into.
	Blank   []int  `json:"blank_pcrs,omitempty"`
	Problem string `json:"problem,omitempty"` // why it cannot be used
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Stops   bool   `json:"stops"` // a first boot would not do what the definitions say
	Problem string `json:"problem"`
	Remedy  string `json:"remedy,omitempty"`
}

// Trouble is an error that was met while the report was made, with its remedy.
type Trouble struct {
	Err    error
	Remedy string
}

// Diagnose fills in the findings. defs are the definitions, where they are sound.
func (r *Report) Diagnose(defs []definitions.Definition, troubles []Trouble) {
	for _, t := range troubles {
		r.stops(t.Err.Error(), t.Remedy)
	}
	if len(troubles) == 0 && len(defs) == 0 {
		r.stops("there are no definitions", "put files such as 10-root.toml into /etc/sealpart.d or /usr/lib/sealpart.d, and into the initramfs")
	}
	r.checkPrograms(defs)
	r.checkTPM2(defs)
	r.checkTokens(defs)
	r.checkTargets(defs)
}

func (r *Report) stops(problem, remedy string) {
	r.Findings = append(r.Findings, Finding{Stops: true, Problem: problem, Remedy: remedy})
}

func (r *Report) weakens(problem, remedy string) {
	r.Findings = append(r.Findings, Finding{Problem: problem, Remedy: remedy})
}

// Stopping counts the findings that would stop a first boot.
func (r *Report) Stopping() int {
	n := 0
	for _, f := range r.Findings {
		if f.Stops {
			n++
		}
	}
	return n
}
