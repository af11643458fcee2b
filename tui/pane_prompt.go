package tui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// promptPane draws prompts with base and tuned model, in the engine, between training steps.
type promptPane struct {
	*shared
	w, h        int
	visible     bool
	form        promptForm
	results     feed.Results
	feed.Layers                     // isBase has no meaning: both are shown
	judge       string              // whose heatmap is shown
	asked       run.GenerateRequest // what the job, or the last one, asked for
	job         *job                // nil: none under way
	err         error               // of the last job
	weights     []run.Checkpoint    // that can be drawn with
	found       string              // what was looked for last
}

// checkpointsMsg is the checkpoints of a run.
type checkpointsMsg struct {
	run  *feed.Run
	list []run.Checkpoint
}

const promptPaneName = "prompt"

func newPromptPane(s *shared) *promptPane {
	return &promptPane{shared: s, form: newPromptForm(s)}
}

func (p *promptPane) title() string { return "Prompt" }
func (p *promptPane) typing() bool  { return p.form.focus != noField }

func (p *promptPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
		p.resize()
	case visibleMsg:
		if p.visible = bool(msg); !p.visible {
			return nil
		}
		return tea.Batch(p.readResults(), p.checkpoints(), p.enterField(), p.wants())
	case openedMsg:
		p.open()
	case eventsMsg:
		p.collect()
	case tea.KeyPressMsg:
		return p.typed(msg)
	case tea.PasteMsg:
		return p.pasted(msg)
	case widget.Mouse:
		return tea.Batch(p.mouse(msg), p.wants())
	case stateMsg:
		if p.run != nil && p.run.HasConfig {
			p.form.runsOwn(p.run.Config.Sample.NumSteps, p.run.Config.Sample.GuidanceScale)
		}
	case shownMsg, encodeMsg:
	default:
		return p.answered(msg)
	}
	return p.wants()
}

// answered takes what the pane's own commands bring.
func (p *promptPane) answered(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case feed.ResultsRead:
		if msg.Run != p.run {
			return nil
		}
		p.take(msg.Events)
		return p.wants()
	case checkpointsMsg:
		if msg.run == p.run {
			p.weights = msg.list
		}
	case jobMsg:
		return tea.Batch(p.ended(msg), p.wants())
	case jobStatusMsg:
		if msg.job == p.job {
			return tea.Batch(p.job.take(msg), p.wants())
		}
	}
	return nil
}

// open forgets the results of the run before. What is typed stays.
func (p *promptPane) open() {
	if p.job != nil {
		p.job.cancel()
	}
	p.results, p.job, p.err, p.judge, p.weights, p.form.weights = feed.Results{}, nil, nil, "", nil, ""
	p.unwant("prompt/base")
	p.unwant("prompt/tuned")
}

// collect takes in what the events tell.
func (p *promptPane) collect() {
	if p.run != nil {
		p.take(p.run.Store.Prompts)
	}
}

func (p *promptPane) take(events []core.Event) {
	p.results.Add(events)
	if r, ok := p.results.Current(); ok {
		p.judge = oneOf(p.judge, feed.Judges(r.Aspects))
	}
}

func (p *promptPane) checkpoints() tea.Cmd {
	if p.run == nil {
		return nil
	}
	opened := p.run
	if away := opened.Info.Far; away != nil {
		return func() tea.Msg { return checkpointsMsg{opened, opened.Folder.CheckpointsOf(away)} }
	}
	return func() tea.Msg {
		list, err := opened.Folder.Checkpoints()
		if err != nil {
			return failure(err)
		}
		return checkpointsMsg{opened, list}
	}
}

// typed takes a key while a field has the focus.
func (p *promptPane) typed(msg tea.KeyPressMsg) tea.Cmd {
	if cmd, taken := p.form.key(msg); taken {
		return cmd
	}
	if msg.String() == "enter" {
		return p.draw()
	}
	if p.job != nil {
		return p.cancel()
	}
	p.err = nil
	return p.form.focusOn(noField)
}

// enterField puts the focus where it is when the pane comes to the front: on the prompt.
func (p *promptPane) enterField() tea.Cmd {
	if p.run == nil {
		return nil
	}
	p.form.drawn = p.form.fields[fieldPrompt].Value() != ""
	return p.form.focusOn(fieldPrompt)
}

func (p *promptPane) pasted(msg tea.PasteMsg) tea.Cmd {
	if p.form.focus == noField {
		return nil
	}
	msg.Content = strings.Join(strings.Fields(msg.Content), " ")
	return p.form.change(msg, true)
}

// draw sends the form to the engine.
func (p *promptPane) draw() tea.Cmd {
	switch {
	case p.run == nil:
		return p.fail(errors.New("no run is open: 1 lists the runs"))
	case p.job != nil:
		return p.say("one is being drawn: esc cancels it")
	}
	r, err := p.form.request()
	if err != nil {
		p.err = err
		if refused := (*fieldError)(nil); errors.As(err, &refused) {
			return p.form.focusOn(refused.field)
		}
		return nil
	}
	keep := p.form.history.add(r.Prompt)
	p.asked, p.form.drawn = r, true
	return tea.Batch(p.ask(false), func() tea.Msg {
		if err := keep(); err != nil {
			return noticeMsg{text: "the prompt is not kept for later: " + err.Error()}
		}
		return nil
	})
}

// ask sends the request, to an engine that is started first if wake is true.
func (p *promptPane) ask(wake bool) tea.Cmd {
	asked := p.asked
	var cmd tea.Cmd
	p.err = nil
	p.job, cmd = p.begin(promptPaneName, wake, func(ctx context.Context, c *run.Client) (core.Event, error) {
		result, err := c.Generate(ctx, asked)
		return core.Event{Kind: "prompt", Prompt: &result}, err
	})
	return cmd
}

// ended takes the outcome of a job.
func (p *promptPane) ended(msg jobMsg) tea.Cmd {
	if msg.job != p.job || p.job == nil {
		return nil
	}
	p.job = nil
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
	p.form.ready(p.asked)
	p.take([]core.Event{msg.result})
	p.results.Show(msg.result.Prompt.Path)
	return nil
}

func (p *promptPane) cancel() tea.Cmd {
	if p.job == nil {
		return nil
	}
	p.job.cancel()
	return nil
}

// wants asks for the two images.
func (p *promptPane) wants() tea.Cmd {
	if !p.visible || p.run == nil {
		return nil
	}
	l := p.layout()
	if base, tuned, ok := p.previews(); ok {
		return tea.Batch(p.want("prompt/base", base, l.base.Dx(), l.base.Dy()), p.want("prompt/tuned", tuned, l.tuned.Dx(), l.tuned.Dy()))
	}
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	files := feed.ResultFiles(r, p.judge)
	return tea.Batch(
		p.want("prompt/base", files.Drawing(p.run.Folder, feed.Layers{IsBase: true, Over: p.Over}), l.base.Dx(), l.base.Dy()),
		p.want("prompt/tuned", p.tunedDrawing(files), l.tuned.Dx(), l.tuned.Dy()),
	)
}

// previews are the two images while they are drawn, if the engine shows them; the second is empty while the first
// is drawn.
func (p *promptPane) previews() (base, tuned feed.Drawing, ok bool) {
	if p.job == nil || p.job.status.Busy != "generate" || p.job.status.Preview == "" {
		return base, tuned, false
	}
	plain := feed.Layers{Over: feed.Nothing}
	base = feed.Files{}.Drawing(p.run.Folder, plain)
	tuned = base
	base.Path, base.Version = run.PreviewBase, p.job.version(p.job.status.Of)
	if p.job.status.Preview == run.PreviewBase {
		base.Version = p.job.version(p.job.status.Done)
	} else {
		tuned.Path, tuned.Version = run.Preview, p.job.version(p.job.status.Done)
	}
	return base, tuned, true
}

// tunedDrawing is the right image: the tuned one with its own heatmap, or the difference.
func (p *promptPane) tunedDrawing(f feed.Files) feed.Drawing {
	return f.Drawing(p.run.Folder, feed.Layers{Difference: p.Difference, Over: p.Over})
}
