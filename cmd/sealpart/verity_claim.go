package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"golang.org/x/sys/unix"
)

// A tree is worth something only where its data stays what it was read as, and is lost where
// another program has the place of the tree. So both are taken for us alone while it is made.

// claims are devices that nobody else gets.
type claims []io.Closer

// Close gives them back.
func (c claims) Close() (err error) {
	for _, one := range c {
		err = errors.Join(err, one.Close())
	}
	return err
}

// claim takes the place of the tree, and the data. Data that is mounted read-only stays so.
func (h *hashDevice) claim(arg string, data input) (claims, error) {
	if err := h.checkHolders(); err != nil {
		return nil, err // which says who
	}
	tree, err := claim.Take(h.disk, []disk.Extent{h.extent})
	if err != nil {
		return nil, err
	}
	held := claims{tree}
	content, err := data.claim(arg)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return append(held, content...), nil
}

// claim takes what is read, where it is a block device.
func (s input) claim(arg string) (claims, error) {
	one, number, err := s.take(arg)
	if err == nil {
		return one, nil
	}
	if readOnly, _ := blockdev.ReadOnly(number); readOnly {
		return nil, nil
	}
	return nil, &dataInUseError{arg, err}
}

// take opens the data exclusively, and returns its device's number.
func (s input) take(arg string) (claims, string, error) {
	if s.disk != nil {
		number, err := s.disk.NumberOf(s.extent)
		if err != nil {
			return nil, "", err
		}
		nodes, err := claim.Take(s.disk, []disk.Extent{s.extent})
		return claims{nodes}, number, err
	}
	path, err := filepath.Abs(arg)
	if err != nil {
		return nil, "", err
	}
	number := blockdev.NumberAt(path)
	if number == "" {
		return nil, "", nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL, 0)
	return claims{file}, number, err
}

// dataInUseError refuses to read data that others may change meanwhile.
type dataInUseError struct {
	arg string
	err error
}

// Error names the data.
func (e *dataInUseError) Error() string {
	return fmt.Sprintf("the data in %s is in use, and may change while its tree is made: %v", e.arg, e.err)
}

// Unwrap returns why it cannot be had.
func (e *dataInUseError) Unwrap() error { return e.err }

// Hint says what to do.
func (*dataInUseError) Hint() string { return "unmount it, or mount it read-only" }
