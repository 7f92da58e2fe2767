package sha256x

// maxLanes is the largest number of messages that any implementation takes.
const maxLanes = 16

// states are the eight words of the running hash of each message of a group, in
// an order of the implementation's.
type states [maxLanes * 8]uint32

// implementation is one way to compute several messages at a time.
type implementation struct {
	name string
	// supported reports whether this CPU, and the operating system under it,
	// can run it.
	supported bool
	lanes     int // number of messages
	// words[w] + i*lane is where word w of message i is in states.
	words [8]int
	lane  int
	// compress takes the next chunks of 64 bytes, at least one, of each message:
	// the first message's are at data, the others' stride bytes further each.
	compress func(s *states, data *byte, stride, chunks int)
}

// supported lists those that this CPU can run, fastest first.
func supported() []implementation {
	var list []implementation
	for _, impl := range assembly() {
		if impl.supported {
			list = append(list, impl)
		}
	}
	return list
}

// Implementation names what New takes for most of the messages.
func Implementation() string {
	for _, impl := range supported() {
		return impl.name
	}
	return portable
}

// portable is the name of crypto/sha256, one message at a time.
const portable = "portable"
