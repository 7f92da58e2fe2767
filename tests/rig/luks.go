package rig

import (
	"encoding/json"
	"slices"
	"testing"
)

// Conversion asks cryptsetup whether a volume's conversion is pending, and whether
// the header says that a hot zone is being written.
func Conversion(t testing.TB, volume string) (pending, hot bool) {
	t.Helper()
	var header struct {
		Segments map[string]struct {
			Flags []string `json:"flags"`
		} `json:"segments"`
		Config struct {
			Requirements struct {
				Mandatory []string `json:"mandatory"`
			} `json:"requirements"`
		} `json:"config"`
	}
	dump := Run(t, "cryptsetup", "luksDump", "--dump-json-metadata", volume)
	if err := json.Unmarshal([]byte(dump), &header); err != nil {
		t.Fatal(err)
	}
	for _, segment := range header.Segments {
		hot = hot || slices.Contains(segment.Flags, "in-reencryption")
	}
	return len(header.Config.Requirements.Mandatory) > 0, hot
}
