package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// showKeys writes keyslots, for people or for programs.
func showKeys(w io.Writer, rows []keyRow, asJSON bool) error {
	if asJSON {
		return showJSON(w, rows)
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	told := map[string]int{} // which keyslot a reason was told of
	for _, r := range rows {
		fmt.Fprintf(table, "%d\t%s\t%s\n", r.Keyslot, r.Bound+spokenHeld(r.Secure)+spokenPriority(r.Priority), spokenTest(r, told))
	}
	_ = table.Flush() // into memory
	lines := strings.SplitAfter(text.String(), "\n")
	out := bufio.NewWriter(w)
	for i, r := range rows {
		fmt.Fprint(out, lines[i])
		for _, detail := range r.lines() {
			fmt.Fprintf(out, "   %s\n", detail)
		}
	}
	return out.Flush()
}

// spokenHeld says what a keyslot holds, where that is not the volume key itself.
func spokenHeld(secure bool) string {
	if secure {
		return ", holds a secure key"
	}
	return ""
}

// spokenPriority says when a keyslot is tried, where that is not with the others.
func spokenPriority(priority string) string {
	switch priority {
	case priorityPrefer:
		return ", tried first"
	case priorityIgnore:
		return ", tried only when it is named"
	}
	return ""
}

// spokenTest says what trying a keyslot gave. A reason that was told of another keyslot is
// not told again.
func spokenTest(r keyRow, told map[string]int) string {
	if r.Opens != nil && *r.Opens {
		return fmt.Sprintf("opens, %.0f ms", r.Milliseconds)
	}
	reason := printable(strings.ReplaceAll(r.Reason, "\n", "; "))
	if first, known := told[reason]; known {
		reason = fmt.Sprintf("as keyslot %d", first)
	} else {
		told[reason] = r.Keyslot
	}
	if r.Opens == nil {
		return "not tried: " + reason
	}
	return "does not open: " + reason
}
