package tui

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
)

// overlay is what lies over the dashboard's pictures.
type overlay uint8

const (
	withHeat overlay = iota // on the base picture
	withMask                // outlined on both
	plain
	overlays
)

// pictureState is which pictures the dashboard shows.
type pictureState struct {
	newest  bool // the newest step's
	step    int  // else this step's
	number  int  // of the step's pictures, counted from the one with the worst fault
	overlay overlay
}

// shownStep is the step whose pictures are shown.
func (p *dashboardPane) shownStep() (step int, ok bool) {
	store := p.s.run.store
	if _, have := store.pictures[p.step]; !p.newest && have {
		return p.step, true
	}
	return store.newestPictures()
}

// shown is the picture on the dashboard and how many there are of its step.
func (p *dashboardPane) shown() (picture core.Picture, number, of, step int, ok bool) {
	step, ok = p.shownStep()
	all := p.s.run.store.pictures[step]
	if !ok || len(all) == 0 {
		return core.Picture{}, 0, 0, 0, false
	}
	number = ((p.first(all)+p.number)%len(all) + len(all)) % len(all)
	return all[number], number, len(all), step, true
}

// first is which of a step's pictures had the worst fault to begin with: the one to watch. Only pictures of
// a step that was scored tell.
func (p *dashboardPane) first(all []core.Picture) int {
	store := p.s.run.store
	for _, step := range slices.Backward(store.withPics) {
		worst, lowest := core.Picture{}, math.Inf(1)
		for _, picture := range store.pictures[step] {
			sum := 0.0
			for _, a := range picture.Aspects {
				sum += a.Base
			}
			if len(picture.Aspects) > 0 && sum < lowest {
				worst, lowest = picture, sum
			}
		}
		if lowest < math.Inf(1) {
			return max(slices.IndexFunc(all, func(q core.Picture) bool { return q.Index == worst.Index && q.Seed == worst.Seed }), 0)
		}
	}
	return 0
}

func (p *dashboardPane) flip(n int) { p.number += n }

// back goes to the pictures of the step before or after and stays there; after the last it follows again.
func (p *dashboardPane) back(n int) {
	if p.s.run == nil {
		return
	}
	steps := p.s.run.store.withPics
	now, ok := p.shownStep()
	if !ok {
		return
	}
	i := 0
	for i < len(steps) && steps[i] < now {
		i++
	}
	i += n
	p.newest = i >= len(steps)
	if i = max(min(i, len(steps)-1), 0); !p.newest {
		p.step = steps[i]
	}
}

// wantPictures asks for the pictures in the size of the layout.
func (p *dashboardPane) wantPictures() tea.Cmd {
	picture, _, _, _, ok := p.shown()
	if !ok || p.layout.pictures.Empty() {
		return nil
	}
	base := drawing{folder: p.s.run.folder, path: path.Join(picture.Reference, "base.png")}
	tuned := drawing{folder: p.s.run.folder, path: picture.Path}
	switch p.overlay {
	case withHeat:
		base.heat = p.s.run.heatFiles(picture.Reference)
	case withMask:
		base.mask = path.Join(picture.Reference, "mask.png")
		tuned.mask = base.mask
	}
	b, t := p.layout.base, p.layout.tuned
	return tea.Batch(p.s.want("dashboard-base", base, b.Dx(), b.Dy()), p.s.want("dashboard-tuned", tuned, t.Dx(), t.Dy()))
}

// viewPictures is the right-most column.
func (p *dashboardPane) viewPictures() string {
	picture, number, of, step, ok := p.shown()
	w, h := p.layout.pictures.Dx(), p.layout.pictures.Dy()
	if !ok {
		return fitBlock(nil, w, h)
	}
	st := p.s.styles
	baseHead := st.bold.Render("base") + st.faintText.Render([]string{"  heatmap", "  mask", ""}[p.overlay])
	follow := ""
	switch {
	case !p.newest:
		follow = " stays"
	case w > 22:
		follow = " newest"
	}
	tunedHead := st.bold.Render("tuned") + fmt.Sprintf("  step %d", step) + st.faintText.Render(follow)
	lines := []string{fitLine(baseHead, w)}
	lines = append(lines, strings.Split(p.s.picture("dashboard-base", p.layout.base.Dx(), p.layout.base.Dy()), "\n")...)
	lines = append(lines, tunedHead)
	lines = append(lines, strings.Split(p.s.picture("dashboard-tuned", p.layout.tuned.Dx(), p.layout.tuned.Dy()), "\n")...)
	lines = append(lines, wrap(picture.Prompt, w, 1)...)
	lines = append(lines, st.faintText.Render(fmt.Sprintf("seed %d   %d of %d", picture.Seed, number+1, of)))
	if rest := h - len(lines); rest > 1 {
		lines = append(lines, "")
		for _, a := range picture.Aspects {
			lines = append(lines, fmt.Sprintf("%s %s → %s", fitLine(aspectName(a.Aspect), min(w-16, 20)), number3(a.Base), st.bold.Render(number3(a.Reward))))
		}
	}
	return fitBlock(lines, w, h)
}

func number3(v float64) string { return number(v, 3) }
