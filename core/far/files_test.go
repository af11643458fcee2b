package far

import (
	"context"
	"errors"
	"image"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// reference writes a training image whose heatmap has a fault in its first n pixels of ten times ten.
func (r *farRun) reference(key string, n int) (folder string) {
	r.t.Helper()
	heat := core.Mask{Width: 10, Height: 10, Faulty: make([]bool, 100)}
	for i := range n {
		heat.Faulty[i] = true
	}
	folder = path.Join(run.References, key)
	r.write(folder+"/meta.json", []byte(`{"Prompt":"a ninja","Seed":7}`))
	r.write(folder+"/heat-violence.png", pngOf(r.t, heat))
	return folder
}

func (r *farRun) write(name string, data []byte) {
	r.t.Helper()
	if err := r.WriteFile(name, data); err != nil {
		r.t.Fatal(err)
	}
}

func pngOf(t *testing.T, m core.Mask) []byte {
	t.Helper()
	e, err := run.EditMask(run.References+"/x", &m)
	if err != nil {
		t.Fatal(err)
	}
	return e.Data
}

// covers reads the masks of a run as the screen does: the coverage of each, and how many are drawn by hand.
func covers(t *testing.T, f run.Folder) (all []float64, edited int) {
	t.Helper()
	references, err := f.ListReferences()
	if err != nil {
		t.Fatal(err)
	}
	rewards := []core.Reward{{Aspect: "violence", Weight: 1, Threshold: 0.5, Mask: true}}
	for _, reference := range references {
		m, err := f.Masked(reference, rewards)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, m.Mask.Coverage()); m.Edited {
			edited++
		}
	}
	return all, edited
}

// painter notes what is asked of it about masks and fixes.
type painter struct {
	engine
	reloaded int
	redrawn  run.RedrawRequest
}

func (e *painter) ReloadMasks(context.Context) error {
	e.reloaded++
	return nil
}

func (e *painter) Redraw(_ context.Context, r run.RedrawRequest) ([]string, error) {
	e.redrawn = r
	return []string{run.Fixes + "/.redrawn-0.png"}, nil
}

// Masks of a run on another machine are read, drawn and taken back there, from either of two screens.
func TestMasksFarAway(t *testing.T) {
	r := newFarRun(t, 1)
	e := &painter{}
	r.serve(e)
	a, b := r.reference("aaaa", 10), r.reference("bbbb", 20)
	w := &wire{run: r.Folder}
	o := w.options(t)
	m := open(t, o)
	second := open(t, o)
	check := func(when string, by *Mirror, want []float64, wantEdited int) {
		t.Helper()
		if err := by.Bring(t.Context(), by.Folder(), run.References); err != nil {
			t.Fatal(err)
		}
		for _, f := range []run.Folder{r.Folder, by.Folder()} {
			if got, edited := covers(t, f); !slices.Equal(got, want) || edited != wantEdited {
				t.Errorf("%s, %s: %v, %d by hand; want %v, %d", when, f.Dir, got, edited, want, wantEdited)
			}
		}
	}
	check("at first", m, []float64{0.1, 0.2}, 0)
	drawn := core.Mask{Width: 10, Height: 10, Faulty: make([]bool, 100)}
	drawn.Faulty[50] = true
	edit := func(by *Mirror, reference string, mask *core.Mask) {
		t.Helper()
		e, err := run.EditMask(reference, mask)
		if err == nil {
			err = by.Apply(t.Context(), by.Folder(), e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	edit(m, a, &drawn)
	edit(second, b, &drawn)
	check("drawn", second, []float64{0.01, 0.01}, 2)
	edit(second, b, nil)
	check("taken back", m, []float64{0.01, 0.2}, 1)
	if err := r.Apply(run.Edit{Name: a + "/mask.png"}); err != nil {
		t.Fatal(err)
	}
	r.reference("cccc", 30)
	check("changed there", m, []float64{0.1, 0.2, 0.3}, 0)
	before := w.came()
	check("unchanged", m, []float64{0.1, 0.2, 0.3}, 0)
	if more := w.came() - before; more > 4000 {
		t.Errorf("%d bytes to see that nothing has changed", more)
	}

	client, err := m.Folder().Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ReloadMasks(t.Context()); err != nil || e.reloaded != 1 {
		t.Errorf("masks: %v, %d times", err, e.reloaded)
	}
	for _, bad := range []run.Edit{
		{Name: "run.json", Data: []byte("{}")},
		{Name: "reference/../run.json/mask.png"},
		{Name: "reference/nowhere/mask.png", Data: pngOf(t, drawn)},
		{Name: a + "/mask.png", Data: []byte("no PNG")},
		{Name: run.Fixes + "/kept.json", Data: []byte("[[")},
	} {
		if err := m.Apply(t.Context(), m.Folder(), bad); err == nil {
			t.Errorf("%s was changed", bad.Name)
		}
	}
	reader := w.options(t)
	reader.ReadOnly = true
	m = open(t, reader)
	check("for reading", m, []float64{0.1, 0.2, 0.3}, 0)
	if err := m.Apply(t.Context(), m.Folder(), run.Edit{Name: a + "/mask.png"}); err == nil || !strings.Contains(err.Error(), "--read-only") {
		t.Errorf("a change through a link for reading: %v", err)
	}
}

// What was repaired in a run on another machine is there with its images and its LoRA file, as is the set of kept fixes,
// and an engine draws with it.
func TestFixesFarAway(t *testing.T) {
	r := newFarRun(t, 1)
	e := &painter{}
	r.serve(e)
	for range 2 {
		_, err := r.WriteFix(core.FixResult{Aspect: "violence", Verdict: core.Repaired}, func(dir string) error {
			return errors.Join(writeIn(dir, "lora.safetensors", strings.Repeat("weights", 40_000)), writeIn(dir, "after.png", string(pngOf(t, core.Mask{Width: 2, Height: 2, Faulty: make([]bool, 4)}))))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m := open(t, (&wire{run: r.Folder}).options(t))
	f := m.Folder()
	if err := m.Bring(t.Context(), f, run.Fixes); err != nil {
		t.Fatal(err)
	}
	fixes, err := f.Fixes()
	if err != nil || len(fixes) != 2 || fixes[1].Fix.Path != "fixes/0002" || fixes[1].Fix.Verdict != core.Repaired {
		t.Fatalf("%+v, %v", fixes, err)
	}
	for _, name := range []string{"fixes/0001/after.png", run.FixLoRA("fixes/0002")} {
		if got, err := m.Fetch(f, name, 0); err != nil || got != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if ok, why := same(f, r.Folder, name); !ok {
			t.Error(why)
		}
	}
	want := []core.FixUse{{Path: "fixes/0002", Strength: 0.5}}
	change, err := run.EditKeptFixes(want)
	if err == nil {
		err = m.Apply(t.Context(), f, change)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []run.Folder{r.Folder, f} {
		if kept, err := f.KeptFixes(); err != nil || !slices.Equal(kept, want) {
			t.Errorf("%s: kept %v, %v", f.Dir, kept, err)
		}
	}
	client, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	paths, err := client.Redraw(t.Context(), run.RedrawRequest{Stack: want})
	if err != nil || len(paths) != 1 || !slices.Equal(e.redrawn.Stack, want) {
		t.Fatalf("redraw: %v, %v, asked %+v", paths, err, e.redrawn)
	}
	for _, side := range []int{2, 3} { // another image each time
		r.write(paths[0], pngOf(t, core.Mask{Width: side, Height: side, Faulty: make([]bool, side*side)}))
		got, err := m.Fetch(f, paths[0], 100)
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.Open(got)
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := image.DecodeConfig(file)
		if file.Close(); err != nil || head.Width != side {
			t.Errorf("redrawn image: %d pixels, %v; want %d", head.Width, err, side)
		}
	}
}

func writeIn(dir, name, text string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
}
