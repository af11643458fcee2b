package tui

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

func (p *promptPane) keys() []binding {
	if p.typing() {
		return []binding{
			bind(nil, "draw", "draw what is typed", "enter"), bind(nil, "next field", "the next field; shift+tab is the one before", "tab"),
			bind(nil, "earlier prompts", "earlier and later prompts; in a number, one more or less", "↑↓"),
			bind(nil, "end typing", "keys are commands again", "esc"),
		}
	}
	result := func(n int) func() tea.Cmd { return p.then(func() { p.results.Move(n) }) }
	table := []binding{
		bind(p.startTyping, "type", "type a prompt; tab goes to the next field", "enter", "i", "/"),
		bind(p.draw, "draw", "draw it, or draw it again", "space"),
		bind(nil, "results", "earlier and later results", "←→"),
		bind(result(-1), "", "the result before", "left"),
		bind(result(1), "", "the next result", "right"),
		bind(result(-1<<20), "", "the first result", "home"),
		bind(result(1<<20), "", "the newest result", "end"),
		bind(p.toggle(&p.Heatmap), "heat", "lay the heatmap over it: what a judge finds faulty", "h"),
		bind(p.nextJudge, "", "the heatmap of the next judge", "a"),
		bind(p.toggle(&p.Difference), "diff", "the difference in place of the tuned picture, 4 times as strong", "d"),
		bind(p.nextSeedMode, "seed", "the seed: fixed, next after each picture, or random", "t"),
		bind(p.nextWeights, "weights", "the weights: those of now, or a checkpoint's", "c"),
		bind(p.reuse, "", "put this result's prompt and settings into the form", "u"),
		bind(p.save, "save", "save both pictures side by side as PNG", "s"),
		bind(p.repair, "repair", "repair a region of this picture", "r"),
	}
	if p.job != nil {
		table = append([]binding{bind(p.cancel, "cancel", "give up what is being drawn", "esc")}, table...)
	}
	return table
}

// then makes an action of a change: it is followed by what the screen needs for it.
func (p *promptPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

func (p *promptPane) toggle(b *bool) func() tea.Cmd { return p.then(func() { *b = !*b }) }

func (p *promptPane) startTyping() tea.Cmd { return p.form.focusOn(fieldPrompt) }

func (p *promptPane) nextJudge() tea.Cmd {
	r, _ := p.results.Current()
	p.judge, p.Heatmap = after(p.judge, feed.Judges(r.Aspects)), true
	return p.wants()
}

func (p *promptPane) nextSeedMode() tea.Cmd {
	p.form.seed = (p.form.seed + 1) % seedModes
	return nil
}

// nextWeights goes from the weights of now to the newest checkpoint, and on to the oldest.
func (p *promptPane) nextWeights() tea.Cmd {
	names := []string{""}
	for i := len(p.weights) - 1; i >= 0; i-- {
		names = append(names, path.Join("checkpoints", filepath.Base(p.weights[i].Dir)))
	}
	p.form.weights = after(p.form.weights, names)
	return nil
}

func (p *promptPane) reuse() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	p.form.fill(feed.RequestAgain(r))
	return p.form.focusOn(fieldPrompt)
}

func (p *promptPane) save() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return p.say("there is no picture to save")
	}
	files := feed.ResultFiles(r, p.judge)
	name := fmt.Sprintf("%s-prompt-%s-base-and-tuned", p.run.Folder.Name(), path.Base(r.Path))
	return p.saveDrawings(name, fmt.Sprintf("%s; seed %d; base and tuned", r.Prompt, r.Seed),
		files.Drawing(p.run.Folder, feed.Layers{IsBase: true, Heatmap: p.Heatmap}), p.tunedDrawing(files))
}

// repair opens the Fix pane on the result.
func (p *promptPane) repair() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return p.say("draw a picture first")
	}
	source := fixSource{feed.RequestAgain(r), feed.ResultFiles(r, p.judge)}
	return tea.Batch(
		func() tea.Msg { return repairMsg{source, strings.TrimPrefix(p.judge, "held-out-")} },
		func() tea.Msg { return gotoMsg{tabFix} },
	)
}

func (p *promptPane) mouse(m widget.Mouse) tea.Cmd {
	l := p.layout()
	if m.Left() && m.In(l.form) {
		if field := p.fieldAt(m.X-l.form.Min.X, m.Y-l.form.Min.Y); field != noField {
			return p.form.focusOn(field)
		}
		return widget.ClickRows(m, l.form, p.formRows())
	}
	if n := m.Lines(); n != 0 {
		p.results.Move(n)
		return nil
	}
	if m.Left() && (m.In(l.tuned) || m.In(l.base)) {
		p.Difference = m.In(l.tuned) && !p.Difference
		return nil
	}
	return widget.ClickRows(m, l.side, p.side())
}
