package main

import (
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// TestIsPlain: --or-plain takes a file system and nothing else for plain; least of all what is
// left of a volume.
func TestIsPlain(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    disk.Content
		want bool
	}{
		{"ext4", disk.Content{Kind: "ext4"}, true},
		{"not unmounted", disk.Content{Kind: "ext4", Unclean: true}, true},
		{"squashfs", disk.Content{Kind: "squashfs"}, true},
		{"nothing known", disk.Content{}, false},
		{"swap", disk.Content{Kind: "swap"}, false},
		{"a volume", disk.Content{Kind: "crypto_LUKS", LUKS: &disk.LUKS{}}, false},
		{"a damaged volume", disk.Content{Kind: "crypto_LUKS", Problem: "bad checksum"}, false},
		{"a file system over a volume", disk.Content{Kind: "ext4", Ambiguous: []string{"crypto_LUKS"}}, false},
		{"a damaged file system", disk.Content{Kind: "ext4", Problem: "bad superblock"}, false},
		{"a member of an array", disk.Content{Kind: "linux_raid_member"}, false},
	} {
		if got := isPlain(tt.c); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
