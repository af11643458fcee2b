package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"runtime"
	"strings"
	"testing"
)

func testPicture() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 5, 3))
	for i := range 15 {
		m.Set(i%5, i/5, color.RGBA{uint8(i * 17), uint8(255 - i), 80, 255})
	}
	return m
}

func TestPNGTextRoundTrip(t *testing.T) {
	texts := []PNGText{
		{"parameters", "a chef\nSteps: 20, Seed: 1"},
		{"parameters", "an été in Paris"},
		{"parameters", "猫, a cat 🐈"},
		{"empty", ""},
	}
	var file bytes.Buffer
	if err := WritePNG(&file, testPicture(), texts...); err != nil {
		t.Fatal(err)
	}
	got, err := readPNGText(file.Bytes())
	if err != nil || len(got) != len(texts) {
		t.Fatalf("got %v, %v", got, err)
	}
	for i := range texts {
		if got[i] != texts[i] {
			t.Errorf("entry %d: got %q, want %q", i, got[i], texts[i])
		}
	}
	m, err := png.Decode(&file) // checks every chunk's checksum
	if err != nil {
		t.Fatal(err)
	}
	if r, _, _, _ := m.At(4, 2).RGBA(); r>>8 != 14*17 {
		t.Errorf("last pixel: red %d, want %d", r>>8, 14*17)
	}
}

func TestPNGTextKind(t *testing.T) {
	for text, kind := range map[string]string{"plain": "tEXt", "é": "tEXt", "猫": "iTXt"} {
		var file bytes.Buffer
		if err := WritePNG(&file, testPicture(), PNGText{"k", text}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(file.Bytes(), []byte(kind)) {
			t.Errorf("%q: no %s chunk", text, kind)
		}
	}
}

func TestPNGTextRefusesKeyword(t *testing.T) {
	for _, key := range []string{"", string(make([]byte, 80))} {
		if err := WritePNG(&bytes.Buffer{}, testPicture(), PNGText{key, "x"}); err == nil {
			t.Errorf("keyword of %d bytes accepted", len(key))
		}
	}
}

// announced is a PNG file of some hundred bytes whose header promises so many pixels.
func announced(width, height uint32, depth, kind byte) []byte {
	header := binary.BigEndian.AppendUint32(nil, width)
	header = append(binary.BigEndian.AppendUint32(header, height), depth, kind, 0, 0, 0)
	file := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct {
		name string
		data []byte
	}{{"IHDR", header}, {"IDAT", nil}, {"IEND", nil}} {
		body := append([]byte(chunk.name), chunk.data...)
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(chunk.data))), body...)
		file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(body))
	}
	return file
}

// A header that announces more than any model draws is refused before anything is allocated for it.
func TestHugeImagesAreRefused(t *testing.T) {
	for name, file := range map[string][]byte{
		"67108864x1 pixels, want sides": announced(1<<26, 1, 8, 2),
		"1x67108864 pixels, want sides": announced(1, 1<<26, 8, 0),
		"8192x8192 pixels are 512 MiB":  announced(8192, 8192, 16, 6),
		"16384x8192 pixels are 512 MiB": announced(16384, 8192, 8, 2),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadHeatmap(file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
	for _, model := range []color.Model{color.GrayModel, color.Gray16Model, color.RGBAModel, color.YCbCrModel, color.Palette{}} {
		if err := CheckImage(image.Config{ColorModel: model, Width: 8192, Height: 8192}); err != nil {
			t.Errorf("%v: %v", model, err)
		}
	}
}

// readPNGText returns the tEXt and uncompressed iTXt entries of a PNG file, in file order.
func readPNGText(data []byte) ([]PNGText, error) {
	if !bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return nil, errors.New("not a png file")
	}
	var texts []PNGText
	for data = data[8:]; len(data) >= 12; {
		n := int(binary.BigEndian.Uint32(data))
		if n < 0 || n > len(data)-12 {
			return texts, fmt.Errorf("png chunk %q: %d bytes, but only %d are left", data[4:8], n, len(data)-12)
		}
		if t, ok := parseText(string(data[4:8]), data[8:8+n]); ok {
			texts = append(texts, t)
		}
		data = data[12+n:]
	}
	return texts, nil
}

func parseText(kind string, body []byte) (PNGText, bool) {
	key, rest, found := bytes.Cut(body, []byte{0})
	if !found {
		return PNGText{}, false
	}
	switch kind {
	case "tEXt":
		runes := make([]rune, len(rest))
		for i, b := range rest {
			runes[i] = rune(b)
		}
		return PNGText{string(key), string(runes)}, true
	case "iTXt":
		if len(rest) < 2 || rest[0] != 0 { // compressed
			return PNGText{}, false
		}
		_, rest, found = bytes.Cut(rest[2:], []byte{0}) // language
		if found {
			_, rest, found = bytes.Cut(rest, []byte{0}) // translated keyword
		}
		return PNGText{string(key), string(rest)}, found
	}
	return PNGText{}, false
}
