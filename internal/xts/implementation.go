package xts

import "fmt"

// implementation is one way to compute AES-XTS.
type implementation struct {
	name string
	// supported reports whether this CPU, and the operating system under it,
	// can run it.
	supported bool
	// newKernel expands the two AES keys, which have equal and valid lengths, into locked
	// memory.
	newKernel func(dataKey, tweakKey []byte) (kernel, error)
}

// implementations lists all that this build has, fastest first. The last runs
// everywhere.
func implementations() []implementation {
	return append(assembly(), implementation{
		name:      "portable",
		supported: true,
		newKernel: newPortable,
	})
}

// Implementations names those that this CPU can run, fastest first; New takes the
// first. They are for measuring: all give the same bytes.
func Implementations() []string {
	var names []string
	for _, impl := range implementations() {
		if impl.supported {
			names = append(names, impl.name)
		}
	}
	return names
}

// NewWith is New with an implementation chosen by its name.
func NewWith(name string, key []byte) (*Cipher, error) {
	for _, impl := range implementations() {
		if impl.name == name && impl.supported {
			return newWith(impl, key)
		}
	}
	return nil, fmt.Errorf("aes-xts: this CPU cannot run %q", name)
}

func fastest() implementation {
	for _, impl := range implementations() {
		if impl.supported {
			return impl
		}
	}
	panic("xts: no implementation, not even the portable one")
}
