package tui

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"focusnfix/core/run"
)

// Masks of a run on another machine come when they are looked at, and are changed there.
func TestMasksFarAway(t *testing.T) {
	there := newSampleRun(t)
	here := run.Folder{Dir: filepath.Join(t.TempDir(), there.Name())}
	if err := os.CopyFS(here.Dir, os.DirFS(there.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(here.Dir, run.References)); err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	o := Options{
		Open: here.Dir,
		Bring: func(_ context.Context, f run.Folder, part string) error {
			if down.Load() {
				return errors.New("no link to gpu")
			}
			return os.CopyFS(filepath.Join(f.Dir, part), os.DirFS(filepath.Join(there.Dir, part)))
		},
		Apply: func(_ context.Context, f run.Folder, e run.Edit) error {
			if down.Load() {
				return errors.New("no link to gpu")
			}
			return errors.Join(there.Apply(e), f.Apply(e))
		},
		Fetch: func(_ run.Folder, path string, _ int) (string, error) { return path, nil },
	}
	d := drivePane(t, o, "6", 120, 40)
	p := d.panes[tabMasks].(*masksPane)
	d.until("the masks", func() bool { return len(p.all) > 1 })
	d.press("D")
	d.until("an empty mask", func() bool { return p.all[0].Edited && p.all[0].Mask.Coverage() == 0 })
	if m := maskFile(t, there, p); m.Coverage() != 0 {
		t.Errorf("the mask there covers %g", m.Coverage())
	}
	d.press("Q")
	d.until("the heatmap's own", func() bool { return !p.all[0].Edited })
	if _, err := os.Stat(filepath.Join(there.Dir, filepath.FromSlash(p.all[0].Path), "mask.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mask there was not taken back: %v", err)
	}
	down.Store(true)
	d.press("D")
	d.shows("the mask is as it was: no link to gpu")
	if p.all[0].Edited {
		t.Error("changed here only")
	}
}
