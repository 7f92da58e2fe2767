package executor

import (
	"errors"
	"fmt"
)

// grow makes an image file as large as the plan wants it. A power cut leaves a larger image with
// its old table.
func (x *run) grow() error {
	if x.plan.Target.Size <= x.dev.Size() {
		return nil
	}
	x.touch()
	x.began = x.dev.Size()
	return x.dev.Grow(x.plan.Target.Size)
}

// takeBack removes what a run that has failed has made beside the disk, and makes an image file
// as large as it was. Once the new table may be there it leaves all as it is: the keys and
// the space may be in use. Until then the new headers lie in space that is free.
func (x *run) takeBack() error {
	if x.tabled {
		return nil
	}
	err := x.env.takeBack()
	if x.began > 0 {
		if cut := x.dev.CutBack(x.began); cut != nil {
			err = errors.Join(err, fmt.Errorf("make the image as large as it was: %w", cut))
		}
	}
	return err
}
