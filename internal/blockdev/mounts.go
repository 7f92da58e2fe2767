package blockdev

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoints maps device numbers ("8:2") to where they are mounted in this mount
// namespace (proc(5), /proc/pid/mountinfo). btrfs shows an anonymous number there,
// so the node it was mounted from counts too.
func mountPoints() (map[string][]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	points := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
		before, after, ok := strings.Cut(line, " - ")
		own, source := strings.Fields(before), strings.Fields(after)
		if !ok || len(own) < 5 || len(source) < 2 {
			return nil, fmt.Errorf("/proc/self/mountinfo: a line with too few fields: %q", line)
		}
		where := unescape(own[4])
		points[own[2]] = append(points[own[2]], where)
		if number := NumberAt(unescape(source[1])); number != "" && number != own[2] {
			points[number] = append(points[number], where)
		}
	}
	return points, nil
}

// ReadOnly reports whether the block device of a number is in use by file systems that are
// mounted read-only, and only by those: then nobody writes to it.
func ReadOnly(number string) (bool, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	some := false
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		own, source := strings.Fields(before), strings.Fields(after)
		if len(own) < 3 || len(source) < 3 || own[2] != number && NumberAt(unescape(source[1])) != number {
			continue
		}
		if some = true; !slices.Contains(strings.Split(source[2], ","), "ro") {
			return false, nil
		}
	}
	return some, nil
}

// swapAreas maps device numbers to the swap areas on them (proc(5), /proc/swaps).
func swapAreas() (map[string][]string, error) {
	text, err := os.ReadFile("/proc/swaps")
	if os.IsNotExist(err) {
		return nil, nil // a kernel without swap
	}
	if err != nil {
		return nil, err
	}
	areas := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[1] != "partition" {
			continue // the heading, or a swap file: its file system is mounted
		}
		node := unescape(fields[0])
		if number := NumberAt(node); number != "" {
			areas[number] = append(areas[number], node)
		}
	}
	return areas, nil
}

// NumberAt returns the number of the block device at path, "8:2", "" if there is none.
func NumberAt(path string) string {
	var stat unix.Stat_t
	if !strings.HasPrefix(path, "/") || unix.Stat(path, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return ""
	}
	return deviceNumber(uint64(stat.Rdev))
}

// deviceNumber writes a device number as sysfs does.
func deviceNumber(number uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
}

// unescape undoes the octal escapes (\040 for a space) of files in /proc.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
