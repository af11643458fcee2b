package feed

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"focusnfix/core"
)

// Events that are taken in many at once make the same tables as those that come one by one: also where steps go back, aspects
// change, numbers are missing, and old rows give way.
func TestAddAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	events := make([]core.Event, 0, 2*maxRows)
	for step := 0; len(events) < cap(events); step++ {
		e := core.Event{Kind: "step", Step: step, Time: time.Unix(int64(step), 0), Train: &core.TrainStep{Reward: r.Float64(), Loss: 1}}
		switch {
		case step%1000 == 999:
			e = core.Event{Kind: "state", Step: step, State: "running", Message: fmt.Sprint("step ", step)}
		case step%7001 == 7000:
			step -= 3000
		case step%5 > 0:
			e.Train.Aspects = []core.AspectScore{{Aspect: []string{"violence", "artifacts"}[step/20000%2], Reward: r.Float64()}}
		}
		events = append(events, e)
	}
	one, all := NewStore(), NewStore()
	for i := range events {
		one.Add(&events[i])
	}
	for rest := events; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(5000))
		all.AddAll(rest[:n])
		rest = rest[n:]
	}
	if one.Step != all.Step || one.Train != all.Train || one.changes != all.changes || len(one.Log) != len(all.Log) {
		t.Errorf("step %d, %d changes and %d lines, want %d, %d and %d", all.Step, all.changes, len(all.Log), one.Step, one.changes, len(one.Log))
	}
	if one.Steps.rewrote == 0 || one.Steps.Rows() != all.Steps.Rows() || len(one.Steps.columns) != len(all.Steps.columns) {
		t.Fatalf("%d rows of %d columns, want %d of %d, thinned", all.Steps.Rows(), len(all.Steps.columns), one.Steps.Rows(), len(one.Steps.columns))
	}
	for name, c := range one.Steps.columns {
		other := all.Steps.Column(name)
		if len(other) != len(c.values) {
			t.Errorf("%s: %d values, want %d", name, len(other), len(c.values))
			continue
		}
		for i, v := range c.values {
			if w := other[i]; v != w && (v == v || w == w) {
				t.Fatalf("%s: row %d is %v, want %v", name, i, w, v)
			}
		}
	}
}
