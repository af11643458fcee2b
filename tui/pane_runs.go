package tui

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/presets"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// runsPane lists the runs there are and the presets that new ones start from. The chosen line is one of the
// runs or, after them, one of the presets.
type runsPane struct {
	s       *shared
	w, h    int
	all     []feed.ListedRun // that there are
	runs    []feed.ListedRun // that the filter leaves, in their order
	filter  runsFilter
	read    bool // the folder was read at least once
	err     error
	presets []string
	at      int    // the chosen line
	dir     string // the chosen run: it stays chosen when others come; "" is a preset
	visible bool
	reading bool
	again   bool // and then once more
	lister  *feed.Lister
	clicked time.Time // of a double click
	layout  runsLayout
	top     int // first visible run
	low     int // first visible preset
}

func newRunsPane(s *shared) *runsPane {
	names := presets.Names()
	if i := slices.Index(names, presets.Default); i > 0 { // the default comes first
		names = append([]string{presets.Default}, slices.Delete(names, i, i+1)...)
	}
	p := &runsPane{s: s, presets: names, lister: feed.NewLister()}
	p.filter.field = s.styles.NewField("words, state:running, cfg.region.weight>=6, has:alarm, not (a or b)", 60)
	return p
}

func (p *runsPane) title() string { return "Runs" }

func (p *runsPane) typing() bool { return p.filter.typing }

func (p *runsPane) keys() []binding {
	move := func(n int) func() tea.Cmd {
		return func() tea.Cmd {
			p.choose(p.at + n)
			return nil
		}
	}
	if p.filter.typing {
		return []binding{
			note("enter", "keep", "Keep the filter"),
			note("esc", "clear", "Clear the filter"),
			note("↑↓", "choose", "Choose a run"),
		}
	}
	return []binding{
		here(keyEnter, "open", "Open the run, or start one from the preset", p.enter),
		on(keyNewRun, p.newRun),
		here(keyEdit, "start with", "Start the preset with settings of your own", p.startWith),
		on(keyResume, p.resume),
		on(keyStop, p.stop),
		on(keyMark, p.mark),
		on(keyFind, p.find),
		on(keySort, p.sort),
		on(keyLabel, p.labelRun),
		on(keyBaseline, p.pinBaseline),
		on(keyTrash, p.trash),
		here(keyEsc, "", "Clear the filter, then unmark all", p.unmark),
		on(keyOpenFolder, p.openFolder),
		here(keyDown, "", "Go to the next line", move(1)),
		here(keyUp, "", "Go to the previous line", move(-1)),
		here(keyPageDown, "", "Go ten lines on", move(10)),
		here(keyPageUp, "", "Go ten lines back", move(-10)),
		here(keyHome, "", "Go to the newest run", move(-1<<20)),
		here(keyEnd, "", "Go to the last preset", move(1<<20)),
		note("mouse", "", "Click to choose a line, twice to open or start it"),
	}
}

func (p *runsPane) update(msg tea.Msg) tea.Cmd {
	cmd := p.take(msg)
	p.arrange()
	return cmd
}

func (p *runsPane) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		p.visible = bool(msg)
		return p.list()
	case tickMsg:
		if p.reading {
			return nil
		}
		return p.list()
	case feed.Listed:
		p.again = p.again || !p.read // with the rewards, which take longer
		p.reading, p.read = false, true
		p.all, p.err = msg.Runs, msg.Err
		p.sift()
		if p.again {
			p.again = false
			return p.list()
		}
	case tea.KeyPressMsg:
		return p.typed(msg)
	case tea.PasteMsg:
		return p.change(msg)
	case settingsMsg:
		p.refreshMarked()
	case comparedMsg:
		return p.compared(msg)
	case widget.Mouse:
		return p.mouse(msg)
	default:
		return p.answered(msg)
	}
	return nil
}

// answered takes what the pane's own commands bring.
func (p *runsPane) answered(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case relistMsg:
		return p.list()
	case trashedMsg:
		return p.trashed(msg)
	case inspectedMarkMsg:
		if snapshot, ok := msg.snapshot.(feed.Snapshot); ok {
			msg.of.Update(snapshot)
		}
	}
	return nil
}

// list reads the folder of runs, if that is not under way.
func (p *runsPane) list() tea.Cmd {
	if !p.visible || p.reading {
		p.again = p.reading // with what is wanted now
		return nil
	}
	p.reading = true
	dir, lister, want := p.s.options.Runs, p.lister, p.wanted()
	return func() tea.Msg { return lister.List(dir, want) }
}

// keepChoice finds the chosen run in a list that has changed.
func (p *runsPane) keepChoice() {
	for i, r := range p.runs {
		if p.dir != "" && r.Dir == p.dir {
			p.at = i
			return
		}
	}
	p.choose(p.at)
}

func (p *runsPane) choose(i int) {
	p.at = max(min(i, len(p.runs)+len(p.presets)-1), 0)
	p.dir = ""
	if r, ok := p.chosen(); ok {
		p.dir = r.Dir
	}
	p.arrange()
}

// arrange lays the parts out and keeps the chosen line among the visible ones.
func (p *runsPane) arrange() {
	if p.isFirst() {
		top := len(p.firstLines(p.w))
		p.layout = runsLayout{presets: image.Rect(0, top, p.w, max(p.h, top))}
	} else {
		p.layout = layoutRuns(p.w, p.h, len(p.runs), len(p.presets), len(p.s.marked) > 0)
	}
	p.top = visibleFrom(p.top, p.at, len(p.runs), p.layout.runs.Dy()-1)
	p.low = visibleFrom(p.low, p.at-len(p.runs), len(p.presets), p.layout.presets.Dy()-1)
}

// visibleFrom is the first visible one of n lines in so many rows: top, unless the chosen line asks for another.
func visibleFrom(top, chosen, n, rows int) int {
	top = max(min(top, n-rows), 0)
	if chosen >= 0 && chosen < n {
		top = min(max(top, chosen-rows+1), chosen)
	}
	return top
}

// chosen is the chosen run; ok is false on a preset.
func (p *runsPane) chosen() (feed.ListedRun, bool) {
	if p.at < len(p.runs) {
		return p.runs[p.at], true
	}
	return feed.ListedRun{}, false
}

// preset is the chosen preset; on a run it is that run's own, if it is one of ours.
func (p *runsPane) preset() string {
	if i := p.at - len(p.runs); i >= 0 && i < len(p.presets) {
		return p.presets[i]
	}
	if r, ok := p.chosen(); ok {
		for _, name := range p.presets {
			if name == r.Info.Preset {
				return name
			}
		}
	}
	return presets.Default
}

// enter opens the chosen run, or asks whether to start the chosen preset. Before the folder is read there is
// nothing to choose.
func (p *runsPane) enter() tea.Cmd {
	if !p.read {
		return nil
	}
	r, ok := p.chosen()
	switch {
	case !ok:
		preset := p.preset()
		return p.s.ask("Start "+preset+"?", func() tea.Cmd { return p.start(preset, nil) }, presets.Summary(preset), "It trains in the background, also when you leave the screen.")
	case r.Err != nil:
		return p.s.fail(r.Err)
	}
	return func() tea.Msg { return openMsg{r.Dir} }
}

func (p *runsPane) newRun() tea.Cmd {
	p.choose(len(p.runs))
	return nil
}

// start starts a run in the background and opens it.
func (p *runsPane) start(preset string, set []string) tea.Cmd {
	start := p.s.options.Start
	if start == nil && p.s.run != nil && p.s.run.Info.Far != nil {
		host := p.s.run.Info.Far.Host
		return p.s.fail(fmt.Errorf("runs on %s start there: ssh %s focusnfix start %s; then attach %s: shows the new one", host, host, preset, host))
	}
	if start == nil {
		return p.s.fail(errors.New("this screen cannot start runs"))
	}
	return tea.Batch(p.s.say("starting %s", preset), func() tea.Msg {
		folder, err := start(context.Background(), preset, set)
		if err != nil {
			return failure(err)
		}
		return openMsg{folder.Dir}
	})
}

// startWith asks for settings and starts the preset with them.
func (p *runsPane) startWith() tea.Cmd {
	if !p.read {
		return nil
	}
	preset := p.preset()
	return p.s.askValue("Start "+preset+" with", "", func(text string) (tea.Cmd, error) {
		set := strings.Fields(text)
		for _, one := range set {
			if !strings.Contains(one, "=") {
				return nil, fmt.Errorf("%s: want KEY=VALUE", one)
			}
		}
		return p.start(preset, set), nil
	}, "Settings as KEY=VALUE, with spaces between them:", "train.steps=200 region.weight=20", "config.toml in the repository lists them all.")
}

func (p *runsPane) resume() tea.Cmd {
	if r, ok := p.chosen(); ok && r.Err == nil {
		return p.s.resumeRun(r.Folder, r.State)
	}
	return nil
}

// stop opens the run without showing it, since a question about it follows.
func (p *runsPane) stop() tea.Cmd {
	r, ok := p.chosen()
	if !ok || r.Err != nil {
		return nil
	}
	if !isLive(r.State) {
		return p.s.say("nothing to stop: the run is %s", words.State(r.State))
	}
	return p.s.ask("Stop the run?", func() tea.Cmd { return stopEngine(r.Folder) }, r.Name(), "It finishes the step and writes a checkpoint.", "It can go on from there later.")
}

// stopEngine tells a run's engine to stop.
func stopEngine(f run.Folder) tea.Cmd {
	return func() tea.Msg {
		c, err := f.Dial()
		if err != nil {
			return failure(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), engineTime)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			return failure(err)
		}
		return noticeMsg{text: f.Name() + ": told to stop"}
	}
}

func (p *runsPane) openFolder() tea.Cmd {
	return p.s.askValue("Open a run folder", "", func(text string) (tea.Cmd, error) {
		f := run.Folder{Dir: text}
		if _, err := f.Info(); err != nil {
			return nil, err
		}
		return func() tea.Msg { return openMsg{text} }, nil
	}, "No engine is needed: a copy of a run from another machine will do.")
}

// doubleClick is how long the second click may come after the first.
const doubleClick = 500 * time.Millisecond

func (p *runsPane) mouse(m widget.Mouse) tea.Cmd {
	if n := m.Lines(); n != 0 {
		p.choose(p.at + n)
	}
	line := p.lineAt(image.Pt(m.X, m.Y))
	if !m.Left() || line < 0 {
		return nil
	}
	twice := line == p.at && p.s.now().Sub(p.clicked) < doubleClick
	p.choose(line)
	if p.clicked = p.s.now(); twice {
		return p.enter()
	}
	return nil
}
