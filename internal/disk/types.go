package disk

import "github.com/google/uuid"

// Type is a GPT partition type of the Discoverable Partitions Specification.
type Type struct {
	Name string    // "root-x86-64", "esp", …; "" for an unknown GUID
	UUID uuid.UUID // the GPT type GUID
}
