// Package testenv tells tests which foreign tools are here.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the path of a program that the test judges by. Where it is missing
// the test is skipped; where SEALPART_REQUIRE_TOOLS=1 (as in CI) it fails, so that
// no ring of tests passes by not running.
func Need(t testing.TB, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program, "/sbin/" + program, "/lib/systemd/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	unmet(t, program+" is not installed")
	return ""
}

func unmet(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("SEALPART_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s, and SEALPART_REQUIRE_TOOLS=1 demands it", why)
	}
	t.Skip(why)
}
