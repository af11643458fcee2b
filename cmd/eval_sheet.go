package cmd

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/render"
)

const (
	sheetGap  = 4  // pixels between images
	sheetGain = 4  // a difference is shown so many times as large
	sheetLine = 15 // pixels of a line of text
)

// sheet shows an image a row: base, heat over it, mask, and for each tuning its image and how that differs from base.
// Columns and rows are labeled.
func sheet(r *eval.Comparison) image.Image {
	if len(r.Rows) == 0 {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	size := r.Rows[0].Base.Bounds().Size()
	heads := []string{"base", "heat", "mask"}
	for _, t := range r.Tunings {
		heads = append(heads, tuningName(t), fmt.Sprintf("difference x%d", sheetGain))
	}
	row := size.Y + sheetGap + sheetLine
	m := image.NewRGBA(image.Rect(0, 0, len(heads)*(size.X+sheetGap)+sheetGap, sheetLine+len(r.Rows)*row+sheetGap))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for x, head := range heads {
		label(m, sheetGap+x*(size.X+sheetGap), 0, size.X, head)
	}
	for y, one := range r.Rows {
		top := sheetLine + y*row
		label(m, sheetGap, top, m.Bounds().Dx()-2*sheetGap, fmt.Sprintf("%s, seed %d", one.Pair.Prompt, one.Pair.Seed))
		for x, cell := range cells(one) {
			at := image.Pt(sheetGap+x*(size.X+sheetGap), top+sheetLine)
			draw.Draw(m, image.Rectangle{at, at.Add(size)}, cell, cell.Bounds().Min, draw.Src)
		}
	}
	return m
}

func cells(row eval.Row) []image.Image {
	all := []image.Image{row.Base, heated(row), row.Mask.Gray()}
	for _, tuned := range row.Tuned {
		all = append(all, tuned, render.Difference(nil, tuned, row.Base, sheetGain))
	}
	return all
}

// label writes a line of text, cut to a width in pixels, below a point.
func label(m draw.Image, x, y, width int, text string) {
	face := basicfont.Face7x13
	if most := width / face.Advance; len(text) > most {
		text = text[:max(most, 0)]
	}
	d := font.Drawer{Dst: m, Src: image.Black, Face: face, Dot: fixed.P(x, y+face.Ascent+1)}
	d.DrawString(text)
}

// heated is the base image with heat and the mask's outline over it.
func heated(row eval.Row) image.Image {
	m := image.NewRGBA(row.Base.Bounds())
	copy(m.Pix, row.Base.Pix)
	render.Overlay{Width: row.Heat.Width, Height: row.Heat.Height, Heatmap: row.Heat.Score, Mask: maskPlane(row.Mask), Alpha: 0.65, Contour: color.RGBA{255, 255, 255, 255}}.Draw(m)
	return m
}

func maskPlane(m core.Mask) []float32 {
	plane := make([]float32, len(m.Faulty))
	for i, faulty := range m.Faulty {
		if faulty {
			plane[i] = 1
		}
	}
	return plane
}
