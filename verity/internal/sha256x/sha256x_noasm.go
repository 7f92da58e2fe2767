//go:build purego || !amd64

package sha256x

// assembly is empty where there is none.
func assembly() []implementation {
	return nil
}
