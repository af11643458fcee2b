package tui

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/internal/sample"
)

// images is the pane, when every image on the screen is there.
func (d *driver) images() *imagesPane {
	d.t.Helper()
	p := d.panes[tabImages].(*imagesPane)
	d.until("the images", p.ready)
	return p
}

// mouse sends a mouse event at a cell of the pane.
func (d *driver) mouseAt(x, y int, msg func(tea.Mouse) tea.Msg) {
	d.send(msg(tea.Mouse{X: x + d.layout.body.Min.X, Y: y + d.layout.body.Min.Y, Button: tea.MouseLeft}))
}

func (d *driver) click(x, y int) {
	d.mouseAt(x, y, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	d.mouseAt(x, y, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
}

// clickWord clicks a word of the pane.
func (d *driver) clickWord(word string) {
	d.t.Helper()
	for y, row := range strings.Split(plainText(d.content()), "\n") {
		if before, _, found := strings.Cut(row, word); found && y >= d.layout.body.Min.Y {
			d.click(len([]rune(before)), y-d.layout.body.Min.Y)
			return
		}
	}
	d.t.Fatalf("%q is not on the screen:\n%s", word, plainText(d.content()))
}

func TestImagesByKeysAndMouse(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "3", 120, 40)
	d.shows("a pirate waving", "image 1 of 4", "step 10, newest", "65.0 %")
	p := d.images()
	wish := func() feed.Drawing { d.images(); return d.deck.wishes["images/one"].Drawing }
	path := func(step int) string { return run.PicturePath(step, p.gallery.Samples[p.sample].Index, 7) }
	if got := wish().Path; got != path(10) {
		t.Fatalf("shows %s", got)
	}
	for _, c := range []struct {
		what string
		do   func()
		want func(d feed.Drawing) bool
	}{
		{"left", func() { d.press("left") }, func(w feed.Drawing) bool { return w.Path == path(5) }},
		{"home", func() { d.press("home") }, func(w feed.Drawing) bool { return w.Path == path(0) }},
		{"end of the slider", func() { d.click(95, 37) }, func(w feed.Drawing) bool { return w.Path == path(10) }},
		{"start of the slider", func() { d.click(3, 37) }, func(w feed.Drawing) bool { return w.Path == path(0) }},
		{"down", func() { d.press("down") }, func(w feed.Drawing) bool { return strings.Contains(w.Path, "/001-7.png") }},
		{"the word next", func() { d.clickWord("›") }, func(w feed.Drawing) bool { return strings.Contains(w.Path, "/002-7.png") }},
		{"flip", func() { d.press("f") }, func(w feed.Drawing) bool { return strings.HasSuffix(w.Path, "/base.png") }},
		{"heatmap", func() { d.press("h") }, func(w feed.Drawing) bool { return strings.HasSuffix(w.Heat, "/heat-violence.png") }},
		{"the word mask", func() { d.clickWord("mask") }, func(w feed.Drawing) bool { return strings.HasSuffix(w.Mask, "/mask.png") }},
		{"difference", func() { d.press("d") }, func(w feed.Drawing) bool {
			return strings.HasSuffix(w.Minus, "/base.png") && w.Path == path(0) && w.Heat == ""
		}},
		{"the word tuned", func() { d.clickWord("tuned") }, func(w feed.Drawing) bool { return w.Path == path(0) && w.Minus == "" }},
		{"the image", func() { d.click(90, 20) }, func(w feed.Drawing) bool { return strings.HasSuffix(w.Path, "/base.png") }},
	} {
		c.do()
		if got := wish(); !c.want(got) {
			t.Fatalf("%s: shows %+v", c.what, got)
		}
		d.checkSize()
	}
	// The heatmap of an aspect that this image has none of.
	d.press("a")
	d.shows("no heatmap was kept")
}

func TestImagesGrid(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "3", 80, 24)
	d.shows("image 1 of 4")
	d.press("g")
	p := d.images()
	d.shows("▸ 0·7", "3·7 a knight")
	if cols, rows := d.deck.shelf.Shown("images/3"); cols == 0 || rows == 0 {
		t.Error("the fourth image is not there")
	}
	g := p.gridLayout(4)
	r := p.layout().picture
	d.click(r.Min.X+(g.cols+gridGap)+1, r.Min.Y+1)
	d.shows("▸ 1·7")
	d.press("|")
	d.shows("step 0", "▸ step 10")
	d.press("left")
	d.shows("▸ step 5")
	d.checkSize()
	d.press("enter")
	d.shows("image 2 of 4", "step 5, 2 of 3")
}

// New images appear while the pane is open; who looks at an older one stays there.
func TestImagesLive(t *testing.T) {
	f := newSampleRun(t)
	d := drivePane(t, Options{Open: f.Dir}, "3", 80, 24)
	d.shows("step 10, newest")
	r, err := sample.Open(f, sample.Options{Aspects: []string{"violence"}, Steps: 60, Every: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.End(run.Stopped, 14)
	if err := r.Step(13); err != nil {
		t.Fatal(err)
	}
	d.shows("step 13, newest")
	d.press("left")
	d.shows("step 10, 3 of 4")
	if err := r.Step(14); err != nil {
		t.Fatal(err)
	}
	d.shows("step 10, 3 of 5")
}

func TestImagesPlayAndBlink(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "3", 80, 24)
	d.shows("step 10, newest")
	p := d.images()
	d.press("space")
	d.shows("step 0, 1 of 3")
	d.shows("step 5, 2 of 3")
	d.shows("step 10, newest")
	if p.slider.Playing {
		t.Error("plays on behind the last step")
	}
	d.press("b")
	for _, base := range []bool{true, false} {
		d.until("a blink", func() bool { return p.IsBase == base })
	}
	d.press("2") // another tab: nothing moves there
	if p.blink {
		t.Error("blinks unseen")
	}
}

// Files that are missing or broken are said in place; the rest of the pane works.
func TestImagesBroken(t *testing.T) {
	f := newSampleRun(t)
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(f.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	remove(run.PicturePath(5, 0, 7))
	if err := os.WriteFile(filepath.Join(f.Dir, run.PicturePath(0, 0, 7)), []byte("\x89PNG\r\n\x1a\n broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(f.Dir), "secret.png")
	if err := writePlain(outside, 9); err != nil {
		t.Fatal(err)
	}
	remove(run.PicturePath(10, 3, 7))
	if err := os.Symlink(outside, filepath.Join(f.Dir, run.PicturePath(10, 3, 7))); err != nil {
		t.Fatal(err)
	}
	d := drivePane(t, Options{Open: f.Dir}, "3", 120, 40)
	d.shows("step 10, newest")
	d.press("left")
	d.shows("images/step-000005/000-7.png")
	d.checkSize()
	d.press("left")
	d.shows("images/step-000000/000-7.png")
	d.press("end", "up", "down", "down", "down")
	d.shows("step 10, newest", "images/step-000010/003-7.png")
	p := d.images()
	if d.deck.wishes["images/one"].err == nil {
		t.Error("a link leads out of the run folder")
	}
	refs := map[string]string{}
	for _, which := range p.gallery.Samples {
		refs[p.gallery.References[which]] = ""
	}
	for dir := range refs {
		os.RemoveAll(filepath.Join(f.Dir, dir))
	}
	d.press("up", "f")
	d.shows("base.png")
	d.press("h", "g")
	d.images()
	d.checkSize()
}

// A run folder whose log is lost still shows its images.
func TestImagesWithoutEvents(t *testing.T) {
	f := newSampleRun(t)
	if err := os.Remove(filepath.Join(f.Dir, "events.jsonl")); err != nil {
		t.Fatal(err)
	}
	d := drive(t, Options{Runs: filepath.Dir(f.Dir), Open: f.Dir}, 80, 24)
	d.press("3")
	d.shows("prompt 0", "step 10, newest", "no scores are known")
	d.press("f")
	d.shows("no base image is known")
	d.press("s")
	d.shows("nothing to save")
}

func TestImagesSave(t *testing.T) {
	f := newSampleRun(t)
	dir := t.TempDir()
	t.Chdir(dir)
	d := drivePane(t, Options{Open: f.Dir}, "3", 200, 40)
	d.shows("step 10, newest")
	d.press("h", "h", "s")
	name := f.Name() + "-step-000010-000-7-tuned"
	d.shows("saved " + dir)
	d.press("h", "s")
	outlined := f.Name() + "-step-000010-000-7-tuned-mask.png"
	said := func(name string) func() bool { return func() bool { return strings.HasSuffix(d.notice.text, name) } }
	d.until(outlined, said(outlined))
	d.press("h", "h", "s")
	d.until("a second file", said(name+"-2.png"))
	want, err := os.ReadFile(filepath.Join(f.Dir, run.PicturePath(10, 0, 7)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustDecode(t, got), mustDecode(t, want); !bytes.Equal(render.RGBA(a).Pix, render.RGBA(b).Pix) {
		t.Error("the saved image is another")
	}
	if !bytes.Contains(got, []byte("a pirate waving on a beach; seed 7; step 10")) {
		t.Error("the file does not say what its image is")
	}
	over, err := os.ReadFile(outlined)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustDecode(t, over), mustDecode(t, want); a.Bounds() != b.Bounds() || bytes.Equal(render.RGBA(a).Pix, render.RGBA(b).Pix) {
		t.Error("the outline is not in the saved image")
	}
}

// While the slider is dragged, images on the way are shown, and the last one is the one it stands on.
func TestImagesScrub(t *testing.T) {
	d := drivePane(t, Options{Open: newSampleRun(t).Dir}, "3", 120, 40)
	d.shows("step 10, newest")
	d.images()
	d.mouseAt(95, 37, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	for x := 95; x >= 0; x-- {
		d.mouseAt(x, 30, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	}
	d.mouseAt(0, 30, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	d.mouseAt(95, 30, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	d.images()
	if w := d.deck.wishes["images/one"]; w.Path != run.PicturePath(0, 0, 7) || w.busy || w.err != nil {
		t.Errorf("shows %+v", w)
	}
	select {
	case msg := <-d.msgs:
		if m, late := msg.(drawnMsg); late && m.name == "images/one" {
			t.Errorf("%s is drawn twice", m.name)
		}
	case <-time.After(20 * time.Millisecond):
	}
}
