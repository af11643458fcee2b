// Sixel compares our sixel encoder with go-sixel, libsixel (img2sixel) and chafa on the same images, in
// turns, and prints a Markdown table. Every output is decoded by libsixel's sixel2png and compared with the
// original. Processes include their start and reading a PNG file. From this folder:
//
//	apt-get install libsixel-bin chafa
//	go run . -rounds 15
package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"focusnfix/render"

	sixel "github.com/mattn/go-sixel"
)

// encoder is one row of the table. encode returns the sixel bytes of the image, also given as a PNG
// file.
type encoder struct {
	name   string
	encode func(img *image.RGBA, file string) ([]byte, error)
	times  []time.Duration
	out    []byte
}

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 15, "how often each encoder encodes each picture")
	photo := flag.String("photo", "../../../render/testdata/photo512.png", "a PNG, at least 512x512 `file`")
	flag.Parse()
	for _, size := range []int{512, 256} {
		if err := compare(*photo, size, *rounds); err != nil {
			log.Fatal(err)
		}
	}
}

// compare prints the table for the photo's central size x size pixels.
func compare(photo string, size, rounds int) error {
	img, err := load(photo, size)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sixel-peers")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the system's temporary folder
	file := filepath.Join(dir, "photo.png")
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		return err
	}
	if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
		return err
	}
	encoders := peers(size)
	order := slices.Clone(encoders)
	rng := rand.New(rand.NewPCG(1, 1))
	for range rounds {
		// a new order each round: on a busy machine the scheduler favours whoever comes after a pause
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, e := range order {
			start := time.Now()
			out, err := e.encode(img, file)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			e.times = append(e.times, time.Since(start))
			e.out = append(e.out[:0], out...)
		}
	}
	fmt.Printf("\n%dx%d photo, %d rounds\n\n| encoder | ms median | ms min | bytes | PSNR dB | soft dB |\n|-|-|-|-|-|-|\n", size, size, rounds)
	for _, e := range encoders {
		if err := e.print(img); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

func (e *encoder) print(img *image.RGBA) error {
	slices.Sort(e.times)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	row := fmt.Sprintf("| %s | %.1f | %.1f | %d |", e.name, ms(e.times[len(e.times)/2]), ms(e.times[0]), len(e.out))
	decode := exec.Command("sixel2png")
	decode.Stdin = bytes.NewReader(e.out)
	file, err := decode.Output()
	if err != nil {
		return fmt.Errorf("sixel2png: %w", err)
	}
	decoded, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("sixel2png: %w", err)
	}
	got := rgba(decoded)
	if got.Rect.Dx() < img.Rect.Dx() || got.Rect.Dy() < img.Rect.Dy() {
		fmt.Printf("%s %dx%d | |\n", row, got.Rect.Dx(), got.Rect.Dy()) // scaled: nothing to compare
		return nil
	}
	fmt.Printf("%s %.2f | %.2f |\n", row, psnr(img, got, false), psnr(img, got, true))
	return nil
}

func peers(size int) []*encoder {
	cells := fmt.Sprintf("%dx%[1]d", size/8) // chafa takes a cell for 8x8 pixels here
	list := []*encoder{
		{name: "go-sixel, 256 colours", encode: goSixel(false)},
		{name: "go-sixel, 256 colours, dithered", encode: goSixel(true)},
		{name: "img2sixel (process)", encode: process("img2sixel")},
		{name: "img2sixel -d none (process)", encode: process("img2sixel", "-d", "none")},
		{name: "img2sixel -q full (process)", encode: process("img2sixel", "-q", "full")},
		{name: "chafa (process)", encode: process("chafa", "-f", "sixels", "--stretch", "-s", cells)},
	}
	for _, s := range []render.Sixel{
		{},
		{Sticky: 5},
		{Sticky: 10},
		{Sticky: 20},
		{Dither: 0.6},
		{Dither: 0.6, Sticky: 10},
		{Keep: true},
		{Keep: true, Sticky: 20},
	} {
		name := "ours"
		if s.Sticky > 0 {
			name += fmt.Sprintf(", sticky %d", s.Sticky)
		}
		if s.Dither > 0 {
			name += fmt.Sprintf(", dither %.1f", s.Dither)
		}
		if s.Keep {
			name += ", palette kept"
		}
		list = append(list, &encoder{name: name, encode: ours(s)})
	}
	return list
}

func ours(s render.Sixel) func(*image.RGBA, string) ([]byte, error) {
	var out []byte
	return func(img *image.RGBA, _ string) ([]byte, error) {
		out = s.Append(out[:0], img)
		return out, nil
	}
}

func goSixel(dither bool) func(*image.RGBA, string) ([]byte, error) {
	return func(img *image.RGBA, _ string) ([]byte, error) {
		var buf bytes.Buffer
		e := sixel.NewEncoder(&buf)
		e.Dither = dither
		err := e.Encode(img)
		return buf.Bytes(), err
	}
}

func process(name string, args ...string) func(*image.RGBA, string) ([]byte, error) {
	return func(_ *image.RGBA, file string) ([]byte, error) {
		return exec.Command(name, append(args, file)...).Output()
	}
}

func load(file string, size int) (*image.RGBA, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	full, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := full.Bounds()
	if r.Dx() < size || r.Dy() < size {
		return nil, fmt.Errorf("%s: %v, want at least %dx%d", file, r.Size(), size, size)
	}
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(img, img.Rect, full, r.Min.Add(image.Pt((r.Dx()-size)/2, (r.Dy()-size)/2)), draw.Src)
	return img, nil
}

func rgba(m image.Image) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: m.Bounds().Size()})
	draw.Draw(img, img.Rect, m, m.Bounds().Min, draw.Src)
	return img
}

// psnr of b against a; soft filters the error with 1-2-1 in both directions first, roughly what an eye
// averages, which is fair to dithering.
func psnr(a, b *image.RGBA, soft bool) float64 {
	w, h := a.Rect.Dx(), a.Rect.Dy()
	err := func(x, y, k int) float64 {
		x, y = min(max(x, 0), w-1), min(max(y, 0), h-1)
		return float64(a.Pix[y*a.Stride+4*x+k]) - float64(b.Pix[y*b.Stride+4*x+k])
	}
	sum := 0.0
	for y := range h {
		for x := range w {
			for k := range 3 {
				e := err(x, y, k)
				if soft {
					e = 4 * e
					for _, d := range [...][3]int{{-1, 0, 2}, {1, 0, 2}, {0, -1, 2}, {0, 1, 2}, {-1, -1, 1}, {1, -1, 1}, {-1, 1, 1}, {1, 1, 1}} {
						e += float64(d[2]) * err(x+d[0], y+d[1], k)
					}
					e /= 16
				}
				sum += e * e
			}
		}
	}
	return 10 * math.Log10(255*255*3*float64(w*h)/sum)
}
