package xts

// implementation is one way to compute AES-XTS.
type implementation struct {
	name string
	// supported tells whether this CPU, and the operating system under it,
	// can run it.
	supported bool
	// newKernel expands the two AES keys, which have equal and valid lengths.
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

func fastest() implementation {
	for _, impl := range implementations() {
		if impl.supported {
			return impl
		}
	}
	panic("xts: no implementation, not even the portable one")
}
