package tui

import (
	"os"
	"path/filepath"
	"testing"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// maskFile is the mask of the image that the pane shows, as training reads it.
func maskFile(t *testing.T, f run.Folder, p *masksPane) core.Mask {
	t.Helper()
	file, err := os.Open(filepath.Join(f.Dir, filepath.FromSlash(p.all[p.at].Path), "mask.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := core.ReadMask(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A mask is painted with the mouse, saved, excluded and taken back; the file that training reads follows.
func TestMasksPane(t *testing.T) {
	f := newSampleRun(t)
	d := drivePane(t, Options{Open: f.Dir}, "6", 120, 40)
	p := d.panes[tabMasks].(*masksPane)
	d.until("the masks", func() bool { return len(p.all) > 1 })
	d.shows("image 1 of", "by the rule", "threshold", "[violence]")
	d.until("the image", func() bool { cols, _ := d.deck.shelf.Shown("masks/image"); return cols > 0 })
	own := p.all[0].Mask
	r := p.layout().image
	mouse := func(x, y int, as func(tea.Mouse) tea.Msg) { d.mouseAt(r.Min.X+x, r.Min.Y+y, as) }
	mouse(3, 2, func(m tea.Mouse) tea.Msg { return tea.MouseClickMsg(m) })
	mouse(12, 2, func(m tea.Mouse) tea.Msg { return tea.MouseMotionMsg(m) })
	mouse(12, 2, func(m tea.Mouse) tea.Msg { return tea.MouseReleaseMsg(m) })
	d.shows("being drawn")
	d.press("enter")
	d.until("the mask by hand", func() bool { return p.all[0].Edited && !p.reading })
	if m := maskFile(t, f, p); m.Hash() != p.all[0].Mask.Hash() || m.Coverage() <= own.Coverage() {
		t.Errorf("the file covers %g, shown %g, by the rule %g", m.Coverage(), p.all[0].Mask.Coverage(), own.Coverage())
	}
	d.shows("drawn by hand")
	d.until("its outline", func() bool {
		w := d.deck.wishes["masks/image"]
		return w.done && w.err == nil && w.Region == "mask:"+p.all[0].Path+"/mask.png"
	})
	d.press("D")
	d.until("an empty mask", func() bool { return p.all[0].Mask.Coverage() == 0 })
	d.shows("excluded")
	d.press("Q")
	d.until("the heatmap's own", func() bool { return !p.all[0].Edited })
	d.press("g", "h", "n")
	d.checkSize()
}

// The sliders make all masks anew at once, and the rule becomes the run's.
func TestMaskRule(t *testing.T) {
	f := newSampleRun(t)
	d := drivePane(t, Options{Open: f.Dir}, "6", 120, 40)
	p := d.panes[tabMasks].(*masksPane)
	d.until("the masks", func() bool { return len(p.all) > 1 })
	before := []float64{p.all[0].Mask.Coverage(), p.all[1].Mask.Coverage()}
	d.press("right", "right", "right", "down")
	d.shows("A applies it")
	d.until("larger masks", func() bool {
		return !p.reading && p.all[0].Mask.Coverage() > before[0] && p.all[1].Mask.Coverage() > before[1]
	})
	threshold, grow := p.edit.threshold, p.edit.grow
	d.press("A")
	d.until("the run's rule", func() bool {
		c, err := f.Config()
		return err == nil && c.Reward[0].Threshold == threshold && c.Reward[0].Dilate == grow
	})
}
