package tui

import (
	"fmt"
	"testing"
	"time"

	"focusnfix/tui/internal/sample"
)

// counter is a terminal that counts.
type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// With nothing but the clock going on, a second costs next to nothing on the line; so does a step a second.
func TestIdleTraffic(t *testing.T) {
	sampleRuns(t)
	live, err := sample.Create("runs", sample.Options{Preset: "violence", Aspects: allAspects, Steps: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := live.Begin(); err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= 100; step++ {
		if err := live.Step(step); err != nil {
			t.Fatal(err)
		}
	}
	d := drive(t, Options{Runs: "runs", Open: live.Dir}, 120, 40)
	d.until("read", func() bool { return d.run.Store.Step == 100 && d.run.HasConfig })
	now := time.Now()
	d.now = func() time.Time { return now }
	measure := func(name string, limit int, second func(i int)) {
		line := new(counter)
		r := newRig(t, 120, 40, d.deck.shelf, line)
		r.show(d.content())
		line.n = 0
		const seconds = 10
		for i := range seconds {
			now = now.Add(time.Second)
			second(i)
			d.send(tickMsg(now))
			r.show(d.content())
		}
		if perSecond := line.n / seconds; perSecond > limit {
			t.Errorf("%s: %d bytes a second, want at most %d", name, perSecond, limit)
		}
	}
	measure("dashboard, idle", 100, func(int) {})
	measure("dashboard, a step a second", 12000, func(i int) {
		if err := live.Step(101 + i); err != nil {
			t.Fatal(err)
		}
		d.until(fmt.Sprint("step ", 101+i), func() bool { return d.run.Store.Step == 101+i })
	})
	d.press("1")
	measure("list of runs, idle", 200, func(int) {})
}
