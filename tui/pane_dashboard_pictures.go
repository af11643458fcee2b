package tui

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// pictureState is which images the dashboard shows.
type pictureState struct {
	newest  bool // the newest step's
	step    int  // else this step's
	number  int  // of the step's images, counted from the one with the worst fault
	overlay feed.Overlay
}

// shownStep is the step whose images are shown.
func (p *dashboardPane) shownStep() (step int, ok bool) {
	store := p.s.run.Store
	if _, have := store.Pictures[p.step]; !p.newest && have {
		return p.step, true
	}
	return store.NewestPictures()
}

// shown is the image on the dashboard and how many there are of its step.
func (p *dashboardPane) shown() (pic core.Picture, number, of, step int, ok bool) {
	step, ok = p.shownStep()
	all := p.s.run.Store.Pictures[step]
	if !ok || len(all) == 0 {
		return core.Picture{}, 0, 0, 0, false
	}
	number = ((p.first(all)+p.number)%len(all) + len(all)) % len(all)
	return all[number], number, len(all), step, true
}

// first is which of a step's images had the worst fault to begin with: the one to watch. Only images of
// a step that was scored tell.
func (p *dashboardPane) first(all []core.Picture) int {
	store := p.s.run.Store
	for _, step := range slices.Backward(store.PictureSteps) {
		worst, lowest := core.Picture{}, math.Inf(1)
		for _, pic := range store.Pictures[step] {
			sum := 0.0
			for _, a := range pic.Aspects {
				sum += a.Base
			}
			if len(pic.Aspects) > 0 && sum < lowest {
				worst, lowest = pic, sum
			}
		}
		if lowest < math.Inf(1) {
			return max(slices.IndexFunc(all, func(q core.Picture) bool { return q.Index == worst.Index && q.Seed == worst.Seed }), 0)
		}
	}
	return 0
}

func (p *dashboardPane) flip(n int) { p.number += n }

// back goes to the images of the step before or after and stays there; after the last it follows again.
func (p *dashboardPane) back(n int) {
	if p.s.run == nil {
		return
	}
	steps := p.s.run.Store.PictureSteps
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

// wantPictures asks for the images in the size of the layout.
func (p *dashboardPane) wantPictures() tea.Cmd {
	pic, _, _, _, ok := p.shown()
	if !ok || p.layout.pictures.Empty() {
		return nil
	}
	base := feed.Drawing{Folder: p.s.run.Folder, Path: path.Join(pic.Reference, "base.png")}
	tuned := feed.Drawing{Folder: p.s.run.Folder, Path: pic.Path}
	switch p.overlay {
	case feed.Heat:
		base.Heat, tuned.Heat = p.s.run.HeatFiles(pic.Reference), p.s.run.TunedHeatFiles(pic.Path)
	case feed.Outline:
		base.Mask = path.Join(pic.Reference, "mask.png")
		tuned.Mask = base.Mask
	}
	b, t := p.layout.base, p.layout.tuned
	return tea.Batch(p.s.want("dashboard-base", base, b.Dx(), b.Dy()), p.s.want("dashboard-tuned", tuned, t.Dx(), t.Dy()))
}

// viewPictures is the right-most column.
func (p *dashboardPane) viewPictures() string {
	pic, number, of, step, ok := p.shown()
	w, h := p.layout.pictures.Dx(), p.layout.pictures.Dy()
	if !ok {
		return widget.FitBlock(nil, w, h)
	}
	st := p.s.styles
	baseHead := st.Bold.Render("base") + st.FaintText.Render("  "+p.overlay.String())
	follow := ""
	switch {
	case !p.newest:
		follow = " stays"
	case w > 22:
		follow = " newest"
	}
	if p.overlay == feed.Heat && p.s.bare("dashboard-tuned") {
		follow += st.FaintText.Render(" no heatmap")
	}
	tunedHead := st.Bold.Render("tuned") + fmt.Sprintf("  step %d", step) + st.FaintText.Render(follow)
	lines := []string{widget.FitLine(baseHead, w)}
	lines = append(lines, strings.Split(p.s.picture("dashboard-base", p.layout.base.Dx(), p.layout.base.Dy()), "\n")...)
	lines = append(lines, tunedHead)
	lines = append(lines, strings.Split(p.s.picture("dashboard-tuned", p.layout.tuned.Dx(), p.layout.tuned.Dy()), "\n")...)
	lines = append(lines, widget.Wrap(pic.Prompt, w, 1)...)
	about := st.FaintText.Render(fmt.Sprintf("seed %d   %d of %d", pic.Seed, number+1, of))
	if p.overlay == feed.Heat {
		scale := render.Colors("heat").Legend(min(w-picture.Width(about)-3, 24), "0", "1 faulty", p.s.probe.Terminal().Profile)
		about = widget.Spread(about, scale, w)
	}
	lines = append(lines, about)
	if rest := h - len(lines); rest > 1 {
		lines = append(lines, "")
		for _, a := range pic.Aspects {
			base, now, text := a.Base, a.Reward, number3
			if !math.IsNaN(a.BaseFault - a.Fault) { // how probable the fault is
				base, now, text = a.BaseFault, a.Fault, core.AspectMetric("fault").Text
			}
			lines = append(lines, fmt.Sprintf("%s %s → %s", widget.FitLine(words.Aspect(a.Aspect), min(w-16, 20)), text(base), st.Bold.Render(text(now))))
		}
	}
	return widget.FitBlock(lines, w, h)
}

func number3(v float64) string { return words.Number(v, 3) }
