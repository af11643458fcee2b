package scenes

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
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
