package xts

import (
	"bytes"
	"reflect"
	"testing"
	"unsafe"
)

// TestWipe looks at the memory where the keys were, before and after.
func TestWipe(t *testing.T) {
	forEach(t, func(t *testing.T, impl implementation) {
		for _, size := range []int{32, 64} {
			c := newCipher(t, impl, repeated(size))
			schedules := schedulesOf(c.kernel)
			for _, s := range schedules {
				if blank(s) {
					t.Error("no key where this test looks for it")
				}
			}
			c.Wipe()
			for _, s := range schedules {
				if !blank(s) {
					t.Errorf("after the wipe of a %d-byte key: %x", size, s)
				}
			}
			c.Wipe()
		}
	})
}

func blank(b []byte) bool {
	return len(bytes.Trim(b, "\x00")) == 0
}

// memory returns the bytes of a value.
func memory(p unsafe.Pointer, size uintptr) []byte {
	return unsafe.Slice((*byte)(p), size)
}

func portableSchedules(p *portable) [][]byte {
	var schedules [][]byte
	for _, block := range []any{p.data, p.tweak} {
		v := reflect.ValueOf(block)
		schedules = append(schedules, memory(v.UnsafePointer(), v.Elem().Type().Size()))
	}
	return schedules
}
