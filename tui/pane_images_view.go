package tui

import (
	"fmt"
	"image"
	"math"

	"focusnfix/render"
)

// imagesLayout is where the parts of the pane are. The picture is right-most, or has the whole width.
type imagesLayout struct{ side, picture, slider image.Rectangle }

// sideLeast is the fewest columns of text beside a picture.
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

// columns is how wide a picture of so many rows is.
func (p *imagesPane) columns(rows int) int {
	cell, aspect := p.probe.Terminal().Cell, p.aspectRatio()
	return int(float64(rows*cell.Y)*aspect/float64(max(cell.X, 1)) + 0.999)
}

// aspectRatio is the width of the run's pictures over their height.
func (s *shared) aspectRatio() float64 {
	if s.run != nil && s.run.hasConfig {
		if size := s.run.config.Sample.Size; size.Width > 0 && size.Height > 0 {
			return float64(size.Width) / float64(size.Height)
		}
	}
	return 1
}

// shotSize is the size of each picture in cells.
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
		return message(w, h, "No run is open.", "", "1 lists the runs.")
	case p.err != nil:
		return message(w, h, "The folder of pictures cannot be read:", "", p.err.Error())
	case !ok:
		return p.viewEmpty(w, h)
	case p.grid:
		return p.viewGrid(w, h)
	default:
		l := p.layout()
		side := p.styles.rowsView(p.side(), l.side.Dx(), l.side.Dy())
		body := beside(blank(1, l.side.Dy()), side, blank(2, l.side.Dy()), p.viewShot(shot{"images/one", at}, l.picture.Dx(), l.picture.Dy()))
		return stack(w, h, append(emptyRows(margin(h)), body, "", p.viewSlider(w))...)
	}
}

func (p *imagesPane) viewEmpty(w, h int) string {
	lines := []string{"No pictures yet."}
	if p.run.hasConfig {
		lines = append(lines, "", fmt.Sprintf("The run keeps some every %s (train.images_every).", plural(p.run.config.Train.ImagesEvery, "step")))
	}
	return message(w, h, lines...)
}

// viewShot is a picture, or what is missing for it.
func (p *imagesPane) viewShot(s shot, w, h int) string {
	if missing := p.gallery.files(s.at, p.aspect).missing(p.layers); missing != "" {
		return p.note(missing, w, h)
	}
	return p.picture(s.name, w, h)
}

// note is a faint sentence in the middle of w x h cells.
func (s *shared) note(text string, w, h int) string {
	lines := wrap(text, max(w-2, 1), max(h, 1))
	for i, line := range lines {
		lines[i] = s.styles.faintText.Render(line)
	}
	return message(w, h, lines...)
}

func (p *imagesPane) viewSlider(w int) string {
	before, knob, after, label := p.slider.row(w)
	st := p.styles
	return fitLine(st.accentText.Render(before)+st.accentText.Bold(true).Render(knob)+st.ruleText.Render(after)+label, w)
}

// side is the column beside the picture, or the two rows above the grid.
func (p *imagesPane) side() []textRow {
	at, ok := p.current()
	if !ok {
		return nil
	}
	if p.grid {
		return []textRow{{chips: append(p.viewChips(), p.gridChips()...)}, {text: p.caption(at, p.w-2)}}
	}
	w := p.layout().side.Dx()
	var rows []textRow
	text := p.gallery.texts[at.pair.Index]
	if text == "" {
		text = fmt.Sprintf("prompt %d", at.pair.Index)
	}
	for _, line := range wrap(text, w, 3) {
		rows = append(rows, textRow{text: p.styles.bold.Render(line)})
	}
	rows = append(rows, textRow{text: p.styles.faintText.Render(fmt.Sprintf("seed %d", at.pair.Seed))}, textRow{chips: p.pickChips()}, textRow{})
	views := p.viewChips()
	rows = append(rows, textRow{chips: views[:3]}, textRow{chips: views[3:]})
	if p.heatmap {
		rows = append(append(rows, chipRows(p.aspectChips(), w)...), textRow{text: render.Colors("heat").Legend(min(w, 30), "0", "1 faulty", p.probe.Terminal().Profile)})
	}
	rows = append(rows, textRow{})
	rows = append(rows, p.scores(at, w)...)
	return append(rows, textRow{}, textRow{chips: []chip{
		{"grid", false, p.toggle(&p.grid)}, {"save", false, p.save}, {"repair", false, p.repair},
	}})
}

// caption names a picture in one line.
func (p *imagesPane) caption(at place, w int) string {
	text := p.gallery.texts[at.pair.Index]
	right := p.styles.faintText.Render(fmt.Sprintf("prompt %d, seed %d, step %d", at.pair.Index, at.pair.Seed, at.step))
	return spread(p.styles.bold.Render(fitLine(text, max(w-40, 10))), right, w)
}

func (p *imagesPane) pickChips() []chip {
	pick := func(n int) chip {
		text := "‹"
		if n > 0 {
			text = "›"
		}
		return chip{text, false, p.then(func() { p.pick(p.pair + n) })}
	}
	return []chip{pick(-1), {text: fmt.Sprintf("picture %d of %d", p.pair+1, len(p.gallery.pairs))}, pick(1)}
}

// viewChips are the ways of looking: the picture's first, then what lies over it.
func (p *imagesPane) viewChips() []chip {
	side := func(base bool) chip {
		name := map[bool]string{true: "base", false: "tuned"}[base]
		return chip{name, p.isBase == base && !p.difference, p.then(func() { p.still(); p.isBase, p.difference = base, false })}
	}
	return []chip{
		side(true), side(false),
		{"difference", p.difference, p.toggle(&p.difference)},
		{"heatmap", p.heatmap, p.toggle(&p.heatmap)},
		{"mask", p.contour, p.toggle(&p.contour)},
		{"blink", p.blink, p.startBlink},
	}
}

func (p *imagesPane) aspectChips() []chip {
	var chips []chip
	for _, name := range p.aspects() {
		chips = append(chips, chip{name, name == p.aspect, p.then(func() { p.aspect = name })})
	}
	return chips
}

// scores is the table of what the judges say of a picture.
func (p *imagesPane) scores(at place, w int) []textRow {
	files := p.gallery.files(at, "")
	psnr, known := p.psnr[files]
	if !known {
		psnr = math.NaN()
	}
	return scoreRows(p.styles, p.gallery.at[at].Aspects, psnr, w)
}
