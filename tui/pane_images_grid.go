package tui

import (
	"fmt"
	"strings"

	"focusnfix/tui/widget"
)

// gridLayout is how many small images there are on a page, and their size in cells.
type gridLayout struct{ across, down, cols, rows int }

// Small images are as large as all of them fit on one page, within these bounds; then there are pages.
const (
	gridLeast = 12 // columns of a small image
	gridMost  = 48
	gridGap   = 2 // columns between two; below each are a row of text and an empty one
)

// gridFor fits n images into w x h cells. tall is the rows of an image of 100 columns.
func gridFor(n, w, h int, tall float64) gridLayout {
	var g gridLayout
	for cols := max(min(gridMost, w), 1); ; cols-- {
		g.cols, g.rows = cols, max(int(float64(cols)*tall/100+0.5), 1)
		g.across, g.down = max((w+gridGap)/(cols+gridGap), 1), (h+1)/(g.rows+2)
		if g.down > 0 && g.across*g.down >= n || cols <= gridLeast {
			g.down = max(g.down, 1)
			return g
		}
	}
}

// page is the range of images on the page that has the selected one.
func (g gridLayout) page(selected, n int) (first, last int) {
	size := g.across * g.down
	first = selected / size * size
	return first, min(first+size, n)
}

// at is the image at cell (x,y) of the grid, counted from the page's first, or -1.
func (g gridLayout) at(x, y int) int {
	col, row := x/(g.cols+gridGap), y/(g.rows+2)
	if x < 0 || y < 0 || col >= g.across || row >= g.down || x%(g.cols+gridGap) >= g.cols || y%(g.rows+2) > g.rows {
		return -1
	}
	return row*g.across + col
}

func gridName(i int) string { return fmt.Sprintf("images/%d", i) }

// cellCount is how many images the grid has on all pages.
func (p *imagesPane) cellCount() int {
	if p.bySteps {
		return len(p.gallery.Steps)
	}
	return len(p.gallery.Samples)
}

func (p *imagesPane) gridLayout(n int) gridLayout {
	r := p.layout().picture
	cell := p.probe.Terminal().Cell
	return gridFor(n, r.Dx(), r.Dy(), 100*float64(cell.X)/float64(max(cell.Y, 1))/p.aspectRatio())
}

func (p *imagesPane) gridChips() []widget.Chip {
	over := func(name string, steps bool) widget.Chip {
		return widget.Chip{Text: name, On: p.bySteps == steps, Do: p.then(func() { p.bySteps = steps })}
	}
	return []widget.Chip{{Text: " over"}, over("prompts", false), over("steps", true), {Text: " "}, {Text: "large", Do: p.toggle(&p.grid)}}
}

func (p *imagesPane) viewGrid(w, h int) string {
	l := p.layout()
	all, selected := p.cells()
	g := p.gridLayout(len(all))
	first, last := g.page(selected, len(all))
	blocks := append(widget.EmptyRows(margin(h)), widget.Beside(widget.Blank(1, l.side.Dy()), p.styles.RowsView(p.side(), l.side.Dx(), l.side.Dy())), "")
	for row := first; row < last; row += g.across {
		var line []string
		for i := row; i < min(row+g.across, last); i++ {
			gap := gridGap
			if i == row {
				gap = 1 // the margin
			}
			line = append(line, widget.Blank(gap, g.rows+1), p.viewCell(all[i], g, i == selected))
		}
		blocks = append(blocks, widget.Beside(line...), "")
	}
	body := widget.Stack(w, h-2, blocks...)
	pages := ""
	if size := g.across * g.down; len(all) > size {
		pages = p.styles.FaintText.Render(fmt.Sprintf(" page %d of %d", selected/size+1, (len(all)+size-1)/size))
	}
	return widget.Stack(w, h, body, pages, p.viewSlider(w))
}

// viewCell is a small image with its name below it.
func (p *imagesPane) viewCell(s shot, g gridLayout, selected bool) string {
	label := fmt.Sprintf("step %d", s.at.Step)
	if !p.bySteps {
		label = strings.TrimSpace(fmt.Sprintf("%d·%d %s", s.at.Sample.Index, s.at.Sample.Seed, p.gallery.Texts[s.at.Sample.Index]))
	}
	style := p.styles.FaintText
	if selected {
		style, label = p.styles.SelectedText, "▸ "+label
	}
	return p.viewShot(s, g.cols, g.rows) + "\n" + style.Render(widget.FitLine(label, g.cols))
}
