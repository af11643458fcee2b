package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/feed"
)

// fixMore is what can be seen of a repair beside the image before and after: other strengths, other seeds and prompts,
// and the healing.
type fixMore struct {
	paths   []string // redrawn images: one in place of the repaired one, or a grid of nine
	version int
	asking  bool               // the engine draws
	next    *run.RedrawRequest // what it is to draw after that: the newest wish

	saving, unsaved bool // of the set of kept fixes

	replay []string // frames, nil where none are shown
	frame  int
}

type (
	redrawnMsg struct {
		run   *feed.Run
		asked run.RedrawRequest
		paths []string
		err   error
	}
	replayMsg struct{ version int }
	keptMsg   struct { // the set of kept fixes was written
		run *feed.Run
		err error
	}
)

const (
	frameTime  = 150 * time.Millisecond // of a replay
	redrawTime = 10 * time.Minute       // that an engine may take until it has drawn
)

// shows puts into d what there is instead of before and after.
func (m *fixMore) shows(d *feed.Drawing) bool {
	switch {
	case m.replay != nil:
		d.Path = m.replay[m.frame]
	case len(m.paths) == 1:
		d.Path, d.Version = m.paths[0], m.version
	case len(m.paths) > 1:
		d.Path, d.Tiles, d.Version = m.paths[0], strings.Join(m.paths, "\n"), m.version
	default:
		return false
	}
	return true
}

// stopShowing goes back to before and after, and reports whether there was anything else.
func (m *fixMore) stopShowing() bool {
	was := m.replay != nil || len(m.paths) > 0
	m.replay, m.paths = nil, nil
	return was
}

// redraw asks for images with a stack of fixes.
func (p *fixPane) redraw(drawings []core.Drawing, stack []core.FixUse) tea.Cmd {
	r, _ := p.fixes.Current()
	request := run.RedrawRequest{Drawings: drawings, Start: r.Start, Stack: stack}
	if p.more.asking {
		p.more.next = &request
		return nil
	}
	p.more.asking = true
	return p.askRedraw(request, false)
}

// askRedraw sends the request, to an engine that is started first if wake is true.
func (p *fixPane) askRedraw(r run.RedrawRequest, wake bool) tea.Cmd {
	of, start := p.run, p.options.Wake
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), redrawTime)
		defer cancel()
		msg := redrawnMsg{run: of, asked: r}
		if wake {
			if msg.err = start(ctx, of.Folder); msg.err != nil {
				return msg
			}
		}
		c, err := (&job{folder: of.Folder}).dial(ctx, wake)
		if msg.err = err; err != nil {
			return msg
		}
		defer c.Close()
		msg.paths, msg.err = c.Redraw(ctx, r)
		return msg
	}
}

// redrawn shows what the engine has drawn.
func (p *fixPane) redrawn(msg redrawnMsg) tea.Cmd {
	if msg.run != p.run {
		return nil
	}
	next := p.more.next
	p.more.asking, p.more.next = false, nil
	if msg.err != nil {
		if next != nil {
			msg.asked = *next
		}
		wake := func() tea.Cmd {
			p.more.asking = true
			return p.askRedraw(msg.asked, true)
		}
		if cmd, ok := p.offerWake(msg.err, wake); ok {
			return cmd
		}
		return p.fail(msg.err)
	}
	p.more.paths, p.more.version, p.more.replay = msg.paths, p.more.version+1, nil
	if next == nil {
		return nil
	}
	p.more.asking = true
	return p.askRedraw(*next, false)
}

// drawKept draws the image of the current repair with the run's set of kept fixes.
func (p *fixPane) drawKept() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok {
		return nil
	}
	return p.redraw([]core.Drawing{drawingOf(r)}, slices.Clone(p.kept))
}

// drawingOf is how a repair's image is drawn, without numbers that are not known.
func drawingOf(r core.FixResult) core.Drawing {
	d := r.Drawing
	d.Sampling = r.Or(core.Sampling{})
	return d
}

// tryOthers draws three prompts with three seeds each, all with the current fixes.
func (p *fixPane) tryOthers() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok || p.history.at == 0 {
		return p.say("repair something first")
	}
	prompts := []string{r.Prompt}
	for _, s := range p.sources {
		if prompt := s.request.Prompt; len(prompts) < 3 && !slices.Contains(prompts, prompt) {
			prompts = append(prompts, prompt)
		}
	}
	var drawings []core.Drawing
	for _, prompt := range prompts {
		for seed := range uint64(3) {
			d := drawingOf(r)
			d.Prompt, d.Seed = prompt, r.Seed+seed+1
			drawings = append(drawings, d)
		}
	}
	return tea.Batch(p.say("drawing %d images with this fix", len(drawings)), p.redraw(drawings, p.history.now().stack))
}

// keep adds the current repair to the run's set of kept fixes, or takes it out.
func (p *fixPane) keep() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok || p.history.now().fix == nil {
		return p.say("repair something first")
	}
	i := p.keptAt(r.Path)
	word := "kept: + and - change its strength"
	if i >= 0 {
		p.kept, word = slices.Delete(slices.Clone(p.kept), i, i+1), "no longer kept"
	} else {
		p.kept = append(slices.Clone(p.kept), core.FixUse{Path: r.Path, Strength: 1})
		i = len(p.kept) - 1
	}
	p.slider = max(min(i, len(p.kept)-1), 0)
	return tea.Batch(p.saveKept(), p.say("%s", word))
}

func (p *fixPane) keptAt(path string) int {
	return slices.IndexFunc(p.kept, func(u core.FixUse) bool { return u.Path == path })
}

// saveKept writes the set, one after the other: the newest is the one that stays.
func (p *fixPane) saveKept() tea.Cmd {
	if p.more.saving {
		p.more.unsaved = true
		return nil
	}
	p.more.saving, p.more.unsaved = true, false
	of, set := p.run, slices.Clone(p.kept)
	return func() tea.Msg {
		change, err := run.EditKeptFixes(set)
		if err == nil {
			err = p.apply(of.Folder, change)
		}
		return keptMsg{of, err}
	}
}

// saved goes on with what was changed meanwhile.
func (p *fixPane) saved(msg keptMsg) tea.Cmd {
	if msg.run != p.run {
		return nil
	}
	if p.more.saving = false; msg.err != nil {
		return p.fail(fmt.Errorf("not kept: %w", msg.err))
	}
	if p.more.unsaved {
		return p.saveKept()
	}
	return nil
}

// strengthen changes the strength of the chosen kept fix, and draws the image with all of them.
func (p *fixPane) strengthen(by float64) tea.Cmd {
	if p.slider >= len(p.kept) {
		return p.say("K keeps a fix; then + and - change its strength")
	}
	p.kept = slices.Clone(p.kept)
	use := &p.kept[p.slider]
	use.Strength = min(max(float64(int(10*(use.Strength+by)+10.5))/10-1, 0), 2)
	return tea.Batch(p.saveKept(), p.drawKept())
}

// play shows the healing once, or stops.
func (p *fixPane) play() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok || len(r.Trace) == 0 {
		return p.say("no healing is kept of this repair")
	}
	if p.more.stopShowing() {
		return p.wants()
	}
	p.more.version++
	p.more.replay, p.more.frame = framesOf(r), 0
	return tea.Batch(p.wants(), p.nextFrame())
}

func framesOf(r core.FixResult) []string {
	frames := make([]string, len(r.Trace))
	for i := range frames {
		frames[i] = run.FixFrame(r.Path, i)
	}
	return frames
}

func (p *fixPane) nextFrame() tea.Cmd {
	version := p.more.version
	return tea.Tick(frameTime, func(time.Time) tea.Msg { return replayMsg{version} })
}

// replayed shows the next frame, and the last one until something else is wanted.
func (p *fixPane) replayed(msg replayMsg) tea.Cmd {
	if msg.version != p.more.version || p.more.replay == nil || p.more.frame+1 >= len(p.more.replay) {
		return nil
	}
	p.more.frame++
	return p.nextFrame()
}
