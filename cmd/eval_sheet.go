package cmd

import (
	"image"
	"image/color"
	"image/draw"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/render"
)

const (
	sheetGap  = 4 // pixels between images
	sheetGain = 4 // a difference is shown so many times as large
)

// sheet shows an image a row: base, heat over it, mask, and for each tuning its image and how that
// differs from base.
func sheet(rows []eval.Row) image.Image {
	if len(rows) == 0 {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	size := rows[0].Base.Bounds().Size()
	columns := 3 + 2*len(rows[0].Tuned)
	m := image.NewRGBA(image.Rect(0, 0, columns*(size.X+sheetGap)+sheetGap, len(rows)*(size.Y+sheetGap)+sheetGap))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for y, row := range rows {
		cells := []image.Image{row.Base, heated(row), row.Mask.Gray()}
		for _, tuned := range row.Tuned {
			cells = append(cells, tuned, render.Difference(nil, tuned, row.Base, sheetGain))
		}
		for x, cell := range cells {
			at := image.Pt(sheetGap+x*(size.X+sheetGap), sheetGap+y*(size.Y+sheetGap))
			draw.Draw(m, image.Rectangle{at, at.Add(size)}, cell, cell.Bounds().Min, draw.Src)
		}
	}
	return m
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
