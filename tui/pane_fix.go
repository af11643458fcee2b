package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// fixPane repairs a region of one image: a person draws a box over a fault and watches it go.
type fixPane struct {
	*shared
	w, h    int
	visible bool

	sources []fixSource // images that can be repaired
	source  int         // of sources
	chosen  *fixSource  // by another pane; first of sources
	aspect  string
	boxEditor
	isTuned bool // the tuned image is shown under the box; a repair begins with the base image
	isHot   bool // and the heatmap over it

	phase       fixPhase
	asked       run.FixRequest
	job         *job
	err         error
	results     feed.Fixes
	feed.Layers // of the repaired image
}

// fixPhase is what the pane is for at the moment.
type fixPhase uint8

const (
	fixDrawing fixPhase = iota // of the box
	fixWorking
	fixResults // at repairs
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
	return &fixPane{shared: s, Layers: feed.Layers{}}
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
		return tea.Batch(p.readFixes(), p.refresh(), p.wants())
	case openedMsg:
		p.open()
	case eventsMsg:
		if p.run != nil {
			p.results.Add(p.run.Store.Fixes)
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
	case feed.FixesRead:
		if msg.Run == p.run {
			p.results.Add(msg.Events)
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
		return tea.Batch(p.job.take(msg), p.wants())
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
	p.sources, p.source, p.chosen, p.aspect, p.boxEditor = nil, 0, nil, "", boxEditor{}
	p.phase, p.job, p.err, p.results, p.Layers = fixDrawing, nil, nil, feed.Fixes{}, feed.Layers{}
}

// start sends the box to the engine.
func (p *fixPane) start() tea.Cmd {
	at, ok := p.current()
	switch {
	case p.run == nil || !ok:
		return p.say("there is no image to repair")
	case p.job != nil:
		return p.say("a repair is under way: esc cancels it")
	case !p.set:
		return p.say("draw a box over the fault first: with the mouse, or with the arrow keys")
	case p.aspect == "":
		return p.say("the run judges no aspect that could be repaired")
	}
	p.asked = run.FixRequest{
		Drawing: at.request.Drawing, Checkpoint: at.request.Checkpoint, Aspect: p.aspect, Region: core.Region{p.box.Shape()}.String(),
	}
	return p.ask(false)
}

// ask sends the request, to an engine that is started first if wake is true.
func (p *fixPane) ask(wake bool) tea.Cmd {
	asked := p.asked
	var cmd tea.Cmd
	p.err, p.phase = nil, fixWorking
	p.job, cmd = p.begin(fixPaneName, wake, func(ctx context.Context, c *run.Client) (core.Event, error) {
		result, err := c.Fix(ctx, asked)
		return core.Event{Kind: "fix", Fix: &result}, err
	})
	return tea.Batch(cmd, p.wants())
}

// ended takes the outcome of a job.
func (p *fixPane) ended(msg jobMsg) tea.Cmd {
	if msg.job != p.job || p.job == nil {
		return nil
	}
	p.job, p.phase = nil, fixDrawing
	switch {
	case errors.Is(msg.err, context.Canceled):
		return p.say("cancelled")
	case msg.err != nil:
		if cmd, ok := p.offerWake(msg.err, func() tea.Cmd { return p.ask(true) }); ok {
			return cmd
		}
		p.err = msg.err
		return nil
	}
	if r := *msg.result.Fix; r.Verdict == core.NoFault {
		p.offerNearest(r)
		return p.say("%s", words.Verdict(r))
	}
	p.phase = fixResults
	p.results.Add([]core.Event{msg.result})
	p.results.Show(msg.result.Fix.Path)
	return nil
}

// offerNearest moves the box to the nearest fault, where the judges found none in the box.
func (p *fixPane) offerNearest(r core.FixResult) {
	region, err := core.ParseRegion(r.Nearest)
	if err != nil || region[0].Kind != core.BoxShape {
		return
	}
	a, z := region[0].Points[0], region[0].Points[1]
	p.box, p.set = core.Box{Left: a.X, Top: a.Y, Right: z.X, Bottom: z.Y}, true
}

// readFixes reads the repairs that lie in the folder of the run on the screen.
func (p *fixPane) readFixes() tea.Cmd {
	if p.run == nil {
		return nil
	}
	return p.run.ReadFixes()
}

// wants asks for the images of the phase.
func (p *fixPane) wants() tea.Cmd {
	if !p.visible || p.run == nil {
		return nil
	}
	l := p.layout()
	before, after, box := p.drawings()
	before.Box = box
	if p.phase == fixDrawing {
		return p.want("fix/before", before, l.large.Dx(), l.large.Dy())
	}
	if !p.Difference {
		after.Box = box
	}
	return tea.Batch(
		p.want("fix/before", before, l.left.Dx(), l.left.Dy()),
		p.want("fix/after", after, l.right.Dx(), l.right.Dy()),
	)
}

// drawings are the image before and after, and the box.
func (p *fixPane) drawings() (before, after feed.Drawing, box core.Box) {
	folder := p.run.Folder
	if r, ok := p.results.Current(); ok && p.phase == fixResults {
		f := feed.FixFiles(r)
		return f.Drawing(folder, feed.Layers{IsBase: true, Over: p.Over}), f.Drawing(folder, p.Layers), box
	}
	at, ok := p.current()
	if !ok {
		return before, after, box
	}
	f, drawing := at.files.WithHeat(p.aspect), p.phase == fixDrawing
	shown := feed.Layers{IsBase: f.Base != "" && !(p.isTuned && drawing), Over: feed.Nothing}
	if p.isHot && drawing {
		shown.Over = feed.Heat
	}
	before = f.Drawing(folder, shown)
	if p.job != nil {
		after = f.Drawing(folder, feed.Layers{Over: feed.Nothing})
		after.Path, after.Version = p.job.status.Preview, p.job.version(p.job.status.Done)
		if p.Difference && after.Path != "" {
			after.Minus = f.Base
		}
	}
	if p.set {
		box = p.box
	}
	return before, after, box
}
