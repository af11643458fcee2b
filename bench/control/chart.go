package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"focusnfix/core"
	"focusnfix/core/eval"
)

// The chart's size and margins, in pixels.
const (
	chartWidth, chartHeight    = 640, 420
	left, right, top, bottom   = 50, 110, 20, 40
	dot                        = 3
	lowestDB, highestDB, every = 15.0, 45.0, 5.0
)

// colors tell lines apart for color-blind people too (Okabe and Ito).
var colors = []color.RGBA{{0, 114, 178, 255}, {230, 159, 0, 255}, {0, 158, 115, 255}, {213, 94, 0, 255}}

// writeChart draws each method's points, repaired share to the right and PSNR upward.
func writeChart(path string, curves []curve) error {
	m := image.NewRGBA(image.Rect(0, 0, chartWidth, chartHeight))
	draw.Draw(m, m.Bounds(), image.White, image.Point{}, draw.Src)
	gray := color.RGBA{210, 210, 210, 255}
	for db := lowestDB; db <= highestDB; db += every {
		line(m, at(0, db), at(1, db), gray)
		write(m, 8, at(0, db).Y+4, fmt.Sprintf("%.0f dB", db))
	}
	for share := 0.0; share <= 1.001; share += 0.2 {
		line(m, at(share, lowestDB), at(share, highestDB), gray)
		write(m, at(share, lowestDB).X-12, chartHeight-bottom+16, fmt.Sprintf("%.0f %%", 100*share))
	}
	write(m, left, chartHeight-6, "faults repaired, by a held-out judge; upward: PSNR outside the mask")
	for i, c := range curves {
		for k, p := range c.Points {
			if k > 0 {
				line(m, pointAt(c.Points[k-1]), pointAt(p), colors[i%len(colors)])
			}
			spot := pointAt(p)
			draw.Draw(m, image.Rect(spot.X-dot, spot.Y-dot, spot.X+dot+1, spot.Y+dot+1), image.NewUniform(colors[i%len(colors)]), image.Point{}, draw.Src)
		}
		y := top + 20*(i+1)
		draw.Draw(m, image.Rect(chartWidth-right+12, y-6, chartWidth-right+22, y+2), image.NewUniform(colors[i%len(colors)]), image.Point{}, draw.Src)
		write(m, chartWidth-right+28, y+2, c.Method)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := core.WritePNG(file, m); err != nil {
		_ = file.Close() // the first error says it
		return err
	}
	return file.Close()
}

func pointAt(p eval.Point) image.Point { return at(p.Share, p.PSNR) }

// at is the pixel of a share in [0,1] and a PSNR in dB, which is cut to the chart's range.
func at(share, db float64) image.Point {
	db = min(max(db, lowestDB), highestDB)
	return image.Pt(left+int(share*(chartWidth-left-right)), chartHeight-bottom-int((db-lowestDB)/(highestDB-lowestDB)*(chartHeight-top-bottom)))
}

func line(m *image.RGBA, from, to image.Point, c color.RGBA) {
	n := int(max(math.Abs(float64(to.X-from.X)), math.Abs(float64(to.Y-from.Y)), 1))
	for i := range n + 1 {
		m.SetRGBA(from.X+(to.X-from.X)*i/n, from.Y+(to.Y-from.Y)*i/n, c)
	}
}

// write puts a line of text on a baseline.
func write(m draw.Image, x, y int, text string) {
	d := font.Drawer{Dst: m, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
