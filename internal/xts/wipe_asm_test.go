//go:build !purego && (amd64 || arm64)

package xts

import "unsafe"

// schedulesOf returns the memory of the key schedules of a kernel.
func schedulesOf(k kernel) [][]byte {
	a, ok := k.(*assembled)
	if !ok {
		return portableSchedules(k.(*portable))
	}
	keys := func(s *schedule) []byte { return memory(unsafe.Pointer(&s.keys), unsafe.Sizeof(s.keys)) }
	return [][]byte{keys(&a.encryption), keys(&a.decryption), keys(&a.tweak)}
}
