package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// Open makes the LUKS2 volume in part the device-mapper device name, and returns the
// path of its node. Where the kernel finds part is what on says. A volume in conversion
// becomes a device of several targets; one whose conversion stopped in the middle of a
// hot zone is refused. Nothing is written.
//
// Where a conversion is pending nobody goes on with it meanwhile, and what the header says
// is what it says still when the device is made: who would begin to rewrite the data
// changes it first.
func Open(ctx context.Context, env Env, name string, part blockdev.Device, on blockdev.Node) (string, error) {
	header, done, err := readToOpen(ctx, part)
	if err != nil {
		return "", err
	}
	defer done()
	v := opening{header: header, part: part, on: on, plain: map[luks2.Holds]*secret.Buffer{}, keys: map[luks2.Holds]*dm.Key{}}
	v.unlock = func(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
		return unlock(ctx, env, header, part, what)
	}
	var device string
	err = v.open(ctx, func(targets []dm.Target) error {
		return Locked(ctx, part, claim.Read, func() (err error) {
			if err := header.Unchanged(part); err != nil {
				return &overtakenError{err}
			}
			device, err = dm.Create(ctx, name, volumeDeviceUUID(header.UUID, name), targets, v.options())
			return err
		})
	})
	return device, err
}

// readToOpen reads the header of a volume. One in conversion is kept from whoever would go
// on with that, until done is called.
func readToOpen(ctx context.Context, part blockdev.Device) (header *luks2.Header, done func(), err error) {
	if header, err = readLocked(ctx, part); err != nil {
		return nil, nil, err
	}
	pending := slices.ContainsFunc(header.Requirements(), func(r string) bool { return strings.HasPrefix(r, "online-reencrypt") })
	if number, err := numberOf(part); !pending || err != nil || number == "" {
		return header, func() {}, err
	}
	lock, err := claim.Reencryption(ctx, header.UUID)
	if err != nil {
		return nil, nil, err
	}
	was := header.UUID
	header, err = readLocked(ctx, part) // as whoever had it left it
	if err == nil && header.UUID != was {
		err = &overtakenError{luks2.ErrChanged} // the lock is that of another volume
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Release())
	}
	return header, func() { _ = lock.Release() }, nil
}

// volumePrefix begins the UUIDs of devices that are opened volumes, in cryptsetup's
// scheme: CRYPT-LUKS2-UUID-NAME.
const volumePrefix = "CRYPT-"

func volumeDeviceUUID(uuid, name string) string {
	return volumePrefix + "LUKS2-" + strings.ReplaceAll(uuid, "-", "") + "-" + name
}

// placeOf is where the data of a volume lies whose header is in front of it.
func placeOf(part blockdev.Device) luks2.Place { return luks2.Place{Size: int64(part.Size())} }

// readable returns what a header makes of its data, and refuses a volume of which a part
// is neither old nor new.
func readable(h *luks2.Header, part blockdev.Device) (*luks2.Activation, error) {
	a, err := h.Activation(placeOf(part))
	if err == nil && a.Reencryption != nil && a.Reencryption.State == luks2.Crash {
		err = errors.New("its conversion stopped in the middle of a hot zone; apply finishes it, and the volume can be opened then")
	}
	return a, err
}

// opening is a volume on its way to a table.
type opening struct {
	header *luks2.Header
	part   blockdev.Device
	on     blockdev.Node
	unlock func(context.Context, luks2.Holds) (*secret.Buffer, error)
	plain  map[luks2.Holds]*secret.Buffer
	keys   map[luks2.Holds]*dm.Key
}

// open works out the table, which create makes a device of.
func (v *opening) open(ctx context.Context, create func([]dm.Target) error) error {
	// The keys are in the keyring of this thread, for the kernel to take.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer v.dropKeys()
	targets, err := v.targets(ctx)
	if err != nil {
		return err
	}
	err = create(targets)
	var table *dm.TableError
	if errors.As(err, &table) && plan.UnderSecureKey(v.header.Cipher()) {
		err = &cipherError{v.header.Cipher(), err}
	}
	return err
}

// options returns how the device is made.
func (v *opening) options() dm.Options { return dm.Options{ReadOnly: v.on.ReadOnly} }

// verified judges the header, unlocks the volume, and has its keys vouch for what is to
// be mapped. No key is asked for before the form is right.
func (v *opening) verified(ctx context.Context) (*luks2.Activation, error) {
	a, err := readable(v.header, v.part)
	if err != nil {
		return nil, err
	}
	if v.plain[luks2.HoldsFinal], err = v.unlock(ctx, luks2.HoldsFinal); err != nil {
		return nil, err
	}
	if a.NeedsPrevious() {
		// Where all is converted its keyslots may be gone.
		v.plain[luks2.HoldsPrevious], err = v.unlock(ctx, luks2.HoldsPrevious)
		if err != nil && a.Reencryption.State != luks2.Unfinished {
			return nil, fmt.Errorf("the key of the data that is not converted yet: %w", err)
		}
	}
	_, err = a.Verify(ctx, v.plain[luks2.HoldsPrevious].Bytes(), v.plain[luks2.HoldsFinal].Bytes())
	return a, err
}

// targets returns the table: a target for each segment, one behind the other.
func (v *opening) targets(ctx context.Context) ([]dm.Target, error) {
	a, err := v.verified(ctx)
	if err != nil {
		return nil, err
	}
	var targets []dm.Target
	start := uint64(0)
	for _, s := range a.Segments {
		size := disk.Bytes(s.Size)
		if s.Size == luks2.Dynamic {
			size = (v.part.Size() - disk.Bytes(s.Offset)).RoundDown(disk.Bytes(max(s.SectorSize, 512)))
		}
		if size <= 0 || disk.Bytes(s.Offset) > v.part.Size()-size {
			return nil, fmt.Errorf("segment %d reaches beyond the partition", s.ID)
		}
		target, err := v.target(s, start, uint64(size/512))
		if err != nil {
			return nil, err
		}
		targets, start = append(targets, target), start+target.Length
	}
	return targets, nil
}

// target returns that of one segment.
func (v *opening) target(s luks2.Segment, start, length uint64) (dm.Target, error) {
	offset := uint64(v.on.Offset+disk.Bytes(s.Offset)) / 512
	if s.Type == "linear" {
		return dm.Linear(start, length, v.on.Device, offset), nil
	}
	key, err := v.key(s.ID)
	if err != nil {
		return dm.Target{}, err
	}
	flags := v.header.Flags()
	c := dm.Crypt{
		Cipher: s.Encryption, Key: key.Reference(), IVOffset: s.IVTweak, SectorSize: s.SectorSize,
		AllowDiscards: slices.Contains(flags, "allow-discards"), Options: cryptOptions(flags),
	}
	return c.Target(start, length, v.on.Device, offset), nil
}

// cryptOptions translates the header's flags into dm-crypt's words, in cryptsetup's
// order.
func cryptOptions(flags []string) []string {
	var options []string
	for _, o := range []struct{ flag, option string }{
		{"same-cpu-crypt", "same_cpu_crypt"}, {"submit-from-crypt-cpus", "submit_from_crypt_cpus"},
		{"no-read-workqueue", "no_read_workqueue"}, {"no-write-workqueue", "no_write_workqueue"},
	} {
		if slices.Contains(flags, o.flag) {
			options = append(options, o.option)
		}
	}
	return options
}

// key gives the kernel the volume key of a segment, each once.
func (v *opening) key(segment int) (*dm.Key, error) {
	what, digest := v.header.SegmentKey(segment)
	if key, there := v.keys[what]; there {
		return key, nil
	}
	key, err := dm.NewKey(v.header.UUID, digest, v.plain[what].Bytes())
	if err == nil {
		v.keys[what] = key
	}
	return key, err
}

// dropKeys takes the keys from the keyring, and forgets them.
func (v *opening) dropKeys() {
	for _, plain := range v.plain {
		plain.Wipe()
	}
	for _, key := range v.keys {
		key.Drop()
	}
}

// Close removes the device name, if it is an opened volume or verity device.
func Close(ctx context.Context, name string) error {
	info, err := dm.Lookup(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(info.UUID, volumePrefix) {
		return fmt.Errorf("%s is a device of somebody else (%.60q), not an opened volume", name, info.UUID)
	}
	return dm.Remove(ctx, name)
}
