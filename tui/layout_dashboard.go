package tui

import "image"

// dashboardLayout is where the parts of the dashboard are, from the pane's top left.
type dashboardLayout struct {
	header, table, log image.Rectangle
	charts             []image.Rectangle // the first is the chosen chart
	pictures           image.Rectangle   // empty: no room, or no images
	base, tuned        image.Rectangle   // inside it, without captions
}

const (
	headerRows  = 2
	minChart    = 7  // rows of a chart with its title
	smallWidth  = 38 // columns that a chart beside another needs
	smallHeight = 8
)

// layoutDashboard divides w x h cells. cell is a character's size in pixels, so that images, which are
// square nearly always, get a square; rows is the table's height, and full shows the chart alone.
func layoutDashboard(w, h int, cell image.Point, rows, charts int, pictures, full bool) dashboardLayout {
	l := dashboardLayout{header: image.Rect(0, 0, w, headerRows)}
	left := w
	if pictures && !full {
		l.layPictures(w, h, cell)
		if !l.pictures.Empty() {
			left = l.pictures.Min.X - 1 // one column for the rule
		}
	}
	top, height := headerRows, h-headerRows
	if full {
		l.charts = []image.Rectangle{image.Rect(0, top, w, h)}
		return l
	}
	logRows := max(3, height/6)
	rows = min(rows, max(height-minChart-logRows, 3))
	chartRows := height - rows - logRows
	l.table = image.Rect(0, top+chartRows, left, top+chartRows+rows)
	l.log = image.Rect(0, l.table.Max.Y, left, h)
	l.layCharts(image.Rect(0, top, left, top+chartRows), charts)
	return l
}

// layPictures puts two images above each other at the right edge: captions above them, the prompt below.
func (l *dashboardLayout) layPictures(w, h int, cell image.Point) {
	const captions = 4 // one above each image, two rows of prompt
	rows := (h - headerRows - captions) / 2
	cols := min(rows*cell.Y/max(cell.X, 1), w*2/5)
	rows = min(rows, (cols*cell.X+cell.Y-1)/max(cell.Y, 1))
	if rows < 5 || cols < 10 {
		return
	}
	width := max(cols, 18)
	x := w - width - 1
	l.pictures = image.Rect(x, headerRows, w-1, h)
	l.base = image.Rect(x, headerRows+1, x+width, headerRows+1+rows)
	l.tuned = l.base.Add(image.Pt(0, rows+1))
}

// layCharts gives the chosen chart the full width and puts as many others below it as there is room for.
func (l *dashboardLayout) layCharts(r image.Rectangle, charts int) {
	across := max(r.Dx()/smallWidth, 1)
	down := 0
	if across > 1 {
		down = max((r.Dy()-smallHeight-2)/smallHeight, 0)
		down = min(down, (charts-2+across)/across)
	}
	small := smallHeight
	if down > 0 {
		small = max(r.Dy()*3/5/down, smallHeight)
		small = min(small, (r.Dy()-smallHeight-2)/down)
	}
	top := r.Dy() - down*small
	l.charts = append(l.charts, image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+top))
	for i := range down * across {
		if len(l.charts) == charts {
			return
		}
		x, y := i%across, i/across
		l.charts = append(l.charts, image.Rect(r.Min.X+x*r.Dx()/across, r.Min.Y+top+y*small, r.Min.X+(x+1)*r.Dx()/across, r.Min.Y+top+(y+1)*small))
	}
}
