package core

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is a place in an image in shares of its sides, [0,1] from the top left.
type Point struct{ X, Y float64 }

// Box is a rectangle of an image in shares of its sides, in [0,1].
type Box struct{ Left, Top, Right, Bottom float64 }

// Shape is the box as a region's.
func (b Box) Shape() Shape {
	return Shape{Kind: BoxShape, Points: []Point{{b.Left, b.Top}, {b.Right, b.Bottom}}}
}

// Region is the part of an image that is to be repaired: shapes in order, each of which adds to what those before it
// marked, or erases from it. In text it is one shape after the other, "; " between them and a - before one that erases:
//
//	box:0.3,0.4,0.2,0.25              left, top, width, height
//	polygon:0.1,0.1 0.5,0.1 0.3,0.6   corners
//	brush:0.04 0.3,0.3 0.4,0.35       radius, then the path of the stroke
//	heat:0.3,4                        the heatmap above a threshold, grown by pixels
//	mask:FILE                         a PNG file, white where the image is faulty
//
// All numbers but the pixels are shares: of a radius, of the image's longer side.
type Region []Shape

// Shape is one of a region.
type Shape struct {
	Kind      ShapeKind
	Erase     bool
	Points    []Point // two corners of a box, corners of a polygon, path of a stroke
	Radius    float64 // of a stroke
	Threshold float64 // of the heatmap, in [0,1]
	Grow      int     // pixels, of the heatmap's mask
	File      string
}

// ShapeKind is what a shape is: the word before its colon.
type ShapeKind string

// Kinds of shapes.
const (
	BoxShape     ShapeKind = "box"
	PolygonShape ShapeKind = "polygon"
	BrushShape   ShapeKind = "brush"
	HeatShape    ShapeKind = "heat"
	MaskShape    ShapeKind = "mask"
)

const (
	maxShapes = 4096
	maxPoints = 1 << 16 // of a region
	maxGrow   = 512     // pixels
)

// String writes the region as ParseRegion reads it.
func (r Region) String() string {
	var b strings.Builder
	for i, s := range r {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// String writes one shape.
func (s Shape) String() string {
	var b strings.Builder
	if s.Erase {
		b.WriteByte('-')
	}
	b.WriteString(string(s.Kind) + ":")
	switch s.Kind {
	case BoxShape:
		a, z := s.Points[0], s.Points[1]
		fmt.Fprintf(&b, "%s,%s,%s,%s", share(a.X), share(a.Y), share(z.X-a.X), share(z.Y-a.Y))
	case HeatShape:
		fmt.Fprintf(&b, "%s,%d", share(s.Threshold), s.Grow)
	case MaskShape:
		b.WriteString(s.File)
	default:
		if s.Kind == BrushShape {
			b.WriteString(share(s.Radius) + " ")
		}
		for i, p := range s.Points {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(share(p.X) + "," + share(p.Y))
		}
	}
	return b.String()
}

// share is a number of a region: a ten-thousandth of a side is less than half a pixel of any image we draw.
func share(v float64) string { return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64) }

// ParseRegion reads what String writes.
func ParseRegion(text string) (Region, error) {
	var r Region
	points := 0
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		s, err := parseShape(part)
		if err != nil {
			return nil, fmt.Errorf("region %q: %w", part, err)
		}
		r, points = append(r, s), points+len(s.Points)
		if len(r) > maxShapes || points > maxPoints {
			return nil, fmt.Errorf("region: more than %d shapes or %d points", maxShapes, maxPoints)
		}
	}
	if len(r) == 0 {
		return nil, errors.New("region: no shape in it, want box:X,Y,W,H, polygon:…, brush:…, heat:… or mask:FILE")
	}
	return r, nil
}

func parseShape(text string) (s Shape, err error) {
	text, s.Erase = strings.CutPrefix(text, "-")
	kind, rest, found := strings.Cut(text, ":")
	s.Kind = ShapeKind(kind)
	if !found {
		return s, errors.New("want KIND:NUMBERS")
	}
	switch s.Kind {
	case BoxShape:
		return parseBox(s.Erase, rest)
	case HeatShape:
		return parseHeat(s, rest)
	case MaskShape:
		s.File = rest
		if rest == "" {
			err = errors.New("want the name of a PNG file")
		}
		return s, err
	case BrushShape:
		radius, path, _ := strings.Cut(rest, " ")
		if s.Radius, err = parseShare(radius); err != nil {
			return s, err
		}
		rest = path
	case PolygonShape:
	default:
		return s, fmt.Errorf("%q, want box, polygon, brush, heat or mask", kind)
	}
	for word := range strings.FieldsSeq(rest) {
		x, y, _ := strings.Cut(word, ",")
		p := Point{}
		if p.X, err = parseShare(x); err == nil {
			p.Y, err = parseShare(y)
		}
		if err != nil {
			return s, err
		}
		s.Points = append(s.Points, p)
	}
	if least := map[ShapeKind]int{PolygonShape: 3, BrushShape: 1}[s.Kind]; len(s.Points) < least {
		return s, fmt.Errorf("%d points, want at least %d", len(s.Points), least)
	}
	return s, nil
}

// parseBox reads "X,Y,W,H".
func parseBox(erase bool, text string) (Shape, error) {
	var v [4]float64
	words := strings.Split(text, ",")
	if len(words) != len(v) {
		return Shape{}, fmt.Errorf("%q, want X,Y,W,H in shares of the image's sides, 0 to 1", text)
	}
	for i, word := range words {
		n, err := parseShare(strings.TrimSpace(word))
		if err != nil {
			return Shape{}, err
		}
		v[i] = n
	}
	const rounding = 2e-4 // of what String writes
	if v[2] <= 0 || v[3] <= 0 || v[0]+v[2] > 1+rounding || v[1]+v[3] > 1+rounding {
		return Shape{}, fmt.Errorf("%q is empty or leaves the image; X,Y,W,H are shares of its sides, 0 to 1", text)
	}
	return Shape{Kind: BoxShape, Erase: erase, Points: []Point{{v[0], v[1]}, {min(v[0]+v[2], 1), min(v[1]+v[3], 1)}}}, nil
}

func parseHeat(s Shape, text string) (Shape, error) {
	threshold, grow, found := strings.Cut(text, ",")
	var err error
	if s.Threshold, err = parseShare(threshold); err != nil {
		return s, err
	}
	if found {
		if s.Grow, err = strconv.Atoi(grow); err != nil || s.Grow < 0 || s.Grow > maxGrow {
			return s, fmt.Errorf("growth %q, want 0 to %d pixels", grow, maxGrow)
		}
	}
	return s, nil
}

func parseShare(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q, want a number from 0 to 1", text)
	}
	return v, nil
}

// Needs reports whether the region has a shape of a kind.
func (r Region) Needs(kind ShapeKind) bool {
	for _, s := range r {
		if s.Kind == kind {
			return true
		}
	}
	return false
}

// RegionFiles gives a region's mask what its text only names.
type RegionFiles struct {
	Heat Heatmap                         // of the fault; none if no shape needs it
	Read func(file string) (Mask, error) // a mask's PNG
}

// ErrEmptyRegion is a region that marks nothing.
var ErrEmptyRegion = errors.New("the region is empty: it marks no pixel of the image")

// Mask is the region in pixels. One that marks nothing is an error.
func (r Region) Mask(size Size, files RegionFiles) (Mask, error) {
	m := Mask{size.Width, size.Height, make([]bool, size.Width*size.Height)}
	for _, s := range r {
		one, err := s.mask(size, files)
		if err != nil {
			return m, err
		}
		if one.Width != size.Width || one.Height != size.Height {
			return m, fmt.Errorf("region %s: %dx%d pixels, want %v as the image has", s.Kind, one.Width, one.Height, size)
		}
		for i, marked := range one.Faulty {
			if marked {
				m.Faulty[i] = !s.Erase
			}
		}
	}
	if m.Coverage() == 0 {
		return m, ErrEmptyRegion
	}
	return m, nil
}

func (s Shape) mask(size Size, files RegionFiles) (Mask, error) {
	m := Mask{size.Width, size.Height, make([]bool, size.Width*size.Height)}
	switch s.Kind {
	case BoxShape:
		m.fillBox(s.Points[0], s.Points[1])
	case PolygonShape:
		m.fillPolygon(s.Points)
	case BrushShape:
		m.fillStroke(s.Points, s.Radius)
	case HeatShape:
		if len(files.Heat.Score) == 0 {
			return m, errors.New("region heat: no heatmap for this image")
		}
		return files.Heat.Threshold(s.Threshold).Dilate(s.Grow), nil
	case MaskShape:
		if files.Read == nil {
			return m, errors.New("region mask: files are not read here")
		}
		return files.Read(s.File)
	}
	return m, nil
}
