package tui

import (
	"context"
	"os"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
)

// The screen is one tea.Model, app, and six panes that it routes messages to. What holds between them:
//
//   - A pane is a struct with a pointer to shared, made by newXxxPane(s). shared has all that panes see of
//     the program: the opened run (s.run, nil where none is; its folder, state, configuration, and in
//     s.run.Store the curves, log, images and prompts of its events), styles, settings, the terminal's pictures.
//     It changes in Update only, so panes read it in update and view without locks.
//   - update(msg) takes what happened, brings up to date what the pane derives from it, and may return a
//     command. view(w, h) draws exactly h lines of w cells; sizeMsg told the same w and h before. A view reads
//     and changes nothing, of the pane, of a dialog, or of shared: TestViewsArePure draws every frame twice.
//     All work that may wait (files, engine, encoding) is a tea.Cmd; what it returns comes to update of every
//     pane.
//   - keys() are the pane's rows of the key table (keys.go), in which each key has one meaning. The app
//     dispatches by it and help and footer print it; nobody else looks at keys. While typing() is true (a text
//     field has the focus) every key but ctrl+c and those with alt comes to update as tea.KeyPressMsg instead,
//     and tea.PasteMsg too; esc must end that.
//   - The mouse comes to the visible pane as widget.Mouse, with X and Y counted from the pane's own top left.
//     Rectangles are computed by the pane's layout function, the same for view and mouse.
//   - Images: s.want(name, drawing, cols, rows) returns the command that reads, blends and encodes an
//     image of the run folder, or nil where it is there already; s.picture(name, w, h) is its text for
//     view. Names begin with the pane's name. Call want again after sizeMsg and encodeMsg.
//   - The engine: s.engine(func(ctx, *run.Client) tea.Msg) is a command that dials the opened run's engine.
//     s.say and s.fail put one line into the footer; s.ask opens a question over everything.
//   - Messages that panes get: sizeMsg, widget.Mouse, visibleMsg, encodeMsg, openedMsg (another run is open),
//     eventsMsg (the store took events in), stateMsg (run.json was read), shownMsg (a wanted image).

// Options is what the screen is started with. The callbacks start processes; the screen itself only
// reads run folders and talks to engines.
type Options struct {
	Runs     string // folder of runs
	Open     string // folder of the run to open at once; "" shows the list
	Images   string // --images; "" is the setting or FNF_IMAGES
	CellSize string // --cell-size
	Version  string

	Start  func(ctx context.Context, preset string, set []string) (run.Folder, error)
	Resume func(ctx context.Context, f run.Folder) error
	Wake   func(ctx context.Context, f run.Folder) error // starts an idle engine for prompts

	// Export writes the LoRA of a run's newest checkpoint, with the names of a format, into the working folder and
	// returns its path.
	Export func(ctx context.Context, f run.Folder, format string) (string, error)

	// SaveLoRA writes a LoRA file with the names of a format, peft or kohya.
	SaveLoRA func(ctx context.Context, from, to, format string) error

	// Report writes a page about runs, the first the baseline, and returns its path.
	Report func(ctx context.Context, runs []run.Folder) (string, error)

	// Fetch sees to an image of a run that is on another machine; see feed.Cache. nil: runs are here.
	Fetch func(f run.Folder, path string, side int) (string, error)
	// Bring brings the small files of such a run's folder, run.References or run.Fixes, up to date. nil: runs are here.
	Bring func(ctx context.Context, f run.Folder, part string) error
	// Apply makes a change where the run is. nil: runs are here.
	Apply func(ctx context.Context, f run.Folder, e run.Edit) error
}

// pane is one tab.
type pane interface {
	title() string
	update(msg tea.Msg) tea.Cmd
	view(w, h int) string
	keys() []binding
	typing() bool
}

// Tabs, in their order. Their keys are 1 to 8.
const (
	tabRuns = iota
	tabDashboard
	tabImages
	tabPrompt
	tabFix
	tabMasks
	tabCompare
	tabDetails
)

type (
	sizeMsg    struct{ w, h int }   // the pane's area
	visibleMsg bool                 // the pane came to the front, or left it
	encodeMsg  struct{}             // the terminal is another than thought: want images again
	openedMsg  struct{}             // s.run is another run, or nil
	eventsMsg  struct{ reset bool } // s.run.store took events in
	stateMsg   struct{}             // s.run's state, info or configuration may have changed
	gotoMsg    struct{ tab int }    // show a tab
	openMsg    struct{ dir string } // open a run and show its dashboard
	zenMsg     struct{}             // give the visible pane the whole screen, or take it back
	tickMsg    time.Time            // once a second
	noticeMsg  struct {
		text string
		bad  bool
	} // a line for the footer
)

// tellEvery is how often panes hear of events while a long log is still being read. They take at most a
// tellShare-th of the time: the rest is for reading.
const (
	tellEvery = 400 * time.Millisecond
	tellShare = 8
)

// app is the whole screen.
type app struct {
	*shared
	panes  []pane
	tab    int
	layout layout
	told   time.Time     // when panes last heard of events
	took   time.Duration // and how long they took
	pace   pace
}

func newApp(o Options, probe *picture.Probe, pics *picture.Shelf) *app {
	s := newShared(o, probe, pics)
	a := &app{shared: s}
	a.panes = []pane{newRunsPane(s), newDashboardPane(s), newImagesPane(s), newPromptPane(s), newFixPane(s), newMasksPane(s), newComparePane(s), newDetailsPane(s)}
	return a
}

// Run shows the screen until the user quits. Runs go on without it.
func Run(ctx context.Context, o Options) error {
	probe, err := picture.NewProbe(os.Stdout, o.Images, o.CellSize, os.Getenv)
	if err != nil {
		return err
	}
	pics := picture.NewShelf(probe.Terminal())
	a := newApp(o, probe, pics)
	defer a.close()
	p := tea.NewProgram(a, tea.WithContext(ctx), tea.WithOutput(picture.NewScreen(os.Stdout, pics)), tea.WithFPS(framesPerSecond))
	a.pace.program = p
	if picture.IsTerminal(os.Stdout) { // the title is put back as it was
		_, _ = os.Stdout.WriteString("\x1b[22;2t")
		defer os.Stdout.WriteString("\x1b[23;2t") //nolint:errcheck // nothing is left to be done
	}
	_, err = p.Run()
	return err
}

func (a *app) Init() tea.Cmd {
	cmds := []tea.Cmd{a.probe.Init(), tea.RequestBackgroundColor, tick()}
	for _, p := range a.panes {
		cmds = append(cmds, p.update(openedMsg{}))
	}
	cmds = append(cmds, a.front(visibleMsg(true)))
	if a.options.Open != "" {
		cmds = append(cmds, a.open(a.options.Open), a.show(tabDashboard))
	}
	return tea.Batch(cmds...)
}

func tick() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update takes one message: the app's own part of it first, then the panes'.
func (a *app) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	changed, cmd := a.probe.Update(msg)
	cmds := []tea.Cmd{cmd}
	if changed {
		a.setTerminal(a.probe.Terminal())
		cmds = append(cmds, a.all(encodeMsg{}))
	}
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		cmds = append(cmds, a.resize(msg.Width, msg.Height))
	case tea.BackgroundColorMsg:
		a.setBackground(msg.IsDark())
	case tea.KeyPressMsg, tea.PasteMsg, tea.MouseMsg:
		a.pace.hurry()
		cmds = append(cmds, a.input(msg))
	case gotoMsg:
		cmds = append(cmds, a.show(msg.tab))
	case zenMsg:
		a.zen = !a.zen
		cmds = append(cmds, a.resize(a.w, a.h))
	case openMsg:
		cmds = append(cmds, a.open(msg.dir), a.show(tabDashboard))
	case closeRunMsg:
		a.closeRun()
		cmds = append(cmds, a.all(openedMsg{}))
	case feed.Followed:
		cmds = append(cmds, a.followed(msg))
	case feed.Snapshot:
		cmds = append(cmds, a.inspected(msg))
	case drawnMsg:
		cmds = append(cmds, a.drawn(msg))
	case noticeMsg:
		a.notice = notice{msg.text, msg.bad, a.now()}
	case tickMsg:
		cmds = append(cmds, tick(), a.lookAgain(), a.all(msg))
	default:
		cmds = append(cmds, a.all(msg))
	}
	return a, tea.Batch(cmds...)
}

// input takes what the user does.
func (a *app) input(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return a.key(msg)
	case tea.PasteMsg:
		return a.paste(msg)
	case tea.MouseMsg:
		return a.mouse(msg)
	}
	return nil
}

// all hands a message to every pane.
func (a *app) all(msg tea.Msg) tea.Cmd {
	cmds := make([]tea.Cmd, 0, len(a.panes))
	for _, p := range a.panes {
		cmds = append(cmds, p.update(msg))
	}
	return tea.Batch(cmds...)
}

// front hands a message to the visible pane.
func (a *app) front(msg tea.Msg) tea.Cmd { return a.panes[a.tab].update(msg) }

// show brings a tab to the front.
func (a *app) show(tab int) tea.Cmd {
	if tab == a.tab {
		return nil
	}
	left := a.front(visibleMsg(false))
	if a.tab = tab; a.zen {
		a.zen = false
		left = tea.Batch(left, a.resize(a.w, a.h))
	}
	return tea.Batch(left, a.front(visibleMsg(true)))
}

func (a *app) resize(w, h int) tea.Cmd {
	a.w, a.h = w, h
	a.layout = screenLayout(w, h, a.zen)
	if a.dialog != nil {
		a.dialog.resize(a.dialogRoom())
	}
	return a.all(sizeMsg{a.layout.body.Dx(), a.layout.body.Dy()})
}

// open makes dir the run on the screen.
func (a *app) open(dir string) tea.Cmd {
	cmd := a.openRun(run.Folder{Dir: dir})
	return tea.Batch(cmd, a.all(openedMsg{}))
}

// inspected takes in how the run is now, and tells if it has ended.
func (a *app) inspected(msg feed.Snapshot) tea.Cmd {
	before, linked := "", true
	if a.run != nil {
		before, linked = a.run.State, a.run.Info.Far == nil || a.run.Info.Far.Link == ""
	}
	if !a.looked(msg) {
		return nil
	}
	cmds := []tea.Cmd{a.tellEnd(before, a.run), a.all(stateMsg{})}
	if away := a.run.Info.Far; away != nil && away.Link == "" && !linked {
		a.deck.generation++ // images that could not be fetched are wanted again
		cmds = append(cmds, a.all(encodeMsg{}))
	}
	return tea.Batch(cmds...)
}

// followed takes in a batch of events and waits for the next.
func (a *app) followed(msg feed.Followed) tea.Cmd {
	if a.run == nil || msg.Run != a.run {
		return nil // of a run that was closed
	}
	defer a.run.Done(msg)
	live := a.told != time.Time{} && a.run.Behind == 0
	if !a.run.Take(msg) {
		return a.all(eventsMsg{})
	}
	next := a.run.Follow()
	if msg.Batch.Reset || slices.ContainsFunc(msg.Batch.Events, func(e core.Event) bool { return e.Kind == "pictures" }) {
		a.deck.forget()
	}
	if slices.ContainsFunc(msg.Batch.Events, func(e core.Event) bool { return e.Kind == "state" }) {
		next = tea.Batch(next, a.lookAgain()) // run.json has the state that counts
	}
	if i := slices.IndexFunc(msg.Batch.Events, func(e core.Event) bool { return e.Alarm != nil }); i >= 0 && live && a.run.State == run.Running {
		next = tea.Batch(next, a.tell(a.run, "alarm", words.Alarm(&msg.Batch.Events[i])))
	}
	if behind := msg.Batch.Behind > 0; behind && !msg.Batch.Reset && a.now().Sub(a.told) < max(tellEvery, tellShare*a.took) {
		return next
	}
	start := a.now()
	cmd := a.all(eventsMsg{msg.Batch.Reset})
	a.told = a.now()
	a.took = a.told.Sub(start)
	return tea.Batch(next, cmd)
}

// drawn shows an image that was encoded, if it is still wanted.
func (a *app) drawn(msg drawnMsg) tea.Cmd {
	shown, next := a.takeDrawn(msg)
	if !shown {
		return nil
	}
	return tea.Batch(next, a.all(shownMsg{msg.name, msg.err}))
}
