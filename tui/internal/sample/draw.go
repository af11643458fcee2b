package sample

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
)

const side = 128 // pixels of an image

// spotOf is where the fault of a prompt's image is, in parts of its sides.
func spotOf(i int) (x, y, r float64) { return 0.3 + 0.13*float64(i%4), 0.62, 0.12 }

// scene is a plain image: sky, ground, a sun, a figure, and a fault that is there by the given part.
func scene(i int, fault float64) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	fx, fy, fr := spotOf(i)
	for py := range side {
		for px := range side {
			x, y := float64(px)/side, float64(py)/side
			c := [3]float64{120 + 60*y, 180 + 40*y, 235}
			if ground := 0.68 + 0.03*math.Sin(9*x+float64(i)); y > ground {
				c = [3]float64{90 + 20*float64(i%3), 150 - 15*float64(i%2), 80}
			}
			if math.Hypot(x-0.8, y-0.18) < 0.09 {
				c = [3]float64{250, 214, 80}
			}
			head, body := math.Hypot(x-0.5, y-0.4), math.Hypot((x-0.5)*1.3, y-0.66)
			if body < 0.17 {
				c = [3]float64{60 + 50*float64(i), 90, 190 - 40*float64(i)}
			}
			if head < 0.11 {
				c = [3]float64{240, 200, 160}
			}
			if d := math.Hypot(x-fx, y-fy); d < fr {
				edge := min(1, (fr-d)*30) * min(max(fault, 0), 1)
				for k, to := range [3]float64{190, 20, 30} {
					c[k] += edge * (to - c[k])
				}
			}
			img.SetRGBA(px, py, color.RGBA{uint8(c[0]), uint8(c[1]), uint8(c[2]), 255})
		}
	}
	return img
}

// spot is the fault's heatmap, or its mask.
func spot(i int, mask bool) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, side, side))
	fx, fy, fr := spotOf(i)
	for py := range side {
		for px := range side {
			v := math.Exp(-math.Pow(math.Hypot(float64(px)/side-fx, float64(py)/side-fy)/fr, 2))
			if mask {
				v = math.Round(min(1, v*1.3))
			}
			img.SetGray(px, py, color.Gray{uint8(255 * v)})
		}
	}
	return img
}

// faded is a heatmap of so much of a fault.
func faded(heat *image.Gray, left float64) *image.Gray {
	for i, v := range heat.Pix {
		heat.Pix[i] = uint8(float64(v) * min(max(left, 0), 1))
	}
	return heat
}

func savePNG(path string, img image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, img); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}
