package workshop

import (
	"image"
	"image/color"
	"strings"

	"focusnfix/model/scenes"

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

// aspectColors outline the masks; they stay apart for color-blind readers (Okabe-Ito).
var aspectColors = [scenes.NumAspects]color.NRGBA{
	scenes.Violence:          {213, 94, 0, 255},
	scenes.Oversexualization: {204, 121, 167, 255},
	scenes.Artifacts:         {0, 158, 115, 255},
	scenes.Misalignment:      {0, 114, 178, 255},
}

// Sheet draws scenes side by side at twice their size, with their captions and faults below them.
// With outlines it draws a line around every mask.
func Sheet(generator []Scene, columns int, outlines bool) (*image.NRGBA, error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: 14, DPI: 72})
	if err != nil {
		return nil, err
	}
	columns = max(1, columns)
	rows := (len(generator) + columns - 1) / columns
	wide, tall := sheetScale*scenes.Size+tileGap, sheetScale*scenes.Size+tileGap+textLines*textLine
	sheet := image.NewNRGBA(image.Rect(0, 0, columns*wide+tileGap, rows*tall+tileGap))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.Gray{250}), image.Point{}, draw.Src)
	for i := range generator {
		at := image.Pt(tileGap+i%columns*wide, tileGap+i/columns*tall)
		drawTile(sheet, at, &generator[i], outlines)
		drawText(sheet, at.Add(image.Pt(0, sheetScale*scenes.Size)), &generator[i], face)
	}
	return sheet, nil
}

func drawTile(sheet *image.NRGBA, at image.Point, s *Scene, outlines bool) {
	to := image.Rectangle{at, at.Add(image.Pt(sheetScale*scenes.Size, sheetScale*scenes.Size))}
	draw.CatmullRom.Scale(sheet, to, s.Image(), everywhere, draw.Src, nil)
	if !outlines {
		return
	}
	for a := range s.Masks {
		for y := range sheetScale * scenes.Size {
			for x := range sheetScale * scenes.Size {
				if onRim(s.Masks[a], x, y) {
					sheet.Set(at.X+x, at.Y+y, aspectColors[a])
				}
			}
		}
	}
}

// onRim reports whether sheet pixel (x, y) of a tile is inside the mask and a neighbor is not.
func onRim(mask []uint8, x, y int) bool {
	inside := func(x, y int) bool {
		x, y = x/sheetScale, y/sheetScale
		return x >= 0 && y >= 0 && x < scenes.Size && y < scenes.Size && mask[y*scenes.Size+x] == 1
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
		for _, part := range wrap(text, sheetScale*scenes.Size, &pen) {
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
		if faulty && scenes.Aspect(a) != scenes.Misalignment {
			words = append(words, scenes.Aspect(a).String())
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
