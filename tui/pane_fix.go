package tui

import tea "charm.land/bubbletea/v2"

// fixPane repairs a region of one picture.
type fixPane struct{ s *shared }

func newFixPane(s *shared) *fixPane { return &fixPane{s: s} }

func (p *fixPane) title() string { return "Fix" }

func (p *fixPane) typing() bool { return false }

func (p *fixPane) keys() []binding { return nil }

func (p *fixPane) update(tea.Msg) tea.Cmd { return nil }

func (p *fixPane) view(w, h int) string {
	if p.s.run == nil {
		return message(w, h, "No run is open.")
	}
	n := 0
	for _, e := range p.s.run.store.prompts {
		if e.Prompt.Fix {
			n++
		}
	}
	if n == 0 {
		return message(w, h, "No picture of this run was repaired yet.")
	}
	return message(w, h, plural(n, "repair"))
}
