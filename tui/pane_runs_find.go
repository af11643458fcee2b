package tui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/find"
	"focusnfix/tui/widget"
)

// runsFilter narrows the list of runs down and orders it.
type runsFilter struct {
	field  textinput.Model
	typing bool // the field has the focus
	query  find.Query
	err    error // of what is typed; the query before stays
	order  runOrder
}

// runOrder is by what the list is sorted.
type runOrder uint8

const (
	byAge runOrder = iota
	byName
	byState
	byStep
	byReward
	runOrders
)

func (o runOrder) String() string {
	return [...]string{"the newest first", "by name", "by state", "the most steps first", "the highest reward first"}[o]
}

// runSubject is a run as a query asks for it.
type runSubject struct{ *feed.ListedRun }

// Text is what bare words are looked for in.
func (r runSubject) Text() string {
	return strings.Join([]string{r.Name(), r.Label.Title, r.Label.Note, strings.Join(r.Label.Tags, " "), r.Info.Preset, r.Info.Model, words.State(r.State)}, " ")
}

// Field is a fact of the run, cfg.KEY a setting, and METRIC/ASPECT a number of its newest step, as the screen shows it.
func (r runSubject) Field(name string) (value string, ok bool) {
	if key, isSetting := strings.CutPrefix(name, "cfg."); isSetting {
		value, ok = r.Config[key]
		return value, ok
	}
	switch name {
	case "name":
		return r.Name(), true
	case "title":
		return r.Label.Title, true
	case "note":
		return r.Label.Note, true
	case "tag", "tags":
		return strings.Join(r.Label.Tags, " "), true
	case "state":
		return words.State(r.State), true
	case "preset":
		return r.Info.Preset, true
	case "model":
		return r.Info.Model, true
	case "device":
		return r.Info.Device, true
	case "version":
		return r.Info.Version, true
	case "steps":
		return fmt.Sprint(r.Info.Steps), true
	case "step":
		return fmt.Sprint(max(r.Last.Step, r.Info.Step)), true
	}
	return r.number(name)
}

// number is a number of the newest step, as the screen shows it.
func (r runSubject) number(name string) (value string, ok bool) {
	if r.Last.Train == nil {
		return "", false
	}
	r.Last.Train.Numbers(func(m core.Metric, metric string, v float64) {
		if metric == name && !math.IsNaN(v) {
			value, ok = fmt.Sprint(m.Shown(v)), true
		}
	})
	return value, ok
}

// Has reports whether the run has alarms, a note, a title, tags, steps or an error.
func (r runSubject) Has(thing string) bool {
	switch strings.TrimSuffix(thing, "s") {
	case "alarm":
		return r.Alarmed
	case "note":
		return r.Label.Note != ""
	case "title":
		return r.Label.Title != ""
	case "tag":
		return len(r.Label.Tags) > 0
	case "step":
		return r.Last.Train != nil
	case "error":
		return r.Err != nil || r.Info.Message != ""
	}
	return false
}

// find puts the focus into the filter.
func (p *runsPane) find() tea.Cmd {
	p.filter.typing = true
	p.filter.field.CursorEnd()
	return p.filter.field.Focus()
}

// typed takes a key while the filter has the focus.
func (p *runsPane) typed(msg tea.KeyPressMsg) tea.Cmd {
	switch msg.String() {
	case "esc":
		p.filter.field.SetValue("")
		return tea.Batch(p.leaveFilter(), p.narrow())
	case "enter":
		return p.leaveFilter()
	case "up":
		p.choose(p.at - 1)
		return nil
	case "down":
		p.choose(p.at + 1)
		return nil
	}
	return p.change(msg)
}

func (p *runsPane) leaveFilter() tea.Cmd {
	p.filter.typing = false
	p.filter.field.Blur()
	return nil
}

// change hands a key or a paste to the filter.
func (p *runsPane) change(msg tea.Msg) tea.Cmd {
	before := p.filter.field.Value()
	var cmd tea.Cmd
	p.filter.field, cmd = p.filter.field.Update(msg)
	if p.filter.field.Value() == before {
		return cmd
	}
	return tea.Batch(cmd, p.narrow())
}

// narrow takes over the filter that is typed. It may ask for more than the list knows.
func (p *runsPane) narrow() tea.Cmd {
	query, err := find.Parse(p.filter.field.Value())
	if p.filter.err = err; err != nil {
		return nil
	}
	p.filter.query = query
	p.sift()
	return p.list()
}

// wanted is what the list has to know for the filter.
func (p *runsPane) wanted() feed.Wanted {
	q := p.filter.query
	return feed.Wanted{Rewards: p.read, Alarms: q.Uses("has:alarm"), Configs: q.Uses("cfg.")}
}

// sift makes the list of all runs: those that the filter leaves, in their order.
func (p *runsPane) sift() {
	p.runs = p.runs[:0]
	for i := range p.all {
		if p.filter.query.Match(runSubject{&p.all[i]}) {
			p.runs = append(p.runs, p.all[i])
		}
	}
	reward := func(r feed.ListedRun) float64 {
		if r.Last.Train == nil || math.IsNaN(r.Last.Train.Reward) {
			return math.Inf(-1)
		}
		return r.Last.Train.Reward
	}
	slices.SortStableFunc(p.runs, func(a, b feed.ListedRun) int {
		switch p.filter.order {
		case byName:
			return strings.Compare(runTitle(a), runTitle(b))
		case byState:
			return strings.Compare(a.State, b.State)
		case byStep:
			return cmp.Compare(max(b.Last.Step, b.Info.Step), max(a.Last.Step, a.Info.Step))
		case byReward:
			return cmp.Compare(reward(b), reward(a))
		}
		return 0 // as they are listed
	})
	p.keepChoice()
}

// sort orders the list in another way.
func (p *runsPane) sort() tea.Cmd {
	p.filter.order = (p.filter.order + 1) % runOrders
	p.sift()
	return p.s.say("runs: %s", p.filter.order)
}

// filterLine is the filter in place of the list's head; ok is false where there is none.
func (p *runsPane) filterLine(w int) (line string, ok bool) {
	f := &p.filter
	if !f.typing && f.field.Value() == "" {
		return "", false
	}
	right := p.s.styles.FaintText.Render(fmt.Sprintf("%d of %d ", len(p.runs), len(p.all)))
	if f.err != nil {
		right = p.s.styles.BadText.Render(widget.FitLine(f.err.Error(), min(len(f.err.Error()), w/2))) + " "
	}
	return widget.Spread("  "+p.s.styles.AccentText.Render("/ ")+f.field.View(), right, w), true
}

// runTitle is how a run is called in the list: as its owner has titled it, or by its name.
func runTitle(r feed.ListedRun) string { return cmp.Or(r.Label.Title, r.Name()) }
