package mkfs

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

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
