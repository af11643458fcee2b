package core

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomMask has a few faulty pixels, so that dilated ones meet and leave gaps.
func randomMask(r *rand.Rand, width, height int) Mask {
	m := Mask{width, height, make([]bool, width*height)}
	for i := range m.Faulty {
		m.Faulty[i] = r.IntN(20) == 0
	}
	return m
}

func TestDilateAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := randomMask(r, 1+r.IntN(24), 1+r.IntN(24))
		n := r.IntN(30)
		want := make([]bool, len(m.Faulty))
		for i := range want {
			for j, faulty := range m.Faulty {
				dx, dy := i%m.Width-j%m.Width, i/m.Width-j/m.Width
				want[i] = want[i] || faulty && max(dx, -dx) <= n && max(dy, -dy) <= n
			}
		}
		if got := m.Dilate(n); !slices.Equal(got.Faulty, want) {
			t.Fatalf("%dx%d by %d: got %v\nwant %v\nfrom %v", m.Width, m.Height, n, got.Faulty, want, m.Faulty)
		}
	}
}

func TestThresholdUnionCoverage(t *testing.T) {
	h := Heatmap{3, 2, []float32{0, 0.3, 0.30001, 1, float32(math.NaN()), 0.5}}
	m := h.Threshold(0.3)
	if want := []bool{false, float64(float32(0.3)) > 0.3, true, true, false, true}; !slices.Equal(m.Faulty, want) {
		t.Errorf("threshold: got %v, want %v", m.Faulty, want)
	}
	corner := Mask{3, 2, []bool{true, false, false, false, false, false}}
	both, err := h.Threshold(0.4).Union(corner)
	if err != nil || !slices.Equal(both.Faulty, []bool{true, false, false, true, false, true}) {
		t.Errorf("union: got %v, %v", both.Faulty, err)
	}
	if got := both.Coverage(); got != 0.5 {
		t.Errorf("coverage: got %v, want 0.5", got)
	}
	if got := both.AtLeast(0.5).Coverage(); got != 0.5 {
		t.Errorf("a mask as large as the least: coverage %v, want 0.5", got)
	}
	if got := both.AtLeast(0.51).Coverage(); got != 0 {
		t.Errorf("a smaller mask than the least: coverage %v, want 0", got)
	}
	if _, err := corner.Union(Mask{2, 3, make([]bool, 6)}); err == nil {
		t.Error("a union of two sizes is no error")
	}
}

func encodePNG(t *testing.T, m image.Image) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := WritePNG(&file, m); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// A heatmap survives 16 bits to half a step, 8 bits to half of theirs; both are stable when written again.
func TestHeatmapThroughPNG(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	h := Heatmap{17, 9, make([]float32, 17*9)}
	for i := range h.Score {
		h.Score[i] = r.Float32()
	}
	h.Score[0], h.Score[1], h.Score[2], h.Score[3] = 0, 1, 1.5, float32(math.NaN())
	for _, c := range []struct {
		name    string
		picture func(Heatmap) image.Image
		step    float64
	}{
		{"16 bits", func(h Heatmap) image.Image { return h.Gray16() }, 1.0 / 65535},
		{"8 bits", func(h Heatmap) image.Image { return h.Gray() }, 1.0 / 255},
	} {
		file := encodePNG(t, c.picture(h))
		got, err := ReadHeatmap(file)
		if err != nil || got.Width != 17 || got.Height != 9 {
			t.Fatalf("%s: %dx%d, %v", c.name, got.Width, got.Height, err)
		}
		for i, s := range h.Score {
			want := min(float64(s), 1)
			if math.IsNaN(want) {
				want = 0
			}
			if d := math.Abs(float64(got.Score[i]) - want); d > c.step/2+1e-6 {
				t.Errorf("%s: pixel %d: %v, want %v", c.name, i, got.Score[i], want)
			}
		}
		if !bytes.Equal(encodePNG(t, c.picture(got)), file) {
			t.Errorf("%s: written again, the file differs", c.name)
		}
	}
}

func TestMaskThroughPNG(t *testing.T) {
	m := randomMask(rand.New(rand.NewPCG(5, 6)), 31, 20)
	h, err := ReadHeatmap(encodePNG(t, m.Gray()))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Threshold(0.5); !slices.Equal(got.Faulty, m.Faulty) {
		t.Errorf("got %v, want %v", got.Faulty, m.Faulty)
	}
}

// A file whose header promises a huge image is refused before anything is allocated; torn ones too.
func TestReadHeatmapRefuses(t *testing.T) {
	file := encodePNG(t, randomMask(rand.New(rand.NewPCG(7, 8)), 40, 40).Gray())
	for n := range len(file) - 12 { // the last chunk is an end mark
		if _, err := ReadHeatmap(file[:n]); err == nil {
			t.Fatalf("%d of %d bytes are read without error", n, len(file))
		}
	}
	huge := pngHeader(1<<20, 1<<20)
	if _, err := ReadHeatmap(huge); err == nil {
		t.Error("a picture of 2^40 pixels is no error")
	}
}

func FuzzReadHeatmap(f *testing.F) {
	f.Add(pngHeader(8, 8))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeatmap(data)
		if err == nil && len(h.Score) != h.Width*h.Height {
			t.Errorf("%d scores for %dx%d", len(h.Score), h.Width, h.Height)
		}
	})
}

func BenchmarkDilate512(b *testing.B) {
	m := randomMask(rand.New(rand.NewPCG(9, 9)), 512, 512)
	for b.Loop() {
		m.Dilate(16)
	}
}

// pngHeader is the start of a gray PNG of any size.
func pngHeader(width, height uint32) []byte {
	head := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	head = append(binary.BigEndian.AppendUint32(head, height), 8, 0, 0, 0, 0)
	file := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(head))
}
