package render

import (
	"encoding/csv"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// Figure is a chart for a file: what [Chart.Draw] shows in a terminal, in pixels.
type Figure struct {
	Chart
	Title string
	Lines []Line
	Names []string // of the lines; a line without a name is in no legend
	X     string   // name of the x axis
	Size  image.Point
	Dark  bool
}

const (
	figureCell   = 8  // pixels of a column, for the number of labels
	figureRow    = 16 // pixels of a row of text
	figureMargin = 12
)

// frame is where the curves of a figure are, and how values stand there.
type frame struct {
	area           image.Rectangle
	plot           Plot
	yTicks, xTicks []tick
}

func (f *Figure) frame() frame {
	c := f.Chart
	c.Cols, c.Rows = f.Size.X/figureCell, f.Size.Y/(2*figureRow)
	p, yTicks, xTicks := c.plot(f.Lines)
	left := figureMargin + figureCell*p.Left
	return frame{
		image.Rect(left, figureMargin+3*figureRow, f.Size.X-figureMargin, f.Size.Y-figureMargin-2*figureRow), p, yTicks, xTicks,
	}
}

func (f frame) x(v float64) float64 {
	return float64(f.area.Min.X) + (v-f.plot.XMin)/(f.plot.XMax-f.plot.XMin)*float64(f.area.Dx())
}

// y is where a value of the scale stands.
func (f frame) y(at float64) float64 {
	share := min(max((at-f.plot.YMin)/(f.plot.YMax-f.plot.YMin), -0.02), 1.02)
	return float64(f.area.Max.Y) - share*float64(f.area.Dy())
}

// maxFigurePoints is how many points of a curve are drawn; of more, each column keeps its extremes.
const maxFigurePoints = 4000

// paths are the pieces of a curve in pixels: it is broken where values are not known.
func (f frame) paths(s *Series) (paths [][][2]float64) {
	from, to := s.search(f.plot.XMin, 0), s.search(f.plot.XMax, 0)
	if to < s.Len() {
		to++
	}
	from = max(from-1, 0)
	var path [][2]float64
	add := func(x, v float64) {
		at := f.plot.scale.at(v)
		if math.IsNaN(at) || math.IsInf(at, 0) {
			if len(path) > 0 {
				paths, path = append(paths, path), nil
			}
			return
		}
		path = append(path, [2]float64{f.x(x), f.y(at)})
	}
	group := max((to-from+maxFigurePoints-1)/maxFigurePoints, 1)
	for i := from; i < to; i += group {
		if group == 1 {
			add(s.At(i))
			continue
		}
		x, _ := s.At(i)
		e := s.extent(i, min(i+group, to))
		if e.lo > e.hi {
			add(x, math.NaN())
			continue
		}
		add(x, e.lo)
		add(x, e.hi)
	}
	if len(path) > 0 {
		paths = append(paths, path)
	}
	return paths
}

func (f *Figure) colors() (back, text, rule color.RGBA) {
	if f.Dark {
		return color.RGBA{16, 16, 16, 255}, color.RGBA{220, 220, 220, 255}, color.RGBA{70, 70, 70, 255}
	}
	return color.RGBA{255, 255, 255, 255}, color.RGBA{40, 40, 40, 255}, color.RGBA{215, 215, 215, 255}
}

func webColor(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// WriteSVG writes the figure as SVG.
func (f *Figure) WriteSVG(w io.Writer) error {
	fr := f.frame()
	back, text, rule := f.colors()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12" fill="%s">`+"\n", f.Size.X, f.Size.Y, webColor(text))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", webColor(back))
	label := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", figureMargin, figureMargin+figureRow, html.EscapeString(f.Title))
	f.legend(func(x int, s string, c color.RGBA, dashed bool) {
		y := figureMargin + 2*figureRow
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="%[4]s" stroke-width="2"%[5]s/>`+"\n", x, y-4, x+16, webColor(c), svgDashes(dashed))
		label(float64(x+20), float64(y), "start", s)
	})
	for _, t := range fr.yTicks {
		y := fr.y(t.value)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1[2]f" stroke="%[4]s"/>`+"\n", fr.area.Min.X, y, fr.area.Max.X, webColor(rule))
		label(float64(fr.area.Min.X-4), y+4, "end", t.label)
	}
	for _, t := range fr.xTicks {
		label(fr.x(t.value), float64(fr.area.Max.Y+figureRow), "middle", t.label)
	}
	label(float64(fr.area.Max.X), float64(fr.area.Max.Y+2*figureRow), "end", f.X)
	for _, l := range f.Lines {
		for _, path := range fr.paths(l.Series) {
			b.WriteString(`<polyline fill="none" stroke-width="1.5" stroke="` + webColor(l.Color) + `"` + svgDashes(l.Dashed) + ` points="`)
			for _, p := range path {
				fmt.Fprintf(&b, "%.1f,%.1f ", p[0], p[1])
			}
			b.WriteString("\"/>\n")
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func svgDashes(dashed bool) string {
	if dashed {
		return ` stroke-dasharray="5 4"`
	}
	return ""
}

// legend calls entry with the place of each named line.
func (f *Figure) legend(entry func(x int, name string, c color.RGBA, dashed bool)) {
	x := figureMargin
	for i, l := range f.Lines {
		if i < len(f.Names) && f.Names[i] != "" {
			entry(x, f.Names[i], l.Color, l.Dashed)
			x += 20 + figureCell*len(f.Names[i]) + 16
		}
	}
}

// Image draws the figure.
func (f *Figure) Image() *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: f.Size})
	back, text, rule := f.colors()
	draw.Draw(img, img.Rect, image.NewUniform(back), image.Point{}, draw.Src)
	label := func(x, y int, s string) {
		d := font.Drawer{Dst: img, Src: image.NewUniform(text), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
		d.DrawString(s)
	}
	width := func(s string) int { return font.MeasureString(basicfont.Face7x13, s).Ceil() }
	fr := f.frame()
	label(figureMargin, figureMargin+figureRow, f.Title)
	f.legend(func(x int, s string, c color.RGBA, dashed bool) {
		y := float64(figureMargin + 2*figureRow - 4)
		stroke(img, [][2]float64{{float64(x), y}, {float64(x + 16), y}}, c, dashed)
		label(x+20, figureMargin+2*figureRow, s)
	})
	for _, t := range fr.yTicks {
		y := int(fr.y(t.value) + 0.5)
		draw.Draw(img, image.Rect(fr.area.Min.X, y, fr.area.Max.X, y+1), image.NewUniform(rule), image.Point{}, draw.Src)
		label(fr.area.Min.X-4-width(t.label), y+4, t.label)
	}
	for _, t := range fr.xTicks {
		label(int(fr.x(t.value))-width(t.label)/2, fr.area.Max.Y+figureRow, t.label)
	}
	label(fr.area.Max.X-width(f.X), fr.area.Max.Y+2*figureRow, f.X)
	for _, l := range f.Lines {
		for _, path := range fr.paths(l.Series) {
			stroke(img, path, l.Color, l.Dashed)
		}
	}
	return img
}

// stroke draws a path one and a half pixels wide.
func stroke(img *image.RGBA, path [][2]float64, c color.RGBA, dashed bool) {
	const half, dash, gap = 0.75, 5, 4
	r := vector.NewRasterizer(img.Rect.Dx(), img.Rect.Dy())
	walked := 0.0
	for i := 1; i < len(path); i++ {
		a, b := path[i-1], path[i]
		dx, dy := b[0]-a[0], b[1]-a[1]
		length := math.Hypot(dx, dy)
		walked += length
		if length == 0 || dashed && math.Mod(walked, dash+gap) > dash {
			continue
		}
		nx, ny := -dy/length*half, dx/length*half
		r.MoveTo(float32(a[0]+nx), float32(a[1]+ny))
		r.LineTo(float32(b[0]+nx), float32(b[1]+ny))
		r.LineTo(float32(b[0]-nx), float32(b[1]-ny))
		r.LineTo(float32(a[0]-nx), float32(a[1]-ny))
		r.ClosePath()
	}
	r.Draw(img, img.Rect, image.NewUniform(c), image.Point{})
}

// WriteCSV writes the points of the lines in the window: a column for each line, a row for each x that one of them has.
func (f *Figure) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	head := []string{f.X}
	for i := range f.Lines {
		name := strconv.Itoa(i + 1)
		if i < len(f.Names) && f.Names[i] != "" {
			name = f.Names[i]
		}
		head = append(head, name)
	}
	_ = out.Write(head) // Error below has it
	lo, hi := f.window(f.Lines)
	at := make([]int, len(f.Lines))
	for i, l := range f.Lines {
		at[i] = l.Series.search(lo, 0)
	}
	for {
		next := math.Inf(1)
		for i, l := range f.Lines {
			if at[i] < l.Series.Len() {
				x, _ := l.Series.At(at[i])
				next = min(next, x)
			}
		}
		if next > hi {
			break
		}
		row := []string{strconv.FormatFloat(next, 'f', -1, 64)}
		for i, l := range f.Lines {
			cell := ""
			if at[i] < l.Series.Len() {
				if x, y := l.Series.At(at[i]); x == next {
					at[i]++
					if !math.IsNaN(y) {
						cell = strconv.FormatFloat(y, 'g', 7, 64)
					}
				}
			}
			row = append(row, cell)
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}
