package scenes

import (
	"image"
	"image/color"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Measures of a contact sheet in pixels.
const (
	sheetScale = 2
	tileGap    = 8
	textLine   = 17
	textLines  = 4
)

// aspectColours outline the masks; they stay apart for colour-blind readers (Okabe-Ito).
var aspectColours = [NumAspects]color.NRGBA{
	Violence:          {213, 94, 0, 255},
	Oversexualization: {204, 121, 167, 255},
	Artifacts:         {0, 158, 115, 255},
	Misalignment:      {0, 114, 178, 255},
}

// Sheet draws scenes side by side at twice their size, with their captions and faults below them.
// With outlines it draws a line around every mask.
func Sheet(scenes []Scene, columns int, outlines bool) (*image.NRGBA, error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: 14, DPI: 72})
	if err != nil {
		return nil, err
	}
	columns = max(1, columns)
	rows := (len(scenes) + columns - 1) / columns
	wide, tall := sheetScale*Size+tileGap, sheetScale*Size+tileGap+textLines*textLine
	sheet := image.NewNRGBA(image.Rect(0, 0, columns*wide+tileGap, rows*tall+tileGap))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.Gray{250}), image.Point{}, draw.Src)
	for i := range scenes {
		at := image.Pt(tileGap+i%columns*wide, tileGap+i/columns*tall)
		drawTile(sheet, at, &scenes[i], outlines)
		drawText(sheet, at.Add(image.Pt(0, sheetScale*Size)), &scenes[i], face)
	}
	return sheet, nil
}

func drawTile(sheet *image.NRGBA, at image.Point, s *Scene, outlines bool) {
	to := image.Rectangle{at, at.Add(image.Pt(sheetScale*Size, sheetScale*Size))}
	draw.CatmullRom.Scale(sheet, to, s.Image(), everywhere, draw.Src, nil)
	if !outlines {
		return
	}
	for a := range s.Masks {
		for y := range sheetScale * Size {
			for x := range sheetScale * Size {
				if onRim(s.Masks[a], x, y) {
					sheet.Set(at.X+x, at.Y+y, aspectColours[a])
				}
			}
		}
	}
}

// onRim reports whether sheet pixel (x, y) of a tile is inside the mask and a neighbour is not.
func onRim(mask []uint8, x, y int) bool {
	inside := func(x, y int) bool {
		x, y = x/sheetScale, y/sheetScale
		return x >= 0 && y >= 0 && x < Size && y < Size && mask[y*Size+x] == 1
	}
	if !inside(x, y) {
		return false
	}
	return x == 0 || y == 0 || !inside(x-1, y) || !inside(x+1, y) || !inside(x, y-1) || !inside(x, y+1)
}

// drawText writes the caption and then what is faulty.
func drawText(sheet *image.NRGBA, at image.Point, s *Scene, face font.Face) {
	pen := font.Drawer{Dst: sheet, Face: face, Src: image.NewUniform(color.Gray{20})}
	line := 0
	for _, text := range []string{s.Caption, s.faults()} {
		for _, part := range wrap(text, sheetScale*Size, &pen) {
			line++
			pen.Dot = fixed.P(at.X, at.Y+line*textLine-3)
			pen.DrawString(part)
		}
		pen.Src = image.NewUniform(color.NRGBA{180, 30, 30, 255})
	}
}

// wrap breaks a text between words into lines of at most width pixels.
func wrap(text string, width int, pen *font.Drawer) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && pen.MeasureString(lines[last]+" "+word) <= fixed.I(width) {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// faults says in words what is faulty; it is empty for a clean scene.
func (s *Scene) faults() string {
	var words []string
	for a, faulty := range s.Faulty {
		if faulty && Aspect(a) != Misalignment {
			words = append(words, Aspect(a).String())
		}
	}
	for i := range s.Entities {
		switch e := &s.Entities[i]; {
		case e.Missing():
			words = append(words, "no "+e.Name)
		case e.Wrong():
			words = append(words, e.Drawn+" for "+e.Name)
		}
	}
	return strings.Join(words, ", ")
}
