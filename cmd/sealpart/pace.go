package main

import (
	"fmt"
	"time"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/herald"
)

// How often the work is told of, at most: to people on lines of their own, and to those
// who show the last word only.
const (
	linePause   = 5 * time.Second
	heraldPause = time.Second
)

// pace is how the work on one partition goes.
type pace struct {
	began time.Time
	from  disk.Bytes // what was done when it began: before an interruption
}

// status says how an action goes: how much of it is done, how fast, and how long the
// rest will take.
func (p *pace) status(e executor.Event, now time.Time) herald.Status {
	text := e.Action
	if e.Partition > 0 {
		text = fmt.Sprintf("%s partition %d", e.Action, e.Partition)
	}
	s := herald.Status{Text: text, Phase: e.Action}
	if e.Total <= 0 {
		return s
	}
	s.Percent = int(percent(e.Done, e.Total))
	s.Text = fmt.Sprintf("%s: %d%% of %s", text, s.Percent, e.Total)
	seconds := now.Sub(p.began).Seconds()
	if rate := float64(e.Done-p.from) / seconds; seconds >= 1 && rate > 0 {
		left := time.Duration(float64(e.Total-e.Done) / rate * float64(time.Second))
		s.Text += fmt.Sprintf(", %s/s, %s left", disk.Bytes(rate).RoundDown(disk.MiB), left.Round(time.Second))
	}
	return s
}

// tell tells everybody of an event, but not too often.
func (p *progress) tell(e executor.Event) {
	now := time.Now()
	at, ok := p.paces[e.Partition]
	if !ok {
		at = &pace{began: now, from: e.Done}
		p.paces[e.Partition] = at
	}
	turn := e.Phase == executor.Began || e.Phase == executor.Done
	if p.herald != nil && (turn || now.Sub(p.told) >= heraldPause) {
		p.told = now
		p.herald.Say(at.status(e, now))
	}
	if p.lines && e.Total > 0 && now.Sub(p.lined) >= linePause {
		p.lined = now
		fmt.Fprintf(p.notes, "sealpart: %s\n", at.status(e, now).Text)
	}
}
