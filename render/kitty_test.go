package render

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"
)

// kittyCommands splits the stream into APC sequences and joins the chunks of each command.
func kittyCommands(t *testing.T, stream string) (keys []map[string]string, payloads [][]byte) {
	t.Helper()
	more := false
	for len(stream) > 0 {
		body, ok := strings.CutPrefix(stream, "\x1b_G")
		body, rest, ended := strings.Cut(body, "\x1b\\")
		if !ok || !ended {
			t.Fatalf("no APC sequence: %.40q", stream)
		}
		stream = rest
		control, data, _ := strings.Cut(body, ";")
		if len(data) > 4096 {
			t.Fatalf("a chunk of %d bytes", len(data))
		}
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]string{}
		for pair := range strings.SplitSeq(control, ",") {
			k, v, _ := strings.Cut(pair, "=")
			set[k] = v
		}
		if more {
			payloads[len(payloads)-1] = append(payloads[len(payloads)-1], raw...)
		} else {
			keys, payloads = append(keys, set), append(payloads, raw)
		}
		more = set["m"] == "1"
	}
	if more {
		t.Fatal("the last chunk says that more follow")
	}
	return keys, payloads
}

// rgb are the picture's pixels without alpha.
func rgb(img image.Image) []byte {
	var out []byte
	r := img.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			out = append(out, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return out
}

func TestKittySendsThePicture(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {32, 32}, {33, 31}, {64, 16}, {100, 75}} {
		img := sample(size.X, size.Y, 1)
		for _, encoding := range []int{KittyRaw, KittyZlib, KittyPNG} {
			k := Kitty{ID: KittyID(300), Cols: 10, Rows: 5, Encoding: encoding}
			keys, payloads := kittyCommands(t, string(k.Append(nil, img)))
			if len(keys) != 1 {
				t.Fatalf("%d commands, want 1", len(keys))
			}
			want := map[string]string{"a": "T", "q": "2", "i": fmt.Sprint(k.ID), "c": "10", "r": "5", "C": "1", "p": "1"}
			got := payloads[0]
			switch encoding {
			case KittyPNG:
				want["f"] = "100"
				decoded, err := png.Decode(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				got = rgb(decoded)
			default:
				want["f"], want["s"], want["v"] = "24", strconv.Itoa(size.X), strconv.Itoa(size.Y)
			}
			if encoding == KittyZlib {
				want["o"] = "z"
				z, err := zlib.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				if got, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			for key, v := range want {
				if keys[0][key] != v {
					t.Errorf("%v, encoding %d: %s=%q, want %q", size, encoding, key, keys[0][key], v)
				}
			}
			if !bytes.Equal(got, rgb(img)) {
				t.Errorf("%v, encoding %d: other pixels", size, encoding)
			}
		}
	}
}

// Alpha is ignored, also where it says that a pixel is transparent.
func TestKittyIgnoresAlpha(t *testing.T) {
	img := sample(20, 10, 1)
	want := rgb(img)
	img.Pix[3], img.Pix[43] = 0, 100
	_, payloads := kittyCommands(t, string(Kitty{ID: 1, Encoding: KittyPNG}.Append(nil, img)))
	decoded, err := png.Decode(bytes.NewReader(payloads[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rgb(decoded), want) {
		t.Error("other pixels")
	}
}

func TestKittyIDs(t *testing.T) {
	seen := map[uint32]bool{}
	for n := range KittyIDs {
		id := KittyID(n)
		if low := id & 0xffffff; low < 16 || low > 255 || seen[id] {
			t.Fatalf("KittyID(%d) = %#x", n, id)
		}
		seen[id] = true
	}
	if KittyID(KittyIDs) != KittyID(0) {
		t.Error("they do not start again")
	}
}

// A placeholder cell must say by itself which picture, row and column it shows.
func TestKittyRowCellsNameTheirPlace(t *testing.T) {
	number := map[rune]int{}
	for i := range 297 {
		number[kitty.Diacritic(i)] = i
	}
	for _, id := range []uint32{KittyID(0), KittyID(239), KittyID(240), KittyID(KittyIDs - 1), 0x123456} {
		k := Kitty{ID: id, Cols: 297, Rows: 297, Placeholders: true}
		for _, row := range []int{0, 1, 100, 296} {
			s := k.Row(row)
			if w := ansi.StringWidth(s); w != k.Cols {
				t.Fatalf("width %d, want %d", w, k.Cols)
			}
			var low uint32
			var r, g, b uint32
			if _, err := fmt.Sscanf(s, "\x1b[38;5;%dm", &low); err != nil {
				if _, err := fmt.Sscanf(s, "\x1b[38;2;%d;%d;%dm", &r, &g, &b); err != nil {
					t.Fatalf("no color: %.20q", s)
				}
				low = r<<16 | g<<8 | b
			}
			cells := strings.Split(ansi.Strip(s), string(kitty.Placeholder))[1:]
			for col, cell := range cells {
				marks := []rune(cell)
				high := 0
				if len(marks) == 3 {
					high = number[marks[2]]
				}
				if number[marks[0]] != row || number[marks[1]] != col || low|uint32(high)<<24 != id {
					t.Fatalf("id %#x, row %d, column %d: cell says %v", id, row, col, marks)
				}
			}
		}
	}
}

func TestKittyDelete(t *testing.T) {
	k := Kitty{ID: 77}
	if got, want := string(k.AppendDelete(nil)), "\x1b_Ga=d,d=I,q=2,i=77\x1b\\"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// tmux must get back what we would have sent without it.
func TestKittyTmux(t *testing.T) {
	img := sample(64, 64, 0)
	plain := Kitty{ID: 20, Cols: 4, Rows: 2}
	wrapped := plain
	wrapped.Tmux = true
	var got strings.Builder
	for part := range strings.SplitSeq(string(wrapped.AppendDelete(wrapped.Append(nil, img))), "\x1bPtmux;") {
		part = strings.TrimSuffix(part, "\x1b\\")
		got.WriteString(strings.ReplaceAll(part, "\x1b\x1b", "\x1b"))
	}
	if want := string(plain.AppendDelete(plain.Append(nil, img))); got.String() != want {
		t.Errorf("unwrapped: %d bytes, %.60q; want %d, %.60q", got.Len(), got.String(), len(want), want)
	}
}

func TestITerm2(t *testing.T) {
	img := sample(50, 40, 1)
	out := string(ITerm2(nil, img, 10, 4, 0))
	head, data, _ := strings.Cut(strings.TrimSuffix(out, "\a"), ":")
	file, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("\x1b]1337;File=inline=1;size=%d;width=10;height=4;preserveAspectRatio=0;doNotMoveCursor=1", len(file))
	if head != want {
		t.Errorf("got %q, want %q", head, want)
	}
	decoded, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rgb(decoded), rgb(img)) {
		t.Error("other pixels")
	}
	if jpeg := ITerm2(nil, photo(t, 256), 10, 4, 75); len(jpeg) > 40_000 || !bytes.Contains(jpeg[:200], []byte(":/9j/")) {
		t.Errorf("quality 75: %d bytes, %.80q", len(jpeg), jpeg)
	}
}

func BenchmarkProtocols(b *testing.B) {
	img := photo(b, 512)
	for _, c := range []struct {
		name   string
		encode func(dst []byte) []byte
	}{
		{"kitty-raw", func(dst []byte) []byte { return Kitty{ID: 1}.Append(dst, img) }},
		{"kitty-zlib", func(dst []byte) []byte { return Kitty{ID: 1, Encoding: KittyZlib}.Append(dst, img) }},
		{"kitty-png", func(dst []byte) []byte { return Kitty{ID: 1, Encoding: KittyPNG}.Append(dst, img) }},
		{"iterm2-jpeg75", func(dst []byte) []byte { return ITerm2(dst, img, 10, 10, 75) }},
		{"halfblocks", func(dst []byte) []byte { return append(dst, Blocks{}.Lines(img, 52, 26)[0]...) }},
		{"quadrants", func(dst []byte) []byte { return append(dst, Blocks{Quadrants: true}.Lines(img, 52, 26)[0]...) }},
		{"scale", func(dst []byte) []byte { Scale(nil, img, img.Rect, image.Pt(396, 396), false); return dst }},
		{"scale-fast", func(dst []byte) []byte { Scale(nil, img, img.Rect, image.Pt(396, 396), true); return dst }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = c.encode(out[:0])
			}
			b.ReportMetric(float64(len(out)), "sent-bytes")
		})
	}
}
