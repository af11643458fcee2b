package picture

import (
	"image"
	"math/rand/v2"
	"sync/atomic"

	"focusnfix/render"
)

// Encoded is an encoded picture: what [Pictures.Encode] makes and [Pictures.Show] takes.
type Encoded struct {
	Cols, Rows int // cells it covers
	protocol   Protocol
	data       string      // sixel, iTerm2: draws it at the cursor; kitty: sends it as number id
	text       []string    // blocks: its rows
	id         uint32      // kitty's number
	size       image.Point // pixels
	cell       image.Point // pixels of a cell when it was made
	scaled     bool        // kitty: the terminal stretches it over its cells
}

// pixels reports whether the picture is drawn by a graphics protocol and not as text.
func (p Encoded) pixels() bool { return p.protocol >= Sixel }

// kittyNumbers counts the pictures that were encoded for kitty. The first number is any, so that
// another program's pictures in the same terminal are not replaced.
var (
	kittyNumbers atomic.Int64
	kittyFirst   = rand.IntN(render.KittyIDs)
)

func newKittyID() uint32 { return render.KittyID(kittyFirst + int(kittyNumbers.Add(1))) }

// Encode scales img to fit into cols x rows cells, its aspect kept, and encodes it for the terminal and
// for what the line can carry. It takes milliseconds: call it in a command, never in Update or View. An
// empty picture or area gives an empty Picture.
func (p *Shelf) Encode(img image.Image, cols, rows int) Encoded {
	term, level := p.state()
	protocol := term.Protocol
	if level.blocks && protocol > Blocks {
		protocol = Blocks
	}
	box := render.Box{Cols: cols, Rows: rows, Cell: term.Cell}
	if img == nil || cols <= 0 || rows <= 0 || img.Bounds().Empty() {
		return Encoded{}
	}
	switch protocol {
	case Off:
		return Encoded{}
	case Blocks:
		return encodeBlocks(img, box, term.Profile)
	}
	if protocol == Sixel && term.maxSixel.X >= box.Cell.X && term.maxSixel.Y >= box.Cell.Y {
		box.Cols, box.Rows = min(cols, term.maxSixel.X/box.Cell.X), min(rows, term.maxSixel.Y/box.Cell.Y)
	}
	return encodePixels(img, box, protocol, level)
}

// encodeBlocks draws four pixels a cell, in two colors.
func encodeBlocks(img image.Image, box render.Box, profile render.Profile) Encoded {
	size := box.Fit(img.Bounds().Size(), 1)
	c, r := box.Cells(size)
	if c == 0 || r == 0 {
		return Encoded{}
	}
	small := render.Scale(nil, img, img.Bounds(), image.Pt(2*c, 2*r), false)
	return Encoded{Cols: c, Rows: r, protocol: Blocks, text: render.Blocks{Profile: profile, Quadrants: profile < render.Mono}.Lines(small, c, r)}
}

func encodePixels(img image.Image, box render.Box, protocol Protocol, level level) Encoded {
	step := 1
	if protocol == Sixel {
		step = 6
		box.Cols, box.Rows = max(box.Cols/level.shrink, 1), max(box.Rows/level.shrink, 1)
	}
	size := box.Fit(img.Bounds().Size(), step)
	c, r := box.Cells(size)
	if c == 0 || r == 0 {
		return Encoded{}
	}
	pic := Encoded{Cols: c, Rows: r, protocol: protocol, cell: box.Cell}
	if protocol != Sixel && level.shrink > 1 {
		size, pic.scaled = image.Pt(max(size.X/level.shrink, 1), max(size.Y/level.shrink, 1)), true
	}
	scaled := render.Scale(nil, img, img.Bounds(), size, false)
	pic.size = size
	var data []byte
	switch protocol {
	case Sixel:
		data = level.sixel.Append(nil, scaled)
	case ITerm2:
		data = render.ITerm2(nil, scaled, c, r, level.quality)
	default:
		pic.id = newKittyID()
		k := render.Kitty{ID: pic.id, Encoding: level.kitty}
		if protocol == KittyCells {
			k.Placeholders, k.Tmux, pic.scaled = true, true, true
		}
		if pic.scaled {
			k.Cols, k.Rows = c, r
		}
		data = k.Append(nil, scaled)
	}
	pic.data = string(data)
	return pic
}
