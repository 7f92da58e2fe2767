package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// The kernel's way of encrypting a new partition: the volume is opened through device-mapper
// under a name of its own, and the content is copied into that device. Data under a secure
// key has no other.

// cipherError says that the kernel does not open a volume under a secure key.
type cipherError struct {
	cipher string
	error
}

// Error names the cipher and what the kernel said.
func (e *cipherError) Error() string {
	return fmt.Sprintf("the kernel opens no volume under the cipher %s here: %v", e.cipher, e.error)
}

// Unwrap returns what the kernel said.
func (e *cipherError) Unwrap() error { return e.error }

// Hint says what it takes.
func (e *cipherError) Hint() string {
	return "it takes an s390x kernel with the modules dm-crypt, paes_s390, pkey, pkey_cca and zcrypt_cex4, in an initramfs too, " +
		"and an adapter that has the master key of the volume's key; \"lszcrypt -V\" shows the adapters"
}

// attachable is a disk of which the kernel can make a device.
type attachable interface {
	Attach(e disk.Extent) (blockdev.Node, error)
}

// checkKernel opens and closes a new volume that the kernel must encrypt, before anything
// of it is written: cipher, adapter and device-mapper are proven by that.
func (x *run) checkKernel(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Create)
	v := x.volumes[action.Partition()]
	if !ok || v == nil || !v.throughKernel() {
		return nil
	}
	return x.whileOpen(ctx, a.Extent, v, true, func(string) error { return nil })
}

// createInKernel writes the header of v and has the kernel encrypt the content. A power cut
// leaves the old table, in which all of this is free space.
func (c *creation) createInKernel(ctx context.Context, v *volume) error {
	if _, err := c.data.WriteAt(v.front.bytes, 0); err != nil {
		return err
	}
	return c.whileOpen(ctx, c.action.Extent, v, false, func(device string) error {
		dev, err := blockdev.Open(device, blockdev.OpenOptions{Write: true})
		if err != nil {
			return err
		}
		c.sector = disk.Bytes(v.header.SectorSize())
		if c.data, err = blockdev.NewSection(dev, disk.Extent{Size: dev.Size()}); err == nil {
			err = c.content(ctx)
		}
		return errors.Join(err, dev.Sync(), dev.Close())
	})
}

// whileOpen calls do with the device of a volume in the making at e, and closes it again.
// A loop device lies below: beside a partition that is mounted, the kernel lets nobody
// claim the whole disk, and the new partition is not in the table yet.
func (x *run) whileOpen(ctx context.Context, e disk.Extent, v *volume, readOnly bool, do func(device string) error) (err error) {
	dev, ok := x.dev.(attachable)
	if !ok {
		return errors.New("the kernel does not know this disk")
	}
	part, err := blockdev.NewSection(x.dev, e)
	if err != nil {
		return err
	}
	on, err := dev.Attach(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.Release()) }()
	on.ReadOnly = on.ReadOnly || readOnly
	return newOpening(v.header, part, on, v.key).whileOpen(ctx, "sealpart-create-"+v.header.UUID, do)
}

// newOpening opens a volume by a key that is known.
func newOpening(h *luks2.Header, part blockdev.Device, on blockdev.Node, key *secret.Buffer) *opening {
	v := &opening{header: h, part: part, on: on, plain: map[luks2.Holds]*secret.Buffer{}, keys: map[luks2.Holds]*dm.Key{}}
	v.unlock = func(context.Context, luks2.Holds) (*secret.Buffer, error) {
		return key.Clone()
	}
	return v
}

// whileOpen opens the volume under a name that nobody else uses, calls do with its device,
// and closes it again. The device does not outlive us, even if we are killed.
func (v *opening) whileOpen(ctx context.Context, name string, do func(device string) error) error {
	var device *dm.Transient
	err := v.open(ctx, func(targets []dm.Target) (err error) {
		device, err = dm.CreateTransient(ctx, name, volumeDeviceUUID(v.header.UUID, name), targets, v.options())
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(do(device.Path), device.Remove(ctx))
}
