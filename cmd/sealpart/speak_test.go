package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestSentences: every kind and mode of action is spoken, and is JSON with its kind.
func TestSentences(t *testing.T) {
	tpm := definitions.Key{Type: definitions.KeyTPM2, PCRs: []int{7, 11}}
	keys := plan.Encryption{Cipher: "aes-xts-plain64", Keys: []definitions.Key{tpm, {Type: definitions.KeyFile, Path: "/k"}}}
	cautious := keys
	cautious.HeaderBackup, cautious.Unavailable = "/backup", definitions.UnavailableLeave
	const sealed = "aes-xts-plain64 with a key sealed to the TPM and its PCRs 7+11 and the key file /k, leaving out keys that are not there"
	const careful = ", with a copy of the header in /backup, or leave it as it is where none of the keys can be used"
	cases := []struct {
		action plan.Action
		want   string
	}{
		{plan.Create{Extent: disk.Extent{Size: disk.MiB}}, "make it with 1 MiB"},
		{plan.Create{Extent: disk.Extent{Size: disk.MiB}, Filesystem: &plan.Filesystem{Format: "ext4"}, Encryption: &keys}, "make it with 1 MiB and a new ext4 file system, " + sealed},
		{plan.Create{Extent: disk.Extent{Size: disk.MiB}, CopyBlocks: "/image"}, "make it with 1 MiB and copy /image into it"},
		{plan.Verity{Data: 2, DataExtent: disk.Extent{Size: disk.GiB}}, "write the verity hash tree of partition 2 (1 GiB)"},
		{plan.Grow{From: disk.MiB, To: disk.GiB}, "grow it from 1 MiB to 1 GiB"},
		{plan.Enroll{Keys: keys.Keys[:1]}, "add a key sealed to the TPM and its PCRs 7+11 to its volume"},
		{plan.Enroll{Keys: keys.Keys[1:], ExistingKey: "fd:3", DropExisting: true, HeaderBackup: "/backup", Unavailable: definitions.UnavailableLeave},
			"add the key file /k to its volume and drop the key of fd:3" + careful},
		{plan.Reencrypt{Mode: plan.ModeEncrypt, Room: plan.RoomBehind, DataSize: disk.GiB, Encryption: cautious}, "encrypt 1 GiB in place, " + sealed + careful},
		{plan.Reencrypt{Mode: plan.ModeEncrypt, Room: plan.RoomBehind, DataSize: disk.GiB, ShrinkTo: disk.GiB, Filesystem: "ext4", FreeSpace: definitions.FreeDiscard, Encryption: keys},
			"shrink its ext4 to 1 GiB to make room for the header, encrypt 1 GiB in place, but discard what its file system does not use, " + sealed},
		{plan.Reencrypt{Mode: plan.ModeEncrypt, Room: plan.RoomGap, Shift: disk.MiB, DataSize: disk.GiB, Encryption: keys},
			"put a header into the 1 MiB before it, which become part of it, encrypt 1 GiB in place, " + sealed},
		{plan.Reencrypt{Mode: plan.ModeEncrypt, Room: plan.RoomDetached, HeaderPath: "/h", DataSize: disk.GiB, Encryption: keys},
			"put a header into the file /h, encrypt 1 GiB in place, " + sealed},
		{plan.Reencrypt{Mode: plan.ModeEncrypt, Resume: true}, "finish the encryption in place that was begun before"},
		{plan.Reencrypt{Mode: plan.ModeRekey, DataSize: disk.GiB, ExistingKey: "fd:3", Encryption: keys},
			"encrypt 1 GiB anew under another volume key, " + sealed + ", and drop every other key, that of fd:3 too"},
		{plan.Reencrypt{Mode: plan.ModeRekey, Resume: true}, "finish the change of its volume key that was begun before"},
	}
	kinds := plan.Kinds()
	for _, c := range cases {
		if got := deed(c.action); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
		text, err := json.Marshal(&plan.Plan{Actions: []plan.Action{c.action}})
		if err != nil || !strings.Contains(string(text), `"actions":[{"kind":"`+c.action.Kind()+`",`) {
			t.Errorf("%s: %v", text, err)
		}
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == c.action.Kind() })
	}
	if len(kinds) > 0 {
		t.Errorf("no sentence for %v", kinds)
	}
}
