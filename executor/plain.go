package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
)

// checkPlain looks at the plain data once more before anything happens to it: the
// file system must be the one of the plan and end where the data of the conversion
// ends.
func (c *conversion) checkPlain(data blockdev.Device) error {
	content, err := probe.Content(data, data.Size())
	if err != nil {
		return err
	}
	if content.Kind != c.action.Filesystem {
		return fmt.Errorf("expected a file system of kind %q, found %q", c.action.Filesystem, content.Kind)
	}
	if content.Size == 0 || content.Size > c.action.DataSize {
		return fmt.Errorf("the file system takes %d bytes, more than the %d that would be encrypted", content.Size, c.action.DataSize)
	}
	return nil
}
