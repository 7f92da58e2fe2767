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
func startUntruncated(cmd *exec.Cmd) error {
	return onSpentThread(func() error {
		if err := refuseTruncation(); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// onSpentThread calls f on a thread that is spent for it. A system call filter holds
// for the thread that sets it and for all that it starts, and can never be taken
// off. So the goroutine is tied to the thread and ends tied, which ends the thread.
// The Go runtime makes no threads out of a tied one, so nothing else comes under the
// filter.
func onSpentThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}

// refuseTruncation puts the filter on the calling thread, and tries it: without it
// a resize would destroy the image, so no doubt is allowed.
func refuseTruncation() error {
	filter, err := callFilter(unix.SECCOMP_RET_ERRNO, unix.SYS_FTRUNCATE, unix.SYS_TRUNCATE)
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

// callFilter is a classic BPF program over struct seccomp_data (the call's number at
// 0, the architecture at 4) that answers these calls with action and allows all
// others. Calls of another architecture have other numbers, so a program of one (32
// bits on 64, say) is killed at its first call.
func callFilter(action uint32, calls ...uint32) ([]unix.SockFilter, error) {
	arch, ok := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64,
		"ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
	}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("resizing a file system is not possible on %s: its system call filter is not known here", runtime.GOARCH)
	}
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load, K: 4},
		{Code: equal, K: arch, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: 0},
	}
	for i, call := range calls {
		filter = append(filter, unix.SockFilter{Code: equal, K: call, Jt: uint8(len(calls) - i)})
	}
	return append(filter,
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: answer, K: action}), nil
}
