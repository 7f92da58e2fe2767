package mkfs

import (
	"fmt"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// startUntruncated starts cmd so that its truncate and ftruncate do nothing and
// report success (seccomp(2), SECCOMP_RET_ERRNO with 0). No privilege is needed.
//
// A filter holds for the thread that sets it and for all that it starts, and can
// never be taken off. So a thread is spent: the goroutine is tied to it and ends
// tied, which ends the thread. The Go runtime makes no threads out of a tied one,
// so nothing else comes under the filter.
func startUntruncated(cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := refuseTruncation()
		if err == nil {
			err = cmd.Start()
		}
		result <- err
	}()
	return <-result
}

// refuseTruncation puts the filter on the calling thread, and tries it: without it
// a resize would destroy the image, so no doubt is allowed.
func refuseTruncation() error {
	filter, err := truncationFilter()
	if err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("this kernel cannot filter system calls (CONFIG_SECCOMP_FILTER), which working inside an image file needs: %w", err)
	}
	runtime.KeepAlive(filter)
	if err := unix.Ftruncate(-1, 0); err != nil {
		return fmt.Errorf("the system call filter does not hold back ftruncate: %w", err)
	}
	return nil
}

// truncationFilter is a classic BPF program over struct seccomp_data: the call's
// number at 0, the architecture at 4. Calls of another architecture have other
// numbers, so a program of one (32 bits on 64, say) is killed at its first call.
func truncationFilter() ([]unix.SockFilter, error) {
	arch, ok := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64,
		"ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
	}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("working inside an image file is not possible on %s: its system call filter is not known here", runtime.GOARCH)
	}
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load, K: 4},
		{Code: equal, K: arch, Jf: 5},
		{Code: load, K: 0},
		{Code: equal, K: unix.SYS_FTRUNCATE, Jt: 2},
		{Code: equal, K: unix.SYS_TRUNCATE, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
	}, nil
}
