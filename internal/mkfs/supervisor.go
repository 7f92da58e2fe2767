package mkfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// supervisor answers the system calls by which a program reads and writes an overlay
// (seccomp(2), SECCOMP_RET_USER_NOTIF, Linux 5.5). A read is answered with bytes put
// into the program's memory; a write goes through, into the overlay's file, once the
// units that it touches are kept. All else that the program does goes through.
//
// Should this process die, the calls fail, and so does the program; the disk was
// not touched.
type supervisor struct {
	listener int
	stopped  [2]int // a pipe; closing its end [1] ends serve
	done     chan struct{}
	failure  error
}

// watched are the calls that are asked about. The program's other ways to read would
// see zeroes where nothing was written, and to write would be found by refuseStrays.
var watched = []uint32{
	unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_LSEEK, unix.SYS_FALLOCATE, unix.SYS_PREADV, unix.SYS_PREADV2,
	unix.SYS_PWRITEV, unix.SYS_PWRITEV2,
}

// notification is struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	call  int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// start starts cmd under supervision.
func (o *overlay) start(cmd *exec.Cmd) error {
	s := &supervisor{done: make(chan struct{})}
	if err := unix.Pipe2(s.stopped[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	err := onSpentThread(func() error {
		var err error
		if s.listener, err = listen(); err != nil {
			return errors.Join(err, unix.Close(s.stopped[0]), unix.Close(s.stopped[1]))
		}
		o.supervisor = s
		go o.serve(s)
		return cmd.Start()
	})
	if err != nil && o.supervisor == s {
		err = errors.Join(err, o.stop())
	}
	return err
}

// stop ends the supervision of a program that has ended, and returns what failed.
func (o *overlay) stop() error {
	s := o.supervisor
	err := unix.Close(s.stopped[1])
	<-s.done
	return errors.Join(s.failure, err, unix.Close(s.stopped[0]), unix.Close(s.listener))
}

// listen puts the calling thread, and all that it starts, under a filter that asks
// the returned file descriptor.
func listen() (int, error) {
	filter, err := callFilter(unix.SECCOMP_RET_USER_NOTIF, watched...)
	if err != nil {
		return -1, err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, fmt.Errorf("set no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, fmt.Errorf("this kernel does not let system calls be supervised (seccomp, Linux 5.5), which a resize that a power cut cannot break needs: %w", errno)
	}
	return int(fd), nil
}

// serve answers until the program has ended.
func (o *overlay) serve(s *supervisor) {
	defer close(s.done)
	for {
		poll := []unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}, {Fd: int32(s.stopped[0]), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) {
			s.failure = errors.Join(s.failure, err)
			return
		}
		switch {
		case poll[0].Revents&unix.POLLIN != 0:
			o.reply(s)
		case poll[0].Revents|poll[1].Revents != 0:
			return
		}
	}
}

// reply answers one call. That the program was killed meanwhile is no failure here.
func (o *overlay) reply(s *supervisor) {
	var n notification
	if control(s.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != 0 {
		return
	}
	a := answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if o.isOpenAs(n.pid, n.args[0]) {
		value, err := o.decide(s, &n)
		var errno unix.Errno
		switch {
		case errors.As(err, &errno):
			a = answer{id: n.id, errno: -int32(errno)}
		case err != nil:
			a, s.failure = answer{id: n.id, errno: -int32(unix.EIO)}, errors.Join(s.failure, err)
		case value >= 0:
			a = answer{id: n.id, value: value}
		}
	}
	control(s.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
}

// letThrough is the value that lets a call go to the kernel.
const letThrough = -1

// decide returns the value of a call on the overlay. An errno is the call's; any
// other error fails the whole program.
func (o *overlay) decide(s *supervisor, n *notification) (int64, error) {
	count, off := int64(n.args[2]), int64(n.args[3])
	switch n.call {
	case unix.SYS_PREAD64:
		return o.provide(s, n, count, off)
	case unix.SYS_PWRITE64:
		return letThrough, o.keep(off, count)
	case unix.SYS_LSEEK:
		// Before single bytes of the superblock are written.
		if int64(n.args[1]) < unit && n.args[2] == unix.SEEK_SET {
			return letThrough, nil
		}
		return 0, unix.EINVAL
	default:
		return 0, unix.EOPNOTSUPP
	}
}

// provide puts what a program reads into its memory.
func (o *overlay) provide(s *supervisor, n *notification, count, off int64) (int64, error) {
	info, err := o.file.Stat()
	if err != nil {
		return 0, err
	}
	if off < 0 || count < 0 {
		return 0, unix.EINVAL
	}
	count = max(0, min(count, info.Size()-off)) // the program may have cut the file off
	buf := make([]byte, min(count, 1<<20))
	for done := int64(0); done < count; {
		p := buf[:min(count-done, int64(len(buf)))]
		if got, err := o.ReadAt(p, off+done); got < len(p) {
			return 0, cmpError(err)
		}
		// The process id is still that of the caller, not of a later process.
		if errno := control(s.listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)); errno != 0 {
			return 0, errno
		}
		local := []unix.Iovec{{Base: &p[0]}}
		local[0].SetLen(len(p))
		remote := []unix.RemoteIovec{{Base: uintptr(n.args[1]) + uintptr(done), Len: len(p)}}
		if put, err := unix.ProcessVMWritev(int(n.pid), local, remote, 0); err != nil || put < len(p) {
			return 0, fmt.Errorf("answer a read of a resize: %w", errors.Join(err, unix.EFAULT))
		}
		done += int64(len(p))
	}
	return count, nil
}

// isOpenAs reports whether a thread has the overlay open as fd.
func (o *overlay) isOpenAs(thread uint32, fd uint64) bool {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", thread, int32(fd)))
	if err != nil {
		return false
	}
	ours, err := o.file.Stat()
	return err == nil && os.SameFile(ours, theirs)
}

func control(fd int, request uint, p unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(p))
	return errno
}
