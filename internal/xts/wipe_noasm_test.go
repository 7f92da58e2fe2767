//go:build purego || !(amd64 || arm64)

package xts

// schedulesOf returns the memory of the key schedules of a kernel.
func schedulesOf(k kernel) [][]byte {
	return portableSchedules(k.(*portable))
}
