//go:build !purego && (amd64 || arm64)

package xts

import "github.com/sealpart/sealpart/internal/secret"

// memoryOf returns where a kernel has its keys.
func memoryOf(k kernel) *secret.Buffer {
	if a, ok := k.(*assembled); ok {
		return a.memory
	}
	return k.(*portable).memory
}
