package planner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// work is what the content of an existing partition needs so that its definition
// comes true.
type work int

const (
	workNone     work = iota
	workConvert       // plain data becomes a LUKS2 volume
	workResume        // a conversion was begun and is gone on with
	workRekey         // a volume gets another volume key
	workEnroll        // a volume gets the keys that it lacks
	workDetached      // as workResume, with the header in a file
)

// convertible lists the kinds of content that are converted: file systems whose
// size their superblock tells.
var convertible = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "squashfs", "erofs", "swap"}

// findWork decides for every existing partition of a definition what is to be done
// with its content.
func (l *layout) findWork() {
	for _, p := range l.parts {
		if p.old != nil && p.def != nil && p.def.Encryption != nil {
			p.work, p.refusal = workOn(*p.def, *p.old, l.opts)
			if p.refusal == nil {
				p.refusal = l.opts.checkVolume(*p.def, *p.old, p.work)
			}
		}
	}
}

// inConversion reports whether a conversion of p was begun and not finished. Such a
// partition must keep its size: its moved copy is found from its end, and what is
// done of it counted from its start. So must one that holds such a volume and whose
// definition leaves it alone.
func (p *part) inConversion() bool {
	return p.work == workDetached || plan.InConversion(p.old.Content)
}

// workOn decides what is to be done with a partition. What is written in its own
// header rules; only where it has none, a header in a file counts.
func workOn(d definitions.Definition, p disk.Partition, o Options) (work, error) {
	e := d.Encryption
	path := e.DetachedHeader()
	header, there := o.Headers[path]
	switch {
	case e.Existing == definitions.ExistingKeep || e.Existing == "":
		if l := p.Content.LUKS; l != nil && !plan.InConversion(p.Content) && len(o.toEnroll(e, l)) > 0 {
			return workEnroll, nil
		}
		return workNone, nil
	case p.Content.Kind == cryptoLUKS:
		return workOnVolume(d, p, o)
	case there && path != "":
		return workOnDetached(d, p, path, header)
	case e.Existing == definitions.ExistingConvert && e.SecureKey != nil:
		return workNone, refuseSecure(d, p, "it is plain and would be encrypted under")
	case e.Existing == definitions.ExistingConvert:
		return workConvert, cmp.Or(checkNotForBoot(d, p), checkConvertible(d, p))
	}
	holds := "nothing that is known"
	if p.Content.Kind != "" {
		holds = "a plain " + p.Content.Kind
	}
	return workNone, refuse(d, p, fmt.Sprintf("existing = %q is for LUKS2 volumes, and it holds %s", e.Existing, holds),
		"existing = \"convert\" encrypts a plain file system in place")
}

// workOnVolume decides what is to be done with a LUKS volume.
func workOnVolume(d definitions.Definition, p disk.Partition, o Options) (work, error) {
	e, l := d.Encryption, p.Content.LUKS
	switch {
	case p.Content.Version == "1":
		return workNone, refuse(d, p, "it holds a LUKS1 volume, and only LUKS2 can be worked on",
			"\"cryptsetup convert --type luks2\" makes LUKS2 of it, where its header has room; back the header up first")
	case l == nil:
		return workNone, refuse(d, p, "it holds a LUKS volume that cannot be read: "+p.Content.Problem,
			"look at it with \"cryptsetup luksDump\"; restore the header from a backup")
	case plan.InConversion(p.Content) && plan.UnderSecureKey(l.Cipher):
		return workNone, refuseSecure(d, p, "a conversion was begun, and its volume is under")
	case plan.InConversion(p.Content):
		return workResume, errors.Join(checkResumable(d, p, l.Reencryption), checkWhole(d, p))
	case e.Existing == definitions.ExistingRekey && !rekeyed(l) && plan.UnderSecureKey(l.Cipher):
		return workNone, refuseSecure(d, p, "its volume is under")
	case e.Existing == definitions.ExistingRekey && !rekeyed(l) && e.SecureKey != nil:
		return workNone, refuseSecure(d, p, "its volume would come under")
	case e.Existing == definitions.ExistingRekey && !rekeyed(l):
		return workRekey, checkRekeyable(d, p)
	case len(o.toEnroll(e, l)) > 0:
		return workEnroll, nil
	}
	return workNone, nil
}

// checkVolume refuses work on a volume that its header, or the file that has it, does not
// allow. One that needs no work is left alone.
func (o Options) checkVolume(d definitions.Definition, p disk.Partition, w work) error {
	l := p.Content.LUKS
	if w == workDetached {
		l = o.Headers[d.Encryption.DetachedHeader()].LUKS
	}
	if l == nil || w == workNone {
		return nil
	}
	return inTurn(
		func() error { return checkUsable(d, p, l, w) },
		func() error { return checkCiphers(d, p, l, w) },
		func() error { return checkReadable(d, p, l, w) },
		func() error { return o.checkRoomForKeys(d, p, w) },
	)
}

// checkUsable refuses work on a volume whose header asks for what is not known or not
// done here.
func checkUsable(d definitions.Definition, p disk.Partition, l *disk.LUKS, w work) error {
	switch {
	case l.ReadOnly != "":
		return refuse(d, p, "its volume is left as it is: "+l.ReadOnly, "a newer sealpart or cryptsetup may know it; set existing = \"keep\" to leave the partition alone")
	case l.Unsupported != "" && (w == workResume || w == workDetached):
		return refuse(d, p, l.Unsupported, "finish it with \"cryptsetup reencrypt --resume-only\"")
	case l.Unsupported != "" && w != workEnroll:
		return refuse(d, p, "its volume cannot be worked on: "+l.Unsupported, "set existing = \"keep\" to leave the partition alone")
	}
	return nil
}

// workOnDetached decides what is to be done with a partition whose header, if it is
// encrypted, is in the file at path.
func workOnDetached(d definitions.Definition, p disk.Partition, path string, header disk.Content) (work, error) {
	switch {
	case header.LUKS != nil && header.Problem != "":
		return workNone, refuse(d, p, fmt.Sprintf("the header in %s cannot be used: %s", path, header.Problem),
			"look at it with \"cryptsetup luksDump\"; restore it from a backup")
	case header.LUKS == nil || header.LUKS.DataOffset != 0:
		return workNone, refuse(d, p, fmt.Sprintf("the file %s is there and is no LUKS2 header of a volume without one", path),
			"name another file in header_room, or move this one away")
	case plan.InConversion(header) && slices.Contains(convertible, p.Content.Kind) && begun(header.LUKS.Reencryption):
		// What is done is done from the start on: the first bytes would be encrypted.
		return workNone, refuse(d, p, fmt.Sprintf("it holds a plain %s, and %s is the header of a volume that is encrypted in part", p.Content.Kind, path),
			"if the partition was made anew since, that header is of no use any more: move it away")
	case plan.InConversion(header):
		return workDetached, checkResumable(d, p, header.LUKS.Reencryption)
	case slices.Contains(convertible, p.Content.Kind):
		return workNone, refuse(d, p, fmt.Sprintf("it holds a plain %s, and %s is the header of a volume that is encrypted already", p.Content.Kind, path),
			"if that header is of no use any more, move it away; it may be the only key to another partition")
	}
	return workNone, nil
}

// begun reports whether some of the data is converted.
func begun(r *disk.Reencryption) bool { return r != nil && r.Done > 0 }

// checkResumable refuses conversions that cannot be gone on with safely.
func checkResumable(d definitions.Definition, p disk.Partition, r *disk.Reencryption) error {
	if r == nil {
		return nil
	}
	form := fmt.Sprintf("its conversion (%s, %s) was begun by another tool", r.Mode, r.Resilience)
	switch {
	case r.Mode != string(plan.ModeEncrypt) && r.Mode != string(plan.ModeRekey),
		!slices.Contains([]string{"datashift", "checksum", "journal", "none"}, r.Resilience):
		return refuse(d, p, form+" in a form that cannot be gone on with here", "finish it with \"cryptsetup reencrypt --resume-only\"")
	case r.Resilience == "none" && r.State == disk.ReencryptCrash:
		return refuse(d, p, form+" without protection, and was cut off: which bytes are encrypted is not known",
			"restore the partition from a backup")
	case r.Resilience == "none" && r.Done > 0 && r.State != disk.ReencryptUnfinished:
		return refuse(d, p, form+" without protection: while it runs it does not write down how far it is, so it may be further than its header says",
			"if that program was stopped and not cut off, finish it with \"cryptsetup reencrypt --resume-only\"; else restore the partition from a backup")
	}
	return nil
}

// checkWhole refuses a volume in conversion that ends behind its partition.
func checkWhole(d definitions.Definition, p disk.Partition) error {
	l := p.Content.LUKS
	if l.DataOffset < 0 || l.DataOffset > p.Size || (l.Reencryption != nil && l.Reencryption.Total > p.Size-l.DataOffset) {
		return refuse(d, p, "its volume is in conversion and ends behind the partition", "the partition was cut; make it as large as it was")
	}
	return nil
}

// checkReadable refuses to work with an existing key where nothing here opens any keyslot.
func checkReadable(d definitions.Definition, p disk.Partition, l *disk.LUKS, w work) error {
	if (w != workRekey && w != workEnroll) || len(l.Keyslots) == 0 {
		return nil
	}
	var reasons []string
	for _, s := range l.Keyslots {
		if s.Unreadable == "" {
			return nil
		}
		reasons = append(reasons, fmt.Sprintf("keyslot %d: %s", s.ID, s.Unreadable))
	}
	hint := `add one that can be, with "cryptsetup luksAddKey --pbkdf argon2id --hash sha256 --keyslot-cipher aes-xts-plain64 --keyslot-key-size 512"`
	if strings.Contains(strings.Join(reasons, ""), "its key cannot be verified") { // no more can that of another keyslot
		hint = `the digest of its volume key is of another tool: "cryptsetup reencrypt --hash sha256" makes both anew`
	}
	return refuse(d, p, "no keyslot of its volume can be opened here: "+strings.Join(reasons, "; "), hint)
}

// checkRoomForKeys refuses work that adds keyslots for which the header has no room.
func (o Options) checkRoomForKeys(d definitions.Definition, p disk.Partition, w work) error {
	switch w {
	case workRekey:
		return checkKeyRoom(d, p, rekeySlots(d.Encryption, p.Content.LUKS))
	case workEnroll:
		return checkKeyRoom(d, p, enrollSlots(o.toEnroll(d.Encryption, p.Content.LUKS), p.Content.LUKS))
	}
	return nil
}

// checkCiphers refuses to rewrite data under a cipher that only the kernel has.
func checkCiphers(d definitions.Definition, p disk.Partition, l *disk.LUKS, w work) error {
	ciphers, remedy := []string{l.Cipher}, `"cryptsetup reencrypt" can do it; existing = "enroll" leaves the data as it is and adds the keys of the definition`
	if l.Reencryption != nil {
		ciphers, remedy = append(ciphers, l.Reencryption.PreviousCipher), `finish it with "cryptsetup reencrypt --resume-only"`
	}
	for _, cipher := range ciphers {
		if w != workEnroll && cipher != "" && cipher != definitions.CipherClear {
			return refuse(d, p, fmt.Sprintf("its data is under the cipher %s, and only data under %s is rewritten here", cipher, definitions.CipherClear), remedy)
		}
	}
	return nil
}

// checkRekeyable refuses volumes whose data is not where it must be.
func checkRekeyable(d definitions.Definition, p disk.Partition) error {
	l := p.Content.LUKS
	if l.FixedSize > 0 {
		return refuse(d, p, fmt.Sprintf("its header fixes the size of its data at %d bytes, and only data that reaches to the end of its partition gets another key", l.FixedSize),
			"set existing = \"enroll\" to leave the data as it is and have the definition's keys")
	}
	if l.DataOffset <= 0 || l.DataOffset >= p.Size || !plan.PowerOfTwo(l.SectorSize) || l.SectorSize < 512 || l.SectorSize > plan.LUKSSectorMax {
		return refuse(d, p, fmt.Sprintf("the data of its volume begins at %d in sectors of %d bytes, which cannot be converted", l.DataOffset, l.SectorSize),
			"look at it with \"cryptsetup luksDump\"")
	}
	return nil
}

// checkConvertible refuses content that cannot be converted safely.
func checkConvertible(d definitions.Definition, p disk.Partition) error {
	c := p.Content
	switch {
	case c.Kind == "" && d.Encryption.DetachedHeader() != "":
		return refuse(d, p, fmt.Sprintf("nothing that is known was found in it, and its header %s is not there", d.Encryption.DetachedHeader()),
			"if it was encrypted, bring the header back, or nothing will ever open it")
	case c.Kind == "":
		return refuse(d, p, "nothing that is known was found in it, so how much of it is data cannot be told",
			"set existing = \"keep\", or make a file system in it")
	case len(c.Ambiguous) > 0:
		kinds := strings.Join(append([]string{c.Kind}, c.Ambiguous...), " and ")
		return refuse(d, p, "it holds signatures of more than one kind: "+kinds, "remove the wrong one with \"wipefs\"")
	case !slices.Contains(convertible, c.Kind):
		return refuse(d, p, fmt.Sprintf("it holds %s, which cannot be converted in place", c.Kind), "set existing = \"keep\"")
	case c.Problem != "" && c.Remedy != "":
		return refuse(d, p, fmt.Sprintf("its %s is not supported: %s", c.Kind, c.Problem), c.Remedy)
	case c.Problem != "":
		// A damaged superblock may count fewer blocks than there are, and what lies
		// behind the last it counts would be overwritten.
		return refuse(d, p, fmt.Sprintf("its %s is damaged: %s", c.Kind, c.Problem), repairOf(c.Kind))
	case c.User != "":
		return refuse(d, p, fmt.Sprintf("its %s is in use, or was left without being unmounted, by %s, as its multiple mount protection says", c.Kind, c.User),
			"unmount it there; if nobody has it, \"tune2fs -f -E clear_mmp\" says so")
	case c.Size == 0:
		return refuse(d, p, fmt.Sprintf("its %s does not tell its size", c.Kind), "set existing = \"keep\"")
	case c.Size > p.Size:
		return refuse(d, p, fmt.Sprintf("its %s takes %d bytes, more than the partition's %d", c.Kind, c.Size, p.Size),
			"the file system is damaged or the partition was cut; repair it first")
	}
	return nil
}

// repairOf says what mends a damaged file system of a kind that is convertible.
func repairOf(kind string) string {
	switch kind {
	case "swap":
		return "make it anew with \"mkswap\", unless a hibernated machine is in it"
	case "squashfs", "erofs":
		return "write it anew: a read-only file system cannot be repaired"
	case "xfs":
		return "repair it first, with \"xfs_repair\""
	case "btrfs":
		return "look at it with \"btrfs check\" and repair it first"
	}
	return "repair it first, e.g. with \"fsck\""
}

func refuse(d definitions.Definition, p disk.Partition, reason, remedy string) error {
	return &Refusal{Definition: d.File, Partition: p.Number, Reason: reason, Remedy: remedy}
}
