package picture

import (
	"time"

	"focusnfix/render"
)

// level is how many bytes a picture may have.
type level struct {
	sixel   render.Sixel
	shrink  int  // pixels are divided by this in both directions
	quality int  // iTerm2's JPEG
	kitty   int  // how kitty gets its pixels, see render.Kitty
	blocks  bool // no pixels at all
}

// levels get smaller by a third to a half each: palettes first, then the picture, then only characters.
var levels = []level{
	{sixel: render.Sixel{Dither: 0.6}, shrink: 1, quality: 90, kitty: render.KittyZlib},
	{sixel: render.Sixel{Sticky: 20}, shrink: 1, quality: 75, kitty: render.KittyPNG},
	{sixel: render.Sixel{Colors: 64, Sticky: 60}, shrink: 1, quality: 50, kitty: render.KittyPNG},
	{sixel: render.Sixel{Colors: 64, Sticky: 60}, shrink: 2, quality: 50, kitty: render.KittyPNG},
	{sixel: render.Sixel{Colors: 32, Sticky: 120}, shrink: 3, quality: 40, kitty: render.KittyPNG},
	{blocks: true},
}

// A picture that takes longer to write than slowWrite, or slowLocal where nothing but a busy machine can be slow,
// lowers the level; fastWrites pictures in a row that take
// less than fastWrite raise it, but never back to one that was too slow twice.
const (
	slowWrite  = 250 * time.Millisecond
	slowLocal  = 1500 * time.Millisecond
	fastWrite  = 60 * time.Millisecond
	fastWrites = 10
)

// budget watches how long pictures take to go out. Terminals that read slowly and lines that carry
// little look alike: both block the writer.
type budget struct {
	at      int     // of levels
	best    int     // the lowest index allowed
	tooSlow [16]int // how often each level was too slow
	fast    int
	local   bool // no line between the program and the terminal
}

// sent learns from a write of n bytes of pictures.
func (b *budget) sent(n int, took time.Duration) {
	switch {
	case n < asyncFrom:
	case took > slowWrite && !b.local, took > slowLocal:
		b.fast = 0
		if b.tooSlow[b.at]++; b.tooSlow[b.at] > 1 {
			b.best = max(b.best, b.at+1)
		}
		b.at = min(b.at+1, len(levels)-1)
	case took < fastWrite && b.at > b.best:
		if b.fast++; b.fast >= fastWrites {
			b.fast = 0
			b.at--
		}
	default:
		b.fast = 0
	}
}

// sent tells the budget how long a picture took.
func (p *Shelf) sent(n int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget.sent(n, took)
}

// state is the terminal and the level that pictures are encoded for.
func (p *Shelf) state() (Terminal, level) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term, levels[p.budget.at]
}
