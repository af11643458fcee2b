package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

// promptPane draws prompts with base and tuned model.
type promptPane struct{ s *shared }

func newPromptPane(s *shared) *promptPane { return &promptPane{s: s} }

func (p *promptPane) title() string { return "Prompt" }

func (p *promptPane) typing() bool { return false }

func (p *promptPane) keys() []binding { return nil }

func (p *promptPane) update(tea.Msg) tea.Cmd { return nil }

func (p *promptPane) view(w, h int) string {
	if p.s.run == nil {
		return message(w, h, "No run is open.")
	}
	var lines []string
	for _, e := range p.s.run.store.prompts {
		lines = append(lines, fmt.Sprintf(" %s  seed %d  %s", e.Prompt.Path, e.Prompt.Seed, e.Prompt.Prompt))
	}
	if len(lines) == 0 {
		return message(w, h, "No prompts were tried in this run.")
	}
	return fitBlock(lines, w, h)
}
