package feed

import (
	"math"
	"os"
	"path/filepath"

	"focusnfix/core/run"
)

// ListedRun is a run and the rewards of its newest steps.
type ListedRun struct {
	run.Run
	Rewards []float64
}

// Listed is the folder of runs, read.
type Listed struct {
	Runs []ListedRun
	Err  error
}

// sparkSteps is how many steps the list's sparklines show.
const sparkSteps = 64

// Lister reads the folder of runs. It remembers the rewards of logs that have not changed since. It is used by
// one command at a time.
type Lister struct{ known map[string]knownLog }

type knownLog struct {
	size    int64
	rewards []float64
}

// NewLister returns a lister that knows nothing yet.
func NewLister() *Lister { return &Lister{map[string]knownLog{}} }

// List reads the runs in dir. It is for one goroutine at a time.
func (l *Lister) List(dir string) Listed {
	list, err := run.List(dir)
	if err != nil {
		return Listed{Err: err}
	}
	known := map[string]knownLog{}
	msg := Listed{Runs: make([]ListedRun, 0, len(list))}
	for _, r := range list {
		k := l.rewards(r)
		known[r.Dir] = k
		msg.Runs = append(msg.Runs, ListedRun{r, k.rewards})
	}
	l.known = known
	return msg
}

func (l *Lister) rewards(r run.Run) knownLog {
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
