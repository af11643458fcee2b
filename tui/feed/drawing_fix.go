package feed

import (
	"image"
	"image/color"
	"image/draw"
	"strings"

	"focusnfix/core"
	"focusnfix/render"
)

// tileColumns is how many images of a grid are beside each other, tileGap the pixels between them.
const tileColumns, tileGap = 3, 2

// read is the image, or the grid of them.
func (d Drawing) read(files *Cache, side int) (image.Image, error) {
	if d.Tiles == "" {
		return files.Read(d.Folder, d.Path, side)
	}
	var out *image.RGBA
	paths := strings.Split(d.Tiles, "\n")
	for i, path := range paths {
		m, err := files.Read(d.Folder, path, side)
		if err != nil {
			return nil, err
		}
		if d.Region != "" {
			one := d
			one.Path, one.Tiles, one.Fault = path, "", pathOf(path, d.Fault)
			large := render.Scale(nil, m, m.Bounds(), m.Bounds().Size().Mul(tileScale), true)
			if err := one.layRegion(files, side, large); err != nil {
				return nil, err
			}
			m = large
		}
		size := m.Bounds().Size().Add(image.Pt(tileGap, tileGap))
		if out == nil {
			rows := (len(paths) + tileColumns - 1) / tileColumns
			out = image.NewRGBA(image.Rect(0, 0, tileColumns*size.X-tileGap, rows*size.Y-tileGap))
		}
		at := image.Pt(i%tileColumns*size.X, i/tileColumns*size.Y)
		draw.Draw(out, m.Bounds().Sub(m.Bounds().Min).Add(at), m, m.Bounds().Min, draw.Src)
	}
	return out, nil
}

// tileScale is how many times as large images of a grid are drawn where a region lies over them.
const tileScale = 2

// pathOf is a file beside another.
func pathOf(beside, name string) string { return beside[:strings.LastIndexByte(beside, '/')+1] + name }

// layRegion outlines the region. One that marks nothing is not shown.
func (d Drawing) layRegion(files *Cache, side int, on *image.RGBA) error {
	if d.Region == "" {
		return nil
	}
	region, err := core.ParseRegion(d.Region)
	if err != nil {
		return err
	}
	img, err := files.Read(d.Folder, d.Path, side)
	if err != nil {
		return err
	}
	size := img.Bounds().Size()
	with := core.RegionFiles{Read: func(path string) (core.Mask, error) {
		m, err := files.Read(d.Folder, path, side)
		if err != nil {
			return core.Mask{}, err
		}
		return heatmapOf(m).Threshold(0.5), nil
	}}
	if region.Needs(core.HeatShape) {
		m, err := files.Read(d.Folder, d.Fault, side)
		if err != nil {
			return err
		}
		with.Heat = heatmapOf(m)
	}
	mask, err := region.Mask(core.Size{Width: size.X, Height: size.Y}, with)
	if err != nil {
		return nil //nolint:nilerr // empty as yet
	}
	if d.Alone {
		gray := mask.Gray()
		copy(on.Pix, render.Scale(nil, gray, gray.Bounds(), on.Rect.Size(), true).Pix)
		return nil
	}
	render.Overlay{Width: size.X, Height: size.Y, Alpha: 0.5, Contour: color.RGBA{255, 255, 255, 255}, Mask: render.Gray(mask.Gray())}.Draw(on)
	return nil
}

func heatmapOf(m image.Image) core.Heatmap {
	size := m.Bounds().Size()
	return core.Heatmap{Width: size.X, Height: size.Y, Score: render.Gray(m)}
}

// divide shows the other image right of the divider, and the divider.
func (d Drawing) divide(files *Cache, side int, on *image.RGBA) error {
	if d.After == "" {
		return nil
	}
	m, err := files.Read(d.Folder, d.After, side)
	if err != nil {
		return err
	}
	size := on.Rect.Size()
	after := render.Scale(nil, m, m.Bounds(), size, false)
	at := int(d.Split * float64(size.X))
	draw.Draw(on, image.Rect(at, 0, size.X, size.Y), after, image.Pt(at, 0), draw.Src)
	if d.Split > 0 && d.Split < 1 {
		thick := max(size.X/300, 1)
		draw.Draw(on, image.Rect(at-thick, 0, at+thick, size.Y), image.White, image.Point{}, draw.Src)
	}
	return nil
}
