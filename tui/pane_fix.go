package tui

import (
	"cmp"
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// fixPane repairs regions of one image: a person marks a fault and watches it heal.
type fixPane struct {
	*shared
	w, h    int
	visible bool

	sources []fixSource // images that can be repaired
	source  int         // of sources
	chosen  *fixSource  // by another pane; first of sources
	aspect  string
	fault   string // in words, in place of the aspect; "" where none is said
	ofRun   bool   // a repair begins with the run's weights, rather than with the base model
	regionEditor
	isHot bool // the heatmap lies over the image

	phase    fixPhase
	asked    run.FixRequest
	job      *job
	trace    []core.FixStep // of the job
	err      error
	noFault  *core.FixResult // what the last region came to, where it had no fault
	fixes    feed.Fixes      // of the run
	history  fixHistory
	kept     []core.FixUse // the run's set
	slider   int           // of kept, whose strength keys change
	split    float64       // where the divider is, share of the width
	dragging bool          // the divider
	diff     bool
	more     fixMore
}

// fixPhase is what the pane is for at the moment.
type fixPhase uint8

const (
	fixDrawing fixPhase = iota // of the region
	fixWorking
	fixResults // at a repair
)

type (
	repairMsg struct { // another pane's image is to be repaired
		source fixSource
		aspect string
	}
	regionMsg struct { // where a judge sees the fault of an image
		files feed.Files
		box   core.Box
	}
)

const fixPaneName = "fix"

func newFixPane(s *shared) *fixPane {
	return &fixPane{shared: s, regionEditor: newRegionEditor(), split: 0.5}
}

func (p *fixPane) title() string { return "Fix" }
func (p *fixPane) typing() bool  { return false }

func (p *fixPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		if p.visible = bool(msg); !p.visible {
			return nil
		}
		return tea.Batch(p.readFixes(), p.bring(run.Fixes), p.refresh(), p.wants())
	case openedMsg:
		p.open()
	case eventsMsg:
		if p.run != nil {
			p.fixes.Add(p.run.Store.Fixes)
		}
		return tea.Batch(p.refresh(), p.wants())
	case repairMsg:
		p.choose(msg)
		return tea.Batch(p.refresh(), p.wants())
	case widget.Mouse:
		return tea.Batch(p.mouse(msg), p.wants())
	case shownMsg, encodeMsg, stateMsg:
	default:
		return p.answered(msg)
	}
	return p.wants()
}

// answered takes what the pane's own commands bring.
func (p *fixPane) answered(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case broughtMsg:
		return p.readFixes()
	case feed.FixesRead:
		if msg.Run != p.run {
			return nil
		}
		p.fixes.Add(msg.Events)
		if p.kept = msg.Kept; msg.Err != nil {
			return p.fail(msg.Err)
		}
	case regionMsg:
		if at, ok := p.current(); ok && at.files == msg.files && !p.set {
			p.box, p.set = msg.box, true
		}
	case jobMsg:
		return tea.Batch(p.ended(msg), p.wants())
	case jobStatusMsg:
		if msg.job != p.job {
			return nil
		}
		p.watched(msg.status)
		return tea.Batch(p.job.take(msg), p.wants())
	case redrawnMsg:
		return tea.Batch(p.redrawn(msg), p.wants())
	case keptMsg:
		return p.saved(msg)
	case replayMsg:
		return tea.Batch(p.replayed(msg), p.wants())
	default:
		return nil
	}
	return p.wants()
}

// open forgets the run before.
func (p *fixPane) open() {
	if p.job != nil {
		p.job.cancel()
	}
	fresh := newFixPane(p.shared)
	fresh.w, fresh.h, fresh.visible = p.w, p.h, p.visible
	*p = *fresh
}

// start sends the region to the engine.
func (p *fixPane) start() tea.Cmd {
	p.closePolygon()
	at, ok := p.current()
	region := p.region()
	switch {
	case p.run == nil || !ok:
		return p.say("there is no image to repair")
	case p.job != nil:
		return p.say("a repair is under way: esc cancels it")
	case len(region) == 0:
		return p.say("mark the fault first: drag a box over it, or press an arrow key")
	case p.aspect == "" && p.fault == "":
		return p.say("the run judges no aspect that could be repaired")
	}
	p.asked = run.FixRequest{
		Drawing: at.request.Drawing, Checkpoint: at.request.Checkpoint, Aspect: cmp.Or(p.fault, p.aspect), Fault: p.fault, Region: region.String(), Stack: p.history.now().stack,
	}
	if p.ofRun {
		p.asked.Start = "run"
	}
	return p.ask(false)
}

// ask sends the request, to an engine that is started first if wake is true.
func (p *fixPane) ask(wake bool) tea.Cmd {
	asked := p.asked
	var cmd tea.Cmd
	p.err, p.noFault, p.trace, p.phase = nil, nil, nil, fixWorking
	p.job, cmd = p.begin(fixPaneName, wake, func(ctx context.Context, c *run.Client) (core.Event, error) {
		result, err := c.Fix(ctx, asked)
		return core.Event{Kind: "fix", Fix: &result}, err
	})
	return tea.Batch(cmd, p.wants())
}

// watched learns how the repair is doing.
func (p *fixPane) watched(s run.Status) {
	if s.Busy != "fix" || s.Frame == nil || len(p.trace) > 0 && p.trace[len(p.trace)-1].Step >= s.Done {
		return
	}
	step := core.FixStep{Step: s.Done, Trained: s.Frame.Trained, HeldOut: s.Frame.Trained, Outside: s.Frame.Outside, Seconds: s.Frame.Seconds}
	if s.Frame.HeldOut != nil {
		step.HeldOut = *s.Frame.HeldOut
	}
	p.trace = append(p.trace, step)
}

// ended takes the outcome of a job.
func (p *fixPane) ended(msg jobMsg) tea.Cmd {
	if msg.job != p.job || p.job == nil {
		return nil
	}
	p.job, p.phase = nil, fixDrawing
	switch {
	case errors.Is(msg.err, context.Canceled):
		return p.say("cancelled: nothing was changed")
	case msg.err != nil:
		if cmd, ok := p.offerWake(msg.err, func() tea.Cmd { return p.ask(true) }); ok {
			return cmd
		}
		p.err = msg.err
		return nil
	}
	r := *msg.result.Fix
	if r.Verdict == core.NoFault {
		p.noFault = &r
		return p.say("%s", words.Verdict(r))
	}
	p.phase, p.split = fixResults, 0.5
	p.fixes.Add([]core.Event{msg.result})
	p.fixes.Show(r.Path)
	if p.history.at == 0 {
		p.history.begin(r.Path + "/before.png") // what it really began with
	}
	p.history.add(r)
	return nil
}

// takeNearest moves the region to the nearest fault, where the judges found none in the one before.
func (p *fixPane) takeNearest() {
	if p.noFault == nil {
		return
	}
	region, err := core.ParseRegion(p.noFault.Nearest)
	if err != nil || region[0].Kind != core.BoxShape {
		return
	}
	a, z := region[0].Points[0], region[0].Points[1]
	p.regionEditor, p.noFault = newRegionEditor(), nil
	p.box, p.set = core.Box{Left: a.X, Top: a.Y, Right: z.X, Bottom: z.Y}, true
}

// readFixes reads the repairs that lie in the folder of the run on the screen.
func (p *fixPane) readFixes() tea.Cmd {
	if p.run == nil {
		return nil
	}
	return p.run.ReadFixes()
}

// wants asks for the image of the phase.
func (p *fixPane) wants() tea.Cmd {
	if !p.visible || p.run == nil {
		return nil
	}
	at := p.layout().image
	return p.want("fix/image", p.drawing(), at.Dx(), at.Dy())
}

// drawing is the image: with the region over it, or before and after it with the divider.
func (p *fixPane) drawing() feed.Drawing {
	d := feed.Drawing{Folder: p.run.Folder, Path: p.history.now().path}
	if p.more.shows(&d) {
		return d
	}
	switch p.phase {
	case fixDrawing:
		p.drawRegion(&d)
	case fixWorking:
		if p.job != nil && p.job.status.Busy == "fix" && p.job.status.Preview != "" && len(p.trace) > 0 {
			d.After, d.Version, d.Split = p.job.status.Preview, p.job.version(p.job.status.Done), 0
		}
		p.drawRegion(&d)
	case fixResults:
		d.Path, d.After, d.Split = p.history.before().path, p.history.now().path, p.split
		if p.diff {
			d = feed.Drawing{Folder: d.Folder, Path: d.After, Minus: d.Path}
		}
	}
	return d
}

// drawRegion lays the region over the image.
func (p *fixPane) drawRegion(d *feed.Drawing) {
	if at, ok := p.current(); ok {
		files := at.files.WithHeat(p.aspect)
		if d.Fault = files.Heat; p.isHot {
			d.Heat = files.Heat
		}
	}
	d.Box = p.cursorBox()
	switch {
	case p.isBox() && d.Box == (core.Box{}):
		d.Box = p.box
	default:
		d.Region = p.region().String()
	}
	if p.phase == fixWorking {
		d.Box, d.Heat = core.Box{}, ""
		d.Region = p.region().String()
	}
}
