package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/resolve"
)

// headers looks into the files that definitions name for detached headers. One that
// does not exist is left out. diskSize bounds the data that a header is about.
func headers(defs []definitions.Definition, diskSize disk.Bytes) (map[string]disk.Content, error) {
	found := map[string]disk.Content{}
	for _, d := range defs {
		if d.Encryption == nil || d.Encryption.DetachedHeader() == "" {
			continue
		}
		path := d.Encryption.DetachedHeader()
		content, err := headerIn(path, diskSize)
		switch {
		case err == nil:
			found[path] = content
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: header_room: %w", d.File, err)
		}
	}
	return found, nil
}

// headerIn says what one file holds. Only a regular file is opened: to open a pipe
// or a device may wait, or do something.
func headerIn(path string, diskSize disk.Bytes) (disk.Content, error) {
	info, err := resolve.Tree{Trusted: true}.Stat(path)
	if err != nil {
		return disk.Content{}, err
	}
	if !info.Mode().IsRegular() {
		return disk.Content{}, fmt.Errorf("%s is no regular file", path)
	}
	file, err := resolve.Trusted(path, os.O_RDONLY)
	if err != nil {
		return disk.Content{}, err
	}
	defer file.Close()
	content, err := probe.Header(file, disk.Bytes(info.Size()), diskSize)
	if err != nil {
		return content, fmt.Errorf("%s: %w", path, err)
	}
	return content, nil
}
