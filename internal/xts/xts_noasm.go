//go:build purego || !(amd64 || arm64)

package xts

// assembly is empty where there is none.
func assembly() []implementation {
	return nil
}
