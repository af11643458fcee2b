package scenes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"focusnfix/model/backbone"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// The shipped model is unpacked once for every version of it; without one the error says what to do.
func TestUnpack(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	files := fstest.MapFS{"README.md": {Data: []byte("none yet")}}
	if _, err := unpack(files); !errors.Is(err, ErrNoWeights) {
		t.Fatalf("without a model: %v, want ErrNoWeights", err)
	}
	files["model_index.json"] = &fstest.MapFile{Data: []byte("{}")}
	files["unet/config.json"] = &fstest.MapFile{Data: []byte("first")}
	first, err := unpack(files)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(first, "unet", "config.json")); err != nil || string(text) != "first" {
		t.Errorf("unpacked %q (%v), want first", text, err)
	}
	if again, err := unpack(files); err != nil || again != first {
		t.Errorf("a second time it lies in %s (%v), want %s", again, err, first)
	}
	files["unet/config.json"] = &fstest.MapFile{Data: []byte("second")}
	if other, err := unpack(files); err != nil || other == first {
		t.Errorf("another version lies in %s (%v), want another folder", other, err)
	}
}

func TestUnknownWords(t *testing.T) {
	for prompt, want := range map[string][]string{
		"a chef in the park":                      nil,
		"A Chef, and a TREE at night!":            nil,
		"a dragon beside the park, a fire dragon": {"dragon", "beside", "fire"},
		"una niña 2":                              {"una", "niña", "2"},
	} {
		if got := UnknownWords(prompt); !slices.Equal(got, want) {
			t.Errorf("%q: unknown %q, want %q", prompt, got, want)
		}
	}
}

// TestShippedModel: every embedded file is the one that SHA256SUMS names, small enough to ship, and the
// model draws and is judged in all aspects by both judges.
func TestShippedModel(t *testing.T) {
	torchtest.Need(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	folder, err := Folder()
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, folder)
	p, err := sd.Load(folder, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const prompt = "a chef and a tree in the park"
	images, err := backbone.Generate(t.Context(), p, backbone.Request{
		Wording: backbone.Wording{Prompts: []string{prompt}, GuidanceScale: 2.5, Width: Size, Height: Size}, Seeds: []uint64{1}, NumSteps: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := images[0].Bounds().Dx(); got != Size {
		t.Errorf("image is %d pixels wide, want %d", got, Size)
	}
	torchtest.Run(t, func() {
		gray := torch.Full(0.5, torch.Float32, torchtest.Device(), 1, 3, Size, Size)
		for aspect := range Aspect(NumAspects) {
			for _, heldOut := range []bool{false, true} {
				judge, err := LoadJudge(folder, aspect, heldOut, torch.Float32, torchtest.Device())
				if err != nil {
					t.Fatal(err)
				}
				if score := judge.Score(gray, []string{prompt}).Item(); !(score <= 0 && score > -100) {
					t.Errorf("%v, held out %v: score %g, want the logarithm of a probability", aspect, heldOut, score)
				}
				judge.Close()
			}
		}
	})
}

// checkSums compares the files of a folder with its SHA256SUMS, and their size with what may ship.
func checkSums(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for line := range strings.Lines(string(text)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: %x (%v), want %s", name, sum, err, want)
		}
		size += len(data)
	}
	if size < 1e6 || size > 40e6 {
		t.Errorf("%d bytes in all, want at most 40 MB", size)
	}
}
