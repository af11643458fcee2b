package tui

import (
	"math"
	"os"
	"path/filepath"
	"slices"

	tea "charm.land/bubbletea/v2"

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

// comparedMsg is a batch of events of a marked run.
type comparedMsg followedMsg

// mark takes the chosen run into the comparison, or out of it.
func (p *runsPane) mark() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	i := slices.IndexFunc(p.marked, func(o *opened) bool { return o.folder.Dir == r.Dir })
	if i >= 0 {
		p.marked[i].close()
		p.marked = slices.Delete(p.marked, i, i+1)
		return nil
	}
	if len(p.marked) == len(p.s.styles.series) {
		return p.s.say("%s can be compared, not more", plural(len(p.marked), "run"))
	}
	o := newOpened(r.Folder)
	p.marked = append(p.marked, o)
	return p.followMarked(o)
}

func (p *runsPane) unmark() tea.Cmd {
	for _, o := range p.marked {
		o.close()
	}
	p.marked = nil
	return nil
}

func (p *runsPane) followMarked(o *opened) tea.Cmd {
	follow := o.follow()
	return func() tea.Msg {
		if msg, ok := follow().(followedMsg); ok {
			return comparedMsg(msg)
		}
		return nil
	}
}

// compared takes in a batch of a marked run's events.
func (p *runsPane) compared(msg comparedMsg) tea.Cmd {
	if !slices.Contains(p.marked, msg.run) {
		return nil
	}
	if !msg.run.take(followedMsg(msg)) {
		return nil
	}
	return p.followMarked(msg.run)
}

// isMarked tells the colour of a marked run's curve.
func (p *runsPane) isMarked(dir string) (color int, ok bool) {
	i := slices.IndexFunc(p.marked, func(o *opened) bool { return o.folder.Dir == dir })
	return i, i >= 0
}
