package planner

import (
	"fmt"
	"path"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// The JSON of a LUKS2 header that is made here has a fixed room, whatever its keyslots take. These
// are the bytes of its parts, at their longest: a conversion that began with too little
// could not write down how far it is.
const (
	metadataRoom   = 12*disk.KiB - 1 // a NUL ends it
	metadataVolume = 430             // segment, digest, config
	metadataRecord = 1330            // what a conversion adds: its record, two digests, up to four segments, notes
	metadataSlot   = 310
	metadataFile   = 122 // the token of a file key
	metadataMark   = 136 // one that says hardly more than of which kind the key is
	metadataTPM    = 760 // a token with one PCR
	metadataPCR    = 90  // each further PCR, with its value
	metadataCard   = 560 // a token with a key of 2048 bits, without its URI
	metadataEscrow = 360 // an age file for one recipient
	metadataFor    = 132 // each recipient more
)

// metadataOf returns what a keyslot and its token take. What a module or a token gives is not
// known before; it counts as what is usual, or for a module as nothing.
func metadataOf(k definitions.Key, marked bool) disk.Bytes {
	n := disk.Bytes(metadataSlot)
	switch k.Type {
	case definitions.KeyFile:
		if marked {
			n += metadataFile
		}
		return n
	case definitions.KeyTPM2:
		return n + metadataTPM + metadataPCR*disk.Bytes(max(len(k.PCRs)-1, 0))
	case definitions.KeyPKCS11:
		return n + metadataCard + disk.Bytes(len(k.URI))
	case definitions.KeyCommand:
		return n + metadataMark + disk.Bytes(len(path.Base(k.Program)))
	case definitions.KeyRecovery:
		if len(k.Escrow) > 0 {
			n += metadataEscrow + metadataFor*disk.Bytes(len(k.Escrow)-1)
		}
	}
	return n + metadataMark
}

// metadata returns what an action adds to the JSON of a header, and what room there is; false
// where it adds nothing, or the room is not known.
func metadata(a plan.Action, l *disk.LUKS) (keys []definitions.Key, needs, room disk.Bytes, known bool) {
	count := func(keys []definitions.Key, marked bool, slots disk.Bytes) (n disk.Bytes) {
		for _, k := range keys {
			n += slots * metadataOf(k, marked)
		}
		return n
	}
	switch a := a.(type) {
	case plan.Create:
		if e := a.Encryption; e != nil {
			return e.Keys, metadataVolume + count(e.Keys, e.MarkFileKeys, 1), metadataRoom, true
		}
	case plan.Reencrypt:
		e := a.Encryption
		switch {
		case a.Resume:
		case a.Mode != plan.ModeRekey:
			return e.Keys, metadataVolume + metadataRecord + count(e.Keys, e.MarkFileKeys, 1), metadataRoom, true
		case l != nil && l.JSONEmptied > 0: // each key opens two volume keys
			return e.Keys, metadataRecord + count(e.Keys, true, 2), l.JSONEmptied, true
		}
	case plan.Enroll:
		if l != nil && l.JSONRoom > 0 {
			return a.Keys, count(a.Keys, true, 1), l.JSONRoom, true
		}
	}
	return nil, 0, 0, false
}

// checkMetadata refuses more keys than the headers have room to describe.
func (l *layout) checkMetadata(p *plan.Plan) error {
	parts := l.byNumber()
	for _, a := range p.Actions {
		part := parts[a.Partition()]
		var there *disk.LUKS
		if part.old != nil {
			there = part.old.Content.LUKS
		}
		keys, needs, room, known := metadata(a, there)
		if !known || needs <= room {
			continue
		}
		return &Refusal{
			Definition: part.def.File, Partition: a.Partition(),
			Reason: fmt.Sprintf("the text of its header has room for %d bytes more, and the %d keys may take %d", max(room, 0), len(keys), needs),
			Remedy: "name fewer keys; of a volume that is there, \"sealpart key remove\" takes away those that nobody needs",
		}
	}
	return nil
}
