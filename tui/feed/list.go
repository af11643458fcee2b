package feed

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"focusnfix/core/run"
)

// ListedRun is a run and the rewards of its newest steps.
type ListedRun struct {
	run.Run
	Rewards []float64
	Alarmed bool              // if asked for
	Config  map[string]string // settings by name, if asked for
}

// Wanted is what a list is to have besides: it takes time.
type Wanted struct{ Rewards, Alarms, Configs bool }

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

	alarmed, asked bool // asked: alarms were looked for
	config         map[string]string
	configured     time.Time // when config.toml was written
}

// NewLister returns a lister that knows nothing yet.
func NewLister() *Lister { return &Lister{map[string]knownLog{}} }

// List reads the runs in dir. It is for one goroutine at a time.
func (l *Lister) List(dir string, want Wanted) Listed {
	list, err := run.List(dir)
	if err != nil {
		return Listed{Err: err}
	}
	known := map[string]knownLog{}
	msg := Listed{Runs: make([]ListedRun, 0, len(list))}
	for _, r := range list {
		k := l.known[r.Dir]
		if want.Rewards || want.Alarms {
			k = l.rewards(r)
		}
		if want.Alarms && !k.asked {
			k.alarmed, _ = r.Alarmed() // the list says why
			k.asked = true
		}
		if want.Configs {
			k.configure(r.Folder)
		}
		known[r.Dir] = k
		msg.Runs = append(msg.Runs, ListedRun{r, k.rewards, k.alarmed, k.config})
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
	k := l.known[r.Dir]
	k.size, k.rewards = info.Size(), nil
	events, err := r.Tail(sparkSteps)
	if err != nil {
		return knownLog{} // the list says why
	}
	for _, e := range events {
		k.alarmed = k.alarmed || e.Alarm != nil
		if e.Train != nil && !math.IsNaN(e.Train.Reward) {
			k.rewards = append(k.rewards, e.Train.Reward)
		}
	}
	return k
}

// configure reads the run's settings, if they were written since.
func (k *knownLog) configure(f run.Folder) {
	info, err := os.Stat(filepath.Join(f.Dir, "config.toml"))
	if err != nil || k.config != nil && k.configured.Equal(info.ModTime()) {
		return
	}
	k.config, k.configured = map[string]string{}, info.ModTime()
	c, err := f.Config()
	if err != nil {
		return // no settings are known
	}
	for _, key := range c.Keys() {
		k.config[key.Name] = fmt.Sprint(key.Value)
	}
}
