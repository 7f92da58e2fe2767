package main

import (
	"testing"
	"time"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
)

func TestPace(t *testing.T) {
	began := time.Unix(1000, 0)
	p := pace{began: began, from: 1 * disk.GiB} // done before an interruption
	for _, c := range []struct {
		event executor.Event
		after time.Duration
		want  string
	}{
		{executor.Event{Action: "create", Partition: 3}, time.Second, "create partition 3"},
		{executor.Event{Action: "publish"}, time.Second, "publish"},
		{executor.Event{Action: "reencrypt", Partition: 2, Done: 1 * disk.GiB, Total: 4 * disk.GiB}, 0, "reencrypt partition 2: 25% of 4 GiB"},
		{executor.Event{Action: "reencrypt", Partition: 2, Done: 2 * disk.GiB, Total: 4 * disk.GiB}, 8 * time.Second, "reencrypt partition 2: 50% of 4 GiB, 128 MiB/s, 16s left"},
		{executor.Event{Action: "reencrypt", Partition: 2, Done: 4 * disk.GiB, Total: 4 * disk.GiB}, 24 * time.Second, "reencrypt partition 2: 100% of 4 GiB, 128 MiB/s, 0s left"},
	} {
		if got := p.status(c.event, began.Add(c.after)); got.Text != c.want || got.Phase != c.event.Action {
			t.Errorf("%+v: %+v, want %q", c.event, got, c.want)
		}
	}
}
