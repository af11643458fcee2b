package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

// imagesPane looks through the run's pictures.
type imagesPane struct {
	s    *shared
	w, h int
}

func newImagesPane(s *shared) *imagesPane { return &imagesPane{s: s} }

func (p *imagesPane) title() string { return "Images" }

func (p *imagesPane) typing() bool { return false }

func (p *imagesPane) keys() []binding { return nil }

func (p *imagesPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
		return p.draw()
	case openedMsg, eventsMsg, encodeMsg, visibleMsg:
		return p.draw()
	}
	return nil
}

// draw wants the first of the newest pictures.
func (p *imagesPane) draw() tea.Cmd {
	if p.s.run == nil {
		p.s.unwant("images")
		return nil
	}
	store := p.s.run.store
	step, ok := store.newestPictures()
	if !ok || len(store.pictures[step]) == 0 {
		return nil
	}
	return p.s.want("images", drawing{folder: p.s.run.folder, path: store.pictures[step][0].Path}, p.w, p.h-1)
}

func (p *imagesPane) view(w, h int) string {
	if p.s.run == nil {
		return message(w, h, "No run is open.")
	}
	step, ok := p.s.run.store.newestPictures()
	if !ok {
		return message(w, h, "No pictures yet.")
	}
	head := fitLine(fmt.Sprintf(" step %d  %s", step, p.s.run.store.pictures[step][0].Prompt), w)
	return head + "\n" + p.s.picture("images", w, h-1)
}
