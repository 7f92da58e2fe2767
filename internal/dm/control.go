package dm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlPath is the node of the device-mapper (misc device, major 10, minor 236).
const controlPath = "/dev/mapper/control"

const (
	headerSize = int(unsafe.Sizeof(unix.DmIoctl{}))
	specSize   = int(unsafe.Sizeof(unix.DmTargetSpec{}))
	// maxReply bounds what the kernel may answer: a table of a thousand targets.
	maxReply = 1 << 20
)

// control is the open device-mapper.
type control struct{ file *os.File }

// openControl opens the device-mapper, whose module the kernel loads for that.
func openControl() (*control, error) {
	file, err := os.OpenFile(controlPath, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("this kernel has no device-mapper, or its node is missing: %w", err)
	}
	return &control{file}, nil
}

func (c *control) close() { _ = c.file.Close() }

// request is one ioctl on a device.
type request struct {
	command uintptr
	name    string
	uuid    string // only where the device is made
	flags   uint32
	event   uint32 // udev flags and cookie
	targets []Target
}

// call sends a request and returns the header of the answer and what follows it.
func (c *control) call(r request) (unix.DmIoctl, []byte, error) {
	for size := headerSize + 4096; ; size *= 4 {
		buf := make([]byte, max(size, headerSize+payloadSize(r.targets)))
		if err := r.encode(buf); err != nil {
			return unix.DmIoctl{}, nil, err
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, c.file.Fd(), r.command, uintptr(unsafe.Pointer(&buf[0])))
		answer := *(*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
		switch {
		case errno != 0:
			return answer, nil, errno
		case answer.Flags&unix.DM_BUFFER_FULL_FLAG != 0 && size < maxReply:
			continue
		case answer.Flags&unix.DM_BUFFER_FULL_FLAG != 0, answer.Data_start > uint32(len(buf)), answer.Data_size > uint32(len(buf)):
			return answer, nil, errors.New("the kernel's answer is too long")
		}
		return answer, buf[answer.Data_start:max(answer.Data_start, answer.Data_size)], nil
	}
}

// encode writes the request into buf.
func (r request) encode(buf []byte) error {
	header := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	header.Version = [3]uint32{4, 0, 0}
	header.Data_size, header.Data_start = uint32(len(buf)), uint32(headerSize)
	header.Flags, header.Event_nr, header.Target_count = r.flags, r.event, uint32(len(r.targets))
	if len(r.name) >= len(header.Name) || len(r.uuid) >= len(header.Uuid) {
		return fmt.Errorf("the name %.40q is too long for a device: at most %d bytes", r.name, len(header.Name)-1)
	}
	copy(header.Name[:], r.name)
	copy(header.Uuid[:], r.uuid)
	at := headerSize
	for _, t := range r.targets {
		at += t.encode(buf[at:])
	}
	return nil
}

// payloadSize is how many bytes a table takes.
func payloadSize(targets []Target) int {
	size := 0
	for _, t := range targets {
		size += t.size()
	}
	return size
}

// size is what a target takes in a table: its spec and text, up to a multiple of 8.
func (t Target) size() int { return (specSize + len(t.Params) + 1 + 7) &^ 7 }

// encode writes a target and returns its size, which is where the next begins.
func (t Target) encode(p []byte) int {
	le := binary.NativeEndian
	le.PutUint64(p[0:], t.Start)
	le.PutUint64(p[8:], t.Length)
	le.PutUint32(p[20:], uint32(t.size()))
	copy(p[24:specSize], t.Type)
	copy(p[specSize:], t.Params)
	return t.size()
}

// decodeTargets reads the table in an answer.
func decodeTargets(p []byte, count uint32) ([]Target, error) {
	le := binary.NativeEndian
	var targets []Target
	for at := uint64(0); count > 0; count-- {
		if at+uint64(specSize) > uint64(len(p)) {
			return nil, errors.New("the kernel's table is cut short")
		}
		spec := p[at:]
		text := spec[specSize:]
		targets = append(targets, Target{
			Start: le.Uint64(spec), Length: le.Uint64(spec[8:]), Type: cString(spec[24:specSize]), Params: cString(text),
		})
		next := uint64(le.Uint32(spec[20:])) // in answers it counts from the first spec
		if next <= at {
			return nil, errors.New("the kernel's table goes round in circles")
		}
		at = next
	}
	return targets, nil
}

// cString is the text before the first NUL.
func cString(p []byte) string {
	for i, b := range p {
		if b == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}
