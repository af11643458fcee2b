package tui

import (
	"fmt"
	"image"
	"math"

	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// imagesLayout is where the parts of the pane are. The image is right-most, or has the whole width.
type imagesLayout struct{ side, picture, slider image.Rectangle }

// sideLeast is the fewest columns of text beside an image.
const sideLeast = 28

func (p *imagesPane) layout() imagesLayout {
	w, h, top := p.w, p.h, margin(p.h)
	l := imagesLayout{slider: image.Rect(0, max(h-1, 0), w, h)}
	if p.grid {
		l.side = image.Rect(1, top, max(w-1, 1), min(top+2, h))
		l.picture = image.Rect(1, top+3, max(w-1, 1), max(h-2, top+3))
		return l
	}
	rows := max(h-2-top, 0)
	cols := min(p.columns(rows), max(w-sideLeast-3, 0))
	l.picture = image.Rect(w-1-cols, top, w-1, top+rows)
	l.side = image.Rect(1, top, max(l.picture.Min.X-2, 1), top+rows)
	return l
}

// margin is the empty rows below the tabs: none where rows are few.
func margin(h int) int {
	if h < 30 {
		return 0
	}
	return 1
}

// columns is how wide an image of so many rows is.
func (s *shared) columns(rows int) int {
	cell, aspect := s.probe.Terminal().Cell, s.aspectRatio()
	return int(float64(rows*cell.Y)*aspect/float64(max(cell.X, 1)) + 0.999)
}

// aspectRatio is the width of the run's images over their height.
func (s *shared) aspectRatio() float64 {
	if s.run != nil && s.run.HasConfig {
		if size := s.run.Config.Sample.Size; size.Width > 0 && size.Height > 0 {
			return float64(size.Width) / float64(size.Height)
		}
	}
	return 1
}

// shotSize is the size of each image in cells.
func (p *imagesPane) shotSize() (cols, rows int) {
	if p.grid {
		g := p.gridLayout(p.cellCount())
		return g.cols, g.rows
	}
	r := p.layout().picture
	return r.Dx(), r.Dy()
}

func (p *imagesPane) view(w, h int) string {
	switch at, ok := p.current(); {
	case p.run == nil:
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	case p.err != nil:
		return widget.Message(w, h, "The folder of images cannot be read:", "", p.err.Error())
	case !ok:
		return p.viewEmpty(w, h)
	case p.grid:
		return p.viewGrid(w, h)
	default:
		l := p.layout()
		side := p.styles.RowsView(p.side(), l.side.Dx(), l.side.Dy())
		body := widget.Beside(widget.Blank(1, l.side.Dy()), side, widget.Blank(2, l.side.Dy()), p.viewShot(shot{"images/one", at}, l.picture.Dx(), l.picture.Dy()))
		return widget.Stack(w, h, append(widget.EmptyRows(margin(h)), body, "", p.viewSlider(w))...)
	}
}

func (p *imagesPane) viewEmpty(w, h int) string {
	lines := []string{"No images yet."}
	if p.run.HasConfig {
		lines = append(lines, "", fmt.Sprintf("The run keeps some every %s (train.images_every).", words.Plural(p.run.Config.Train.ImagesEvery, "step")))
	}
	return widget.Message(w, h, lines...)
}

// viewShot is an image, or what is missing for it.
func (p *imagesPane) viewShot(s shot, w, h int) string {
	if missing := p.gallery.Files(s.at, p.aspect).Missing(p.Layers); missing != "" {
		return p.note(missing, w, h)
	}
	return p.picture(s.name, w, h)
}

// note is a faint sentence in the middle of w x h cells.
func (s *shared) note(text string, w, h int) string {
	lines := widget.Wrap(text, max(w-2, 1), max(h, 1))
	for i, line := range lines {
		lines[i] = s.styles.FaintText.Render(line)
	}
	return widget.Message(w, h, lines...)
}

func (p *imagesPane) viewSlider(w int) string {
	before, knob, after, label := p.slider.Row(w)
	st := p.styles
	return widget.FitLine(st.AccentText.Render(before)+st.AccentText.Bold(true).Render(knob)+st.RuleText.Render(after)+label, w)
}

// side is the column beside the image, or the two rows above the grid.
func (p *imagesPane) side() []widget.Row {
	at, ok := p.current()
	if !ok {
		return nil
	}
	if p.grid {
		return []widget.Row{{Chips: append(p.viewChips(), p.gridChips()...)}, {Text: p.caption(at, p.w-2)}}
	}
	w := p.layout().side.Dx()
	var rows []widget.Row
	text := p.gallery.Texts[at.Sample.Index]
	if text == "" {
		text = fmt.Sprintf("prompt %d", at.Sample.Index)
	}
	for _, line := range widget.Wrap(text, w, 3) {
		rows = append(rows, widget.Row{Text: p.styles.Bold.Render(line)})
	}
	rows = append(rows, widget.Row{Text: p.styles.FaintText.Render(fmt.Sprintf("seed %d", at.Sample.Seed))}, widget.Row{Chips: p.pickChips()}, widget.Row{})
	views := p.viewChips()
	rows = append(rows, widget.Row{Chips: views[:3]}, widget.Row{Chips: views[3:]})
	if p.Over == feed.Heat {
		rows = append(append(rows, widget.ChipRows(p.aspectChips(), w)...), widget.Row{Text: render.Colors("heat").Legend(min(w, 30), "0", "1 faulty", p.probe.Terminal().Profile)})
	}
	without := p.gallery.Files(at, p.aspect).Without(p.Layers)
	if without == "" && p.bare("images/one") {
		without = "no heatmap was kept for this image"
	}
	if without != "" {
		rows = append(rows, widget.Row{Text: p.styles.FaintText.Render(widget.FitLine(without, w))})
	}
	rows = append(rows, widget.Row{})
	rows = append(rows, p.scores(at, w)...)
	return append(rows, widget.Row{}, widget.Row{Chips: []widget.Chip{
		{Text: "grid", Do: p.toggle(&p.grid)}, {Text: "save", Do: p.save}, {Text: "repair", Do: p.repair},
	}})
}

// caption names an image in one line.
func (p *imagesPane) caption(at feed.Place, w int) string {
	text := p.gallery.Texts[at.Sample.Index]
	right := p.styles.FaintText.Render(fmt.Sprintf("prompt %d, seed %d, step %d", at.Sample.Index, at.Sample.Seed, at.Step))
	return widget.Spread(p.styles.Bold.Render(widget.FitLine(text, max(w-40, 10))), right, w)
}

func (p *imagesPane) pickChips() []widget.Chip {
	pick := func(n int) widget.Chip {
		text := "‹"
		if n > 0 {
			text = "›"
		}
		return widget.Chip{Text: text, Do: p.then(func() { p.pick(p.sample + n) })}
	}
	return []widget.Chip{pick(-1), {Text: fmt.Sprintf("image %d of %d", p.sample+1, len(p.gallery.Samples))}, pick(1)}
}

// viewChips are the ways of looking: the image's first, then what lies over it.
func (p *imagesPane) viewChips() []widget.Chip {
	side := func(base bool) widget.Chip {
		name := map[bool]string{true: "base", false: "tuned"}[base]
		return widget.Chip{Text: name, On: p.IsBase == base && !p.Difference, Do: p.then(func() { p.still(); p.IsBase, p.Difference = base, false })}
	}
	return []widget.Chip{
		side(true), side(false),
		{Text: "difference", On: p.Difference, Do: p.toggle(&p.Difference)},
		{Text: "heatmap", On: p.Over == feed.Heat, Do: p.then(func() { p.Over = toggled(p.Over, feed.Heat) })},
		{Text: "mask", On: p.Over == feed.Outline, Do: p.then(func() { p.Over = toggled(p.Over, feed.Outline) })},
		{Text: "blink", On: p.blink, Do: p.startBlink},
	}
}

func (p *imagesPane) aspectChips() []widget.Chip {
	var chips []widget.Chip
	for _, name := range p.aspects() {
		chips = append(chips, widget.Chip{Text: words.Aspect(name), On: name == p.aspect, Do: p.then(func() { p.aspect = name })})
	}
	return chips
}

// scores is the table of what the judges say of an image.
func (p *imagesPane) scores(at feed.Place, w int) []widget.Row {
	files := p.gallery.Files(at, "")
	psnr, known := p.psnr[files]
	if !known {
		psnr = math.NaN()
	}
	return scoreRows(p.styles, p.gallery.Images[at].Aspects, psnr, w)
}
