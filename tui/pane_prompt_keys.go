package tui

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/find"
	"focusnfix/tui/widget"
)

func (p *promptPane) keys() []binding {
	if p.typing() {
		return p.typingKeys()
	}
	result := func(n int) func() tea.Cmd { return p.then(func() { p.results.Move(n) }) }
	table := []binding{
		here(keyEnter, "draw", "Draw the prompt, or draw it again", p.draw),
		here(keyEdit, "edit", "Edit the prompt; tab goes to the next field", p.startTyping),
		note("←→", "results", "Go to earlier and later results"),
		here(keyLeft, "", "Go to the previous result", result(-1)),
		here(keyRight, "", "Go to the next result", result(1)),
		here(keyHome, "", "Go to the first result", result(-1<<20)),
		here(keyEnd, "", "Go to the newest result", result(1<<20)),
		on(keyHeat, p.then(func() { p.Over = p.Over.Next() })),
		on(keyAspect, p.nextJudge),
		on(keyDiff, p.toggle(&p.Difference)),
		on(keySeed, p.nextSeedMode),
		on(keyWeights, p.nextWeights),
		on(keyReuse, p.reuse),
		on(keyFind, p.find),
		on(keySave, p.save),
		on(keyRepair, p.repair),
	}
	if p.job != nil {
		table = append([]binding{here(keyEsc, "cancel", "Cancel what is being drawn", p.cancel)}, table...)
	}
	return table
}

// typingKeys are what keys do in a text field.
func (p *promptPane) typingKeys() []binding {
	esc := note("esc", "commands", "Leave the field: keys are commands again")
	if p.job != nil {
		esc = note("esc", "cancel", "Cancel what is being drawn")
	}
	return []binding{
		note("enter", "draw", "Draw what is typed"),
		note("tab", "next field", "Go to the next field; shift+tab goes back"),
		note("↑↓", "earlier prompts", "Go to earlier and later prompts; in a number, one more or less"),
		esc,
	}
}

// then makes an action of a change: it is followed by what the screen needs for it.
func (p *promptPane) then(change func()) func() tea.Cmd {
	return func() tea.Cmd {
		change()
		return p.wants()
	}
}

func (p *promptPane) toggle(b *bool) func() tea.Cmd { return p.then(func() { *b = !*b }) }

func (p *promptPane) startTyping() tea.Cmd {
	p.form.drawn = false
	return p.form.focusOn(fieldPrompt)
}

func (p *promptPane) nextJudge() tea.Cmd {
	r, _ := p.results.Current()
	p.judge, p.Over = after(p.judge, feed.Judges(r.Aspects)), feed.Heat
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

// find goes to the nearest earlier result whose prompt matches; asked again, to the one before.
func (p *promptPane) find() tea.Cmd {
	if len(p.results.List) == 0 {
		return p.say("no prompt was drawn yet")
	}
	return p.askValue("Find a result by its prompt", p.found, func(text string) (tea.Cmd, error) {
		n := p.results.Find(find.NewPattern(text).Match)
		if n == 0 {
			return nil, errors.New("no prompt matches")
		}
		p.found = text
		return tea.Batch(p.say("%s; / finds the one before", words.Plural(n, "result")), p.wants()), nil
	}, "Text, a glob (*dog*) or a regular expression.")
}

func (p *promptPane) reuse() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	p.form.fill(feed.RequestAgain(r))
	return p.startTyping()
}

func (p *promptPane) save() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return p.say("there is no image to save")
	}
	files := feed.ResultFiles(r, p.judge)
	name := fmt.Sprintf("%s-prompt-%s-base-and-tuned", p.run.Folder.Name(), path.Base(r.Path))
	return p.saveDrawings(name, fmt.Sprintf("%s; seed %d; base and tuned", r.Prompt, r.Seed),
		files.Drawing(p.run.Folder, feed.Layers{IsBase: true, Over: p.Over}), p.tunedDrawing(files))
}

// repair opens the Fix pane on the result.
func (p *promptPane) repair() tea.Cmd {
	r, ok := p.results.Current()
	if !ok {
		return p.say("draw an image first")
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
