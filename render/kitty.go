package render

import (
	"compress/zlib"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi/kitty"
)

// Kitty is one picture of kitty's graphics protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol).
// Sending another picture with the same ID replaces it.
type Kitty struct {
	// ID names the picture in the terminal; from KittyID.
	ID uint32
	// Cols and Rows are the cells that the terminal scales the picture to; at most 297 with Placeholders.
	Cols, Rows int
	// Placeholders makes the picture appear where the text of Row is, so that it moves with the text;
	// without, it appears at the cursor, which stays where it is.
	Placeholders bool
	// Encoding is how the pixels travel: KittyRaw, KittyZlib or KittyPNG.
	Encoding int
	// Tmux wraps every sequence for tmux's passthrough.
	Tmux bool
}

// KittyRaw is the fastest, for local terminals. KittyZlib is nearly as fast, a few per cent smaller for
// photos, 20 times for flat pictures. KittyPNG is the smallest and slowest: for slow connections.
const (
	KittyRaw = iota
	KittyZlib
	KittyPNG
)

// kittyChunk is the largest payload of one sequence, in base64 bytes.
const kittyChunk = 4096

// KittyIDs is how many numbers KittyID gives before it starts again.
const KittyIDs = 128 * 240

// KittyID is the n-th of the picture IDs that survive a terminal, or a multiplexer, of 256 colors: the
// low byte travels as a palette color above the 16 basic ones, the high byte as a third diacritic. It
// stays below 1<<31: Konsole takes all above for one and the same picture.
func KittyID(n int) uint32 {
	n %= KittyIDs
	return uint32(16+n%240) | uint32(n/240)<<24
}

// Append appends the sequences that send and place the picture.
func (k Kitty) Append(dst []byte, img *image.RGBA) []byte {
	if img.Rect.Empty() {
		return dst
	}
	w := kittyWriters.Get().(*kittyWriter)
	defer kittyWriters.Put(w)
	*w = kittyWriter{dst: dst, open: "\x1b_G", close: "\x1b\\", deflate: w.deflate}
	if k.Tmux {
		w.open, w.close = "\x1bPtmux;\x1b\x1b_G", "\x1b\x1b\\\x1b\\"
	}
	w.keys(k, img.Rect.Size())
	switch k.Encoding { // a kittyWriter never fails, and so nothing that writes to it does
	case KittyPNG:
		_ = encodePNG(w, img)
	case KittyZlib:
		w.deflate.Reset(w)
		_ = writeRGB(w.deflate, img)
		_ = w.deflate.Close()
	default:
		_ = writeRGB(w, img)
	}
	return w.end()
}

// AppendDelete appends the sequence that removes the picture and frees its memory.
func (k Kitty) AppendDelete(dst []byte) []byte {
	seq := "\x1b_Ga=d,d=I,q=2,i=" + strconv.FormatUint(uint64(k.ID), 10) + "\x1b\\"
	if k.Tmux {
		seq = "\x1bPtmux;" + strings.ReplaceAll(seq, "\x1b", "\x1b\x1b") + "\x1b\\"
	}
	return append(dst, seq...)
}

// Row is the text that shows row 0..Rows-1 of the picture: Cols cells. Every cell names its place in the
// picture, so a renderer may write any part of it again. The foreground color carries the ID; it must
// reach the terminal as it is. Colors are reset to default at the end.
func (k Kitty) Row(row int) string {
	var s strings.Builder
	s.Grow(24 + 12*k.Cols)
	if low := k.ID & 0xffffff; low < 256 {
		s.WriteString("\x1b[38;5;" + strconv.Itoa(int(low)) + "m")
	} else {
		s.WriteString("\x1b[38;2;" + strconv.Itoa(int(low>>16)) + ";" + strconv.Itoa(int(low>>8&255)) + ";" +
			strconv.Itoa(int(low&255)) + "m")
	}
	for col := range k.Cols {
		s.WriteRune(kitty.Placeholder)
		s.WriteRune(kitty.Diacritic(row))
		s.WriteRune(kitty.Diacritic(col))
		if high := k.ID >> 24; high > 0 {
			s.WriteRune(kitty.Diacritic(int(high)))
		}
	}
	s.WriteString("\x1b[39m")
	return s.String()
}

// kittyWriter cuts a payload into chunks of base64.
type kittyWriter struct {
	dst         []byte
	open, close string // of a sequence
	chunk       [kittyChunk / 4 * 3]byte
	n           int // bytes in chunk
	deflate     *zlib.Writer
}

var kittyWriters = sync.Pool{New: func() any {
	z, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is valid
	return &kittyWriter{deflate: z}
}}

// keys begins the first sequence: transmit and display, no answers.
func (w *kittyWriter) keys(k Kitty, size image.Point) {
	w.dst = append(w.dst, w.open...)
	w.dst = append(w.dst, "a=T,q=2,i="...)
	w.dst = strconv.AppendUint(w.dst, uint64(k.ID), 10)
	number := func(key string, v int) {
		w.dst = append(w.dst, key...)
		w.dst = strconv.AppendInt(w.dst, int64(v), 10)
	}
	if k.Encoding == KittyPNG {
		number(",f=", kitty.PNG)
	} else {
		number(",f=", kitty.RGB)
		number(",s=", size.X)
		number(",v=", size.Y)
	}
	if k.Encoding == KittyZlib {
		w.dst = append(w.dst, ",o=z"...)
	}
	if k.Cols > 0 {
		number(",c=", k.Cols)
	}
	if k.Rows > 0 {
		number(",r=", k.Rows)
	}
	if k.Placeholders {
		w.dst = append(w.dst, ",U=1"...)
	} else {
		w.dst = append(w.dst, ",C=1,p=1"...)
	}
}

// Write never fails.
func (w *kittyWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if w.n == len(w.chunk) {
			w.flush(",m=1;")
			w.dst = append(w.dst, w.open...)
			w.dst = append(w.dst, "q=2"...)
		}
		n := copy(w.chunk[w.n:], p)
		w.n += n
		p = p[n:]
	}
	return total, nil
}

func (w *kittyWriter) flush(more string) {
	w.dst = append(w.dst, more...)
	w.dst = base64.StdEncoding.AppendEncode(w.dst, w.chunk[:w.n])
	w.dst = append(w.dst, w.close...)
	w.n = 0
}

func (w *kittyWriter) end() []byte {
	w.flush(",m=0;")
	dst := w.dst
	w.dst = nil
	return dst
}

// writeRGB writes the pixels as 24-bit RGB.
func writeRGB(w io.Writer, img *image.RGBA) error {
	var buf [3 * 512]byte
	width := img.Rect.Dx()
	n := 0
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride : y*img.Stride+4*width]
		for ; len(row) >= 4; row = row[4:] {
			buf[n], buf[n+1], buf[n+2] = row[0], row[1], row[2]
			if n += 3; n == len(buf) {
				if _, err := w.Write(buf[:]); err != nil {
					return err
				}
				n = 0
			}
		}
	}
	_, err := w.Write(buf[:n])
	return err
}

// encodePNG writes the picture, alpha ignored, as PNG.
func encodePNG(w io.Writer, img *image.RGBA) error {
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if img.Opaque() {
		return enc.Encode(w, img)
	}
	return enc.Encode(w, opaque{img}) // slower: the encoder does not know the type
}

// opaque is a picture whose alpha is 255 everywhere, whatever its bytes say.
type opaque struct{ *image.RGBA }

func (opaque) Opaque() bool { return true }
