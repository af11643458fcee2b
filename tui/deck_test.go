package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Flipping and blinking go back and forth between two images: each is encoded once.
func TestFlippedImagesAreEncodedOnce(t *testing.T) {
	f := newSampleRun(t)
	d := drivePane(t, Options{Open: f.Dir}, "3", 120, 40)
	d.shows("step 10, newest")
	d.images()
	d.press("f")
	d.images()
	base := d.deck.wishes["images/one"].Path
	if !strings.HasSuffix(base, "base.png") {
		t.Fatalf("shows %s", base)
	}
	d.press("f")
	d.images()
	if err := os.Remove(filepath.Join(f.Dir, base)); err != nil {
		t.Fatal(err)
	}
	d.press("f") // its file is not needed
	d.images()
	if w := d.deck.wishes["images/one"]; w.Path != base || w.err != nil {
		t.Errorf("shows %s, %v", w.Path, w.err)
	}
	for range 3 * keptEncodings {
		d.press("left", "f", "down")
		d.images()
	}
	if n := len(d.deck.encoded); n > keptEncodings {
		t.Errorf("%d encoded images are kept, want at most %d", n, keptEncodings)
	}
}
