package tui

import (
	"math"
	"os"
	"path/filepath"

	"focusnfix/core/run"
)

// listedRun is a run and the rewards of its newest steps.
type listedRun struct {
	run.Run
	rewards []float64
}

// listedMsg is the folder of runs, read.
type listedMsg struct {
	runs []listedRun
	err  error
}

// sparkSteps is how many steps the list's sparklines show.
const sparkSteps = 64

// lister reads the folder of runs. It remembers the rewards of logs that have not changed since. It is used by
// one command at a time.
type lister struct{ known map[string]knownLog }

type knownLog struct {
	size    int64
	rewards []float64
}

func newLister() *lister { return &lister{map[string]knownLog{}} }

func (l *lister) list(dir string) listedMsg {
	list, err := run.List(dir)
	if err != nil {
		return listedMsg{err: err}
	}
	known := map[string]knownLog{}
	msg := listedMsg{runs: make([]listedRun, 0, len(list))}
	for _, r := range list {
		k := l.rewards(r)
		known[r.Dir] = k
		msg.runs = append(msg.runs, listedRun{r, k.rewards})
	}
	l.known = known
	return msg
}

func (l *lister) rewards(r run.Run) knownLog {
	info, err := os.Stat(filepath.Join(r.Dir, "events.jsonl"))
	if r.Err != nil || err != nil {
		return knownLog{}
	}
	if k, ok := l.known[r.Dir]; ok && k.size == info.Size() {
		return k
	}
	k := knownLog{size: info.Size()}
	events, err := r.Tail(sparkSteps)
	if err != nil {
		return knownLog{} // the list says why
	}
	for _, e := range events {
		if e.Train != nil && !math.IsNaN(e.Train.Reward) {
			k.rewards = append(k.rewards, e.Train.Reward)
		}
	}
	return k
}
