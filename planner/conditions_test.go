package planner

import (
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// given sets the conditions of a definition.
func given(c definitions.Conditions) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Conditions = &c }
}

func TestConditions(t *testing.T) {
	yes, no := true, false
	type conditions = definitions.Conditions
	machine := host.Facts{
		SecureBoot: host.SecureBootOn, TPM2: true, FirstBoot: &no, Architecture: "arm64", Firmware: []string{"uefi", "device-tree"},
		VM: "kvm", CommandLine: host.CommandLine{"quiet", "mode=factory"}, Paths: map[string]bool{"/run/encrypt": true},
	}
	plainPC := host.Facts{SecureBoot: host.SecureBootSetup, FirstBoot: &yes, Architecture: "x86-64", Firmware: []string{"bios"}}
	for _, c := range []struct {
		conditions       conditions
		machine, plainPC string // what the note says, "" where the condition holds
	}{
		{conditions{}, "", ""},
		{conditions{SecureBoot: &yes}, "", "secure_boot = true does not hold: Secure Boot is in setup mode"},
		{conditions{SecureBoot: &no}, "secure_boot = false does not hold: Secure Boot is on", ""},
		{conditions{TPM2: &yes}, "", "tpm2 = true does not hold: there is no TPM 2.0"},
		{conditions{TPM2: &no}, "tpm2 = false does not hold: there is a TPM 2.0", ""},
		{conditions{FirstBoot: &yes}, "first_boot = true does not hold: the operating system has a boot behind it", ""},
		{conditions{Architecture: "arm64"}, "", `architecture = "arm64" does not hold`},
		{conditions{Architecture: "!arm64"}, `architecture = "!arm64" does not hold`, ""},
		{conditions{Firmware: "device-tree"}, "", `firmware = "device-tree" does not hold`},
		{conditions{KernelCommandLine: "quiet"}, "", `kernel_command_line = "quiet" does not hold`},
		{conditions{KernelCommandLine: "mode"}, "", `kernel_command_line = "mode"`},
		{conditions{KernelCommandLine: "mode=factory"}, "", `kernel_command_line = "mode=factory"`},
		{conditions{KernelCommandLine: "mode=field"}, `kernel_command_line = "mode=field"`, `kernel_command_line`},
		{conditions{Virtualization: "vm"}, "", `virtualization = "vm"`},
		{conditions{Virtualization: "kvm"}, "", `virtualization = "kvm"`},
		{conditions{Virtualization: "container"}, `virtualization`, `virtualization`},
		{conditions{Virtualization: "no"}, `virtualization = "no"`, ""},
		{conditions{Virtualization: "yes"}, "", `virtualization = "yes"`},
		{conditions{PathExists: "/run/encrypt"}, "", `path_exists = "/run/encrypt"`},
		{conditions{PathExists: "!/run/encrypt"}, `path_exists = "!/run/encrypt"`, ""},
		{conditions{TPM2: &yes, Architecture: "x86-64"}, "architecture", "tpm2"}, // all must hold
	} {
		defs := named(want("home", given(c.conditions)))
		for _, m := range []struct {
			facts host.Facts
			want  string
		}{{machine, c.machine}, {plainPC, c.plainPC}} {
			p, err := Make(defs, gpt(disk.GiB), m.facts, options(EmptyRefuse))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case p.Empty() != (m.want != ""):
				t.Errorf("%+v: the plan is empty: %v, want %q", c.conditions, p.Empty(), m.want)
			case m.want != "" && (len(p.Notes) != 1 || p.Notes[0].Definition != "10-home" || !strings.Contains(p.Notes[0].Text, m.want)):
				t.Errorf("%+v: notes are %+v", c.conditions, p.Notes)
			}
		}
	}
}

// TestConditionUnknown: what cannot be told is not guessed.
func TestConditionUnknown(t *testing.T) {
	yes := true
	_, err := Make(named(want("home", given(definitions.Conditions{FirstBoot: &yes}))), gpt(disk.GiB), host.Facts{}, options(EmptyRefuse))
	if err == nil || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("error %v", err)
	}
}

// TestConditionAlternatives: of two definitions of one partition, the one whose
// condition holds takes it.
func TestConditionAlternatives(t *testing.T) {
	yes, no := true, false
	convert, keep := convertAs("grow"), want("root", encrypted)
	given(definitions.Conditions{TPM2: &yes})(&convert)
	given(definitions.Conditions{TPM2: &no})(&keep)
	keep.Partition.Weight = 0
	snap := gpt(disk.GiB, ext4(there("root", 2048, 204800)))
	for _, tpm := range []bool{true, false} {
		p, err := Make(named(convert, keep), snap, host.Facts{TPM2: tpm}, options(EmptyRefuse))
		if err != nil {
			t.Fatal(err)
		}
		if p.Empty() == tpm || !strings.HasPrefix(p.Notes[0].Text, "set aside") || len(p.Rows) != 1 {
			t.Errorf("with a TPM: %v: actions %v, notes %v, rows %v", tpm, p.Actions, p.Notes, p.Rows)
		}
	}
}

// TestConditionTurns: a definition that is set aside must not make another one take its
// partition, where that one has a partition of its own.
func TestConditionTurns(t *testing.T) {
	yes := true
	first, second := want("srv", given(definitions.Conditions{TPM2: &yes})), want("srv")
	snap := gpt(disk.GiB, there("srv", 2048, 204800), there("srv", 206848, 204800))
	_, err := Make(named(first, second), snap, host.Facts{}, options(EmptyRefuse))
	if err == nil || !strings.Contains(err.Error(), "20-srv.toml: partition 1: another definition is set aside") {
		t.Errorf("error %v", err)
	}
	for i, name := range []string{"one", "two"} {
		snap.Partitions[i].Name = name
		d := []*definitions.Definition{&first, &second}[i]
		d.Partition.Match.Label = name
	}
	if _, err = Make(named(first, second), snap, host.Facts{}, options(EmptyRefuse)); err != nil {
		t.Errorf("told apart by their labels: %v", err)
	}
}

// TestConditionDependents: half a verity set is not made.
func TestConditionDependents(t *testing.T) {
	yes := true
	set := veritySet()
	given(definitions.Conditions{TPM2: &yes})(&set[0])
	p, err := Make(set, gpt(disk.GiB), host.Facts{}, options(EmptyRefuse))
	if err != nil || !p.Empty() || len(p.Notes) != 2 || !strings.Contains(p.Notes[1].Text, "10-root-x86-64.toml, which it needs, is set aside") {
		t.Errorf("plan %+v, error %v", p, err)
	}
}
