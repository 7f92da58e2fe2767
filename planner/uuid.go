package planner

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

// derive makes a UUID from base and a message: the first half of an HMAC-SHA256,
// marked as version 4. It is how systemd-repart does it, so that images built by
// either have the same UUIDs.
func derive(base uuid.UUID, message []byte) uuid.UUID {
	u := uuid.UUID(deriveBytes(base, message)[:16])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// deriveBytes returns the whole HMAC-SHA256 of message under base.
func deriveBytes(base uuid.UUID, message []byte) []byte {
	mac := hmac.New(sha256.New, base[:])
	mac.Write(message)
	return mac.Sum(nil)
}

// assignUUIDs gives every part its UUID. Existing ones keep theirs, but for the
// nil UUID, which stands for none.
func (l *layout) assignUUIDs() error {
	taken := l.presentUUIDs()
	seen := make(map[uuid.UUID]uint64, len(l.parts)) // parts of a type so far
	for _, p := range l.parts {
		typ := p.typeUUID()
		count := seen[typ]
		seen[typ]++
		switch {
		case p.old != nil && (p.foreign() || p.old.UUID != uuid.Nil):
			p.uuid = p.old.UUID
		case p.def.Partition.UUID == nil:
			p.uuid = l.unusedUUID(typ, count, taken)
		case *p.def.Partition.UUID != uuid.Nil && !p.absent() && taken[*p.def.Partition.UUID]:
			return fmt.Errorf("%s.toml: another partition has the UUID %s", p.def.Name, *p.def.Partition.UUID)
		default:
			p.uuid = *p.def.Partition.UUID
		}
		if !p.absent() {
			taken[p.uuid] = true
		}
	}
	return nil
}

// presentUUIDs returns the UUIDs of the partitions that stay.
func (l *layout) presentUUIDs() map[uuid.UUID]bool {
	taken := make(map[uuid.UUID]bool, len(l.parts))
	for _, p := range l.parts {
		if p.old != nil {
			taken[p.old.UUID] = true
		}
	}
	return taken
}

// unusedUUID derives the UUID of the count-th partition of a type, from 0. One
// that is in use already is passed over for the next count.
func (l *layout) unusedUUID(typ uuid.UUID, count uint64, taken map[uuid.UUID]bool) uuid.UUID {
	for ; ; count++ {
		if u := derive(l.opts.Seed, uuidMessage(typ, count)); !taken[u] {
			return u
		}
	}
}

// uuidMessage is what the UUID of the count-th partition of a type, from 0, is derived from.
func uuidMessage(typ uuid.UUID, count uint64) []byte {
	if count == 0 {
		return typ[:]
	}
	return binary.LittleEndian.AppendUint64(typ[:16:16], count)
}

// typeUUID returns the GPT type of p.
func (p *part) typeUUID() uuid.UUID {
	if p.old != nil {
		return p.old.Type
	}
	return p.def.Partition.Type.UUID
}
