package tui

import (
	"context"
	"errors"
	"image"
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// fixPane repairs a region of one picture: a person draws a box over a fault and watches it go.
type fixPane struct {
	*shared
	w, h    int
	visible bool

	sources []fixSource // pictures that can be repaired
	source  int         // of sources
	chosen  *fixSource  // by another pane; first of sources
	aspect  string
	boxEditor
	isTuned bool // the tuned picture is shown under the box; a repair begins with the base picture
	isHot   bool // and the heatmap over it

	phase   fixPhase
	asked   run.FixRequest
	job     *job
	err     error
	results results
	layers  // of the repaired picture
}

// fixPhase is what the pane is for at the moment.
type fixPhase uint8

const (
	fixDrawing fixPhase = iota // of the box
	fixWorking
	fixLooking // at repairs
)

// fixSource is a picture that can be repaired.
type fixSource struct {
	request run.GenerateRequest
	files   pictureFiles
}

type (
	repairMsg struct { // another pane's picture is to be repaired
		source fixSource
		aspect string
	}
	regionMsg struct { // where a judge sees the fault of a picture
		files pictureFiles
		box   run.Box
	}
)

const (
	fixPaneName = "fix"
	maxSources  = 200
)

func newFixPane(s *shared) *fixPane {
	return &fixPane{shared: s, results: results{fixes: true}, layers: layers{contour: true}}
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
		return tea.Batch(p.keptResults(), p.refresh(), p.wants())
	case openedMsg:
		p.open()
	case eventsMsg:
		if p.run != nil {
			p.results.add(p.run.store.prompts)
		}
		return tea.Batch(p.refresh(), p.wants())
	case keptMsg:
		if msg.run == p.run {
			p.results.add(msg.events)
		}
	case repairMsg:
		p.choose(msg)
		return tea.Batch(p.refresh(), p.wants())
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
	case mouseMsg:
		return tea.Batch(p.mouse(msg), p.wants())
	case shownMsg, encodeMsg, stateMsg:
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
	p.phase, p.job, p.err, p.results, p.layers = fixDrawing, nil, nil, results{fixes: true}, layers{contour: true}
}

// choose takes another pane's picture.
func (p *fixPane) choose(msg repairMsg) {
	p.chosen, p.sources, p.aspect, p.boxEditor, p.err = &msg.source, nil, msg.aspect, boxEditor{}, nil
	if p.phase == fixLooking {
		p.phase = fixDrawing
	}
}

// refresh lists the pictures that can be repaired: the chosen one, the run's newest, and prompts.
func (p *fixPane) refresh() tea.Cmd {
	if p.run == nil || !p.visible {
		return nil
	}
	before, had := p.current()
	p.sources = nil
	if p.chosen != nil {
		p.sources = append(p.sources, *p.chosen)
	}
	store := p.run.store
	if step, ok := store.newestPictures(); ok {
		g := newGallery()
		g.add(map[int][]core.Picture{step: store.pictures[step]})
		for _, which := range g.pairs {
			p.addSource(fixSource{requestOf(g.texts[which.Index], which.Seed), g.files(place{step, which}, "")})
		}
	}
	for _, e := range slices.Backward(store.prompts) {
		if !e.Prompt.Fix {
			p.addSource(fixSource{requestAgain(*e.Prompt), resultFiles(*e.Prompt, "")})
		}
	}
	p.aspect = oneOf(p.aspect, p.aspectNames(nil))
	if i := slices.IndexFunc(p.sources, func(s fixSource) bool { return s.request == before.request }); had && i >= 0 {
		p.source = i
		return nil
	}
	p.source = 0
	return p.region()
}

// addSource adds a picture unless it is there or its prompt is not known.
func (p *fixPane) addSource(s fixSource) {
	same := func(t fixSource) bool { return t.request == s.request }
	if s.request.Prompt != "" && len(p.sources) < maxSources && !slices.ContainsFunc(p.sources, same) {
		p.sources = append(p.sources, s)
	}
}

// current is the picture that is to be repaired.
func (p *fixPane) current() (fixSource, bool) {
	if p.source >= len(p.sources) {
		return fixSource{}, false
	}
	return p.sources[p.source], true
}

// region finds where the judges see the fault, as the box to begin with.
func (p *fixPane) region() tea.Cmd {
	at, ok := p.current()
	if !ok || at.files.mask == "" {
		return nil
	}
	folder, cache := p.run.folder, p.deck.files
	return func() tea.Msg {
		mask, err := cache.read(folder, at.files.mask)
		if err != nil {
			return nil
		}
		box, ok := boxAround(mask)
		if !ok {
			return nil
		}
		return regionMsg{at.files, box}
	}
}

// boxAround is the smallest box around the white of a mask; ok is false where there is none.
func boxAround(mask image.Image) (b run.Box, ok bool) {
	size := mask.Bounds().Size()
	var r image.Rectangle
	for i, v := range greys(mask) {
		if v >= 0.5 {
			r = r.Union(image.Rect(i%size.X, i/size.X, i%size.X+1, i/size.X+1))
		}
	}
	if r.Empty() {
		return b, false
	}
	w, h := float64(size.X), float64(size.Y)
	b = run.Box{Left: float64(r.Min.X) / w, Top: float64(r.Min.Y) / h, Right: float64(r.Max.X) / w, Bottom: float64(r.Max.Y) / h}
	b.Left, b.Right = apart(b.Left, b.Right)
	b.Top, b.Bottom = apart(b.Top, b.Bottom)
	return b, true
}

// start sends the box to the engine.
func (p *fixPane) start() tea.Cmd {
	at, ok := p.current()
	switch {
	case p.run == nil || !ok:
		return p.say("there is no picture to repair")
	case p.job != nil:
		return p.say("a repair is under way: esc cancels it")
	case !p.set:
		return p.say("draw a box over the fault first: with the mouse, or with the arrow keys")
	case p.aspect == "":
		return p.say("the run judges no aspect that could be repaired")
	}
	p.asked = run.FixRequest{GenerateRequest: at.request, Aspect: p.aspect, Box: p.box}
	return p.ask(false)
}

// ask sends the request, to an engine that is started first if wake is true.
func (p *fixPane) ask(wake bool) tea.Cmd {
	asked := p.asked
	var cmd tea.Cmd
	p.err, p.phase = nil, fixWorking
	p.job, cmd = p.begin(fixPaneName, wake, func(ctx context.Context, c *run.Client) (core.PromptResult, error) {
		return c.Fix(ctx, asked)
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
	p.phase = fixLooking
	p.results.add([]core.Event{{Kind: "prompt", Prompt: &msg.result}})
	p.results.show(msg.result.Path)
	return nil
}

// wants asks for the pictures of the phase.
func (p *fixPane) wants() tea.Cmd {
	if !p.visible || p.run == nil {
		return nil
	}
	l := p.layout()
	before, after, box := p.drawings()
	before.box = box
	if p.phase == fixDrawing {
		return p.want("fix/before", before, l.large.Dx(), l.large.Dy())
	}
	if !p.difference {
		after.box = box
	}
	return tea.Batch(
		p.want("fix/before", before, l.left.Dx(), l.left.Dy()),
		p.want("fix/after", after, l.right.Dx(), l.right.Dy()),
	)
}

// drawings are the picture before and after, and the box.
func (p *fixPane) drawings() (before, after drawing, box run.Box) {
	folder := p.run.folder
	if r, ok := p.results.current(); ok && p.phase == fixLooking {
		f := resultFiles(r, "")
		return f.drawing(folder, layers{isBase: true, contour: p.contour}), f.drawing(folder, p.layers), box
	}
	at, ok := p.current()
	if !ok {
		return before, after, box
	}
	f, drawing := at.files.withHeat(p.aspect), p.phase == fixDrawing
	before = f.drawing(folder, layers{isBase: f.base != "" && !(p.isTuned && drawing), heatmap: p.isHot && drawing})
	if p.job != nil {
		after = f.drawing(folder, layers{})
		after.path, after.version = p.job.status.Preview, p.job.status.Done
		if p.difference && after.path != "" {
			after.minus = f.base
		}
	}
	if p.set {
		box = p.box
	}
	return before, after, box
}
