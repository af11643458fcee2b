package render

import (
	"image"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// Sixel (DEC STD 070, chapter 9) draws a picture as bands of six pixel rows. A byte '?'+m paints the
// pixels of mask m in one column with the selected color; "#c" selects, "!n" repeats, '$' returns to the
// band's left edge, '-' goes to the next band.
//
// The steps, all of them on every core: a palette (quantize.go, palette.go), a color for every pixel
// (band.go), and for every band the runs of each color, cut at wide gaps and packed into as
// few passes as will hold them (pack.go).

const bandRows = 6

// maxHeader bounds the bytes around the bands: 256 times "#123;2;100;100;100", the rest, the terminator.
const maxHeader = 256*18 + 64

// maxSticky is the largest useful Sticky: one byte is worth any error.
const maxSticky = 3 * 255 * 255

// Sixel encodes pictures as sixel. The zero value is ready to use: 256 colors, no dithering, lossless
// but for the palette. It keeps the palette when asked to; it must not be used by two goroutines at once.
type Sixel struct {
	// Colors is the size of the palette, 2..256; 0 is 256. Not above what the terminal answered to
	// XTSMGRAPHICS.
	Colors int
	// Sticky trades fidelity for bytes: a pixel may take a color that its surroundings use already if
	// that costs at most Sticky in squared error (sum of three channels, 0..255) for each byte it saves.
	// 0 is off; on a photo, 5 saves a seventh for nothing, 10 a quarter for 0.5 dB, 20 a third for 1.5 dB.
	Sticky int
	// Dither is the strength of error diffusion, 0..1. 0.6 looks best in photos at rest; 0 is right for
	// charts, and for moving pictures, where it would shimmer.
	Dither float32
	// Keep keeps the palette for the following pictures as long as it suits them: faster, and colors
	// do not flicker from picture to picture.
	Keep bool

	palette *palette
	colors  int   // that the palette was made for
	fit     int64 // mean squared error of the picture that the palette was made for, times fitScale
}

// Reset forgets the kept palette.
func (s *Sixel) Reset() { s.colors = 0 }

// Append appends one sixel sequence (DCS to ST) for the picture to dst. The cursor must stand on the cell
// of the picture's upper left corner; where it ends depends on the terminal. An empty picture appends
// nothing. Keep the height a multiple of six (Box.Fit): some terminals pad the rest with black.
func (s *Sixel) Append(dst []byte, img *image.RGBA) []byte {
	if img.Rect.Empty() {
		return dst
	}
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	return s.appendWith(w, dst, img)
}

func (s *Sixel) appendWith(w *workspace, dst []byte, img *image.RGBA) []byte {
	w.begin(s, img)
	s.choosePalette(w)
	w.each(w.encodeBands)
	size := maxHeader
	for i := range w.workers {
		size += len(w.workers[i].out)
	}
	dst = s.appendHeader(slices.Grow(dst, size), w)
	for i := range w.workers {
		dst = append(dst, w.workers[i].out...)
	}
	w.img, w.palette = nil, nil
	return append(dst, "\x1b\\"...)
}

// choosePalette makes w.palette ready for all colors of the picture.
func (s *Sixel) choosePalette(w *workspace) {
	colors := s.Colors
	if colors <= 0 || colors > 256 {
		colors = 256
	}
	if s.palette == nil {
		s.palette = new(palette)
	}
	w.palette = s.palette
	w.each(w.wantBlocks)
	w.gatherWanted()
	if s.Keep && s.colors == colors {
		w.each(w.fillPalette)
		if s.suits(w.img) {
			return
		}
	}
	s.palette.build(&w.quantizer, w.img, colors)
	s.colors = colors
	w.each(w.fillPalette)
	s.fit = s.palette.sampleError(w.img)
}

// suits reports whether the kept palette serves the picture about as well as the one it was made for.
func (s *Sixel) suits(img *image.RGBA) bool {
	return s.palette.sampleError(img) <= 2*s.fit+20*fitScale
}

func (s *Sixel) appendHeader(dst []byte, w *workspace) []byte {
	// 0;1: pixels that are not painted stay as they are. "1;1: square pixels.
	dst = append(dst, "\x1bP0;1;q\"1;1;"...)
	dst = strconv.AppendInt(dst, int64(w.img.Rect.Dx()), 10)
	dst = append(dst, ';')
	dst = strconv.AppendInt(dst, int64(w.img.Rect.Dy()), 10)
	for c := range w.palette.n {
		if !w.uses(c) {
			continue
		}
		dst = append(dst, '#')
		dst = strconv.AppendInt(dst, int64(c), 10)
		dst = append(dst, ";2"...)
		for _, v := range w.palette.percent[c] {
			dst = append(dst, ';')
			dst = strconv.AppendInt(dst, int64(v), 10)
		}
	}
	return dst
}

// workspace is the memory of one Append. Workspaces are shared by all encoders, so that an idle encoder
// holds no more than its palette.
type workspace struct {
	quantizer quantizer
	img       *image.RGBA
	palette   *palette
	sticky    int32
	strength  int32 // of dithering, 0..256

	workers []worker
	all     []worker // workers' memory
	task    func(*worker)
	wait    sync.WaitGroup
	// these are made once: a method value or a go statement with arguments would allocate
	encodeBands, wantBlocks, fillPalette func(*worker)
}

// worker is what one core needs. It handles the bands first..end-1, or the index-th of count shares.
type worker struct {
	index, count int
	first, end   int
	run          func()
	wanted       [blocks]bool
	used         [256]bool
	band         band
	out          []byte
}

var workspaces = sync.Pool{New: func() any { return newWorkspace(min(runtime.GOMAXPROCS(0), 8)) }}

func newWorkspace(cores int) *workspace {
	w := &workspace{all: make([]worker, cores)}
	for i := range w.all {
		k := &w.all[i]
		k.run = func() {
			w.task(k)
			w.wait.Done()
		}
	}
	w.encodeBands = func(k *worker) { k.encode(w) }
	w.wantBlocks = func(k *worker) { k.want(w) }
	w.fillPalette = func(k *worker) { w.palette.fill(&w.workers[0].wanted, k.index, k.count) }
	return w
}

// begin divides the picture's bands among the cores.
func (w *workspace) begin(s *Sixel, img *image.RGBA) {
	w.img, w.sticky = img, int32(min(max(0, s.Sticky), maxSticky))
	w.strength = int32(min(max(s.Dither, 0), 1)*256 + 0.5)
	bands := (img.Rect.Dy() + bandRows - 1) / bandRows
	const worthwhile = 1 << 14 // pixels; below it another goroutine costs more than it saves
	n := min(len(w.all), bands, 1+img.Rect.Dx()*img.Rect.Dy()/worthwhile)
	w.workers = w.all[:n]
	for i := range w.workers {
		k := &w.workers[i]
		k.index, k.count = i, n
		k.first, k.end = bands*i/n, bands*(i+1)/n
		k.wanted, k.used = [blocks]bool{}, [256]bool{}
	}
}

// each runs the task for every worker and waits.
func (w *workspace) each(task func(*worker)) {
	w.task = task
	w.wait.Add(len(w.workers) - 1)
	for i := range w.workers[1:] {
		go w.workers[i+1].run()
	}
	task(&w.workers[0])
	w.wait.Wait()
}

func (w *workspace) uses(c int) bool {
	for i := range w.workers {
		if w.workers[i].used[c] {
			return true
		}
	}
	return false
}

// gatherWanted gives the first worker the wanted blocks of all; with dithering their neighbors, too.
func (w *workspace) gatherWanted() {
	all := &w.workers[0].wanted
	for i := range w.workers[1:] {
		for k, v := range &w.workers[i+1].wanted {
			all[k] = all[k] || v
		}
	}
	if w.strength == 0 {
		return
	}
	marked := *all
	for k, v := range &marked {
		if !v {
			continue
		}
		for _, axis := range [3]int{1 << 8, 1 << 4, 1} {
			level := k / axis & 15
			if level > 0 {
				all[k-axis] = true
			}
			if level < 15 {
				all[k+axis] = true
			}
		}
	}
}

// want marks the palette blocks that the worker's bands have colors in.
func (k *worker) want(w *workspace) {
	width, height := w.img.Rect.Dx(), w.img.Rect.Dy()
	for y := k.first * bandRows; y < min(k.end*bandRows, height); y++ {
		row := w.img.Pix[y*w.img.Stride : y*w.img.Stride+4*width]
		for ; len(row) >= 4; row = row[4:] {
			k.wanted[uint32(row[0])>>4<<8|uint32(row[1])>>4<<4|uint32(row[2])>>4] = true
		}
	}
}

// encode writes the worker's bands.
func (k *worker) encode(w *workspace) {
	k.out = k.out[:0]
	for b := k.first; b < k.end; b++ {
		if b > 0 {
			k.out = append(k.out, '-')
		}
		k.band.begin(w.img.Rect.Dx(), w.sticky)
		if w.strength > 0 {
			k.band.fillDithered(w, b*bandRows)
		} else {
			k.band.fill(w, b*bandRows)
		}
		k.out = k.band.pack(k.out)
	}
	for c := range k.used {
		k.used[c] = k.band.used[c]
	}
	k.band.used = [256]bool{}
}
