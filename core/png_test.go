package core

import (
	"bytes"
	"encoding/binary"
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
	got, err := ReadPNGText(file.Bytes())
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

func FuzzReadPNGText(f *testing.F) {
	var file bytes.Buffer
	if err := WritePNG(&file, testPicture(), PNGText{"parameters", "猫"}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = ReadPNGText(data) })
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
