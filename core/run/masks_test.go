package run

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/core"
)

// maskedRun is a run with one reference, whose heatmap has a spot of 2x2 pixels.
func maskedRun(t *testing.T) (Folder, []core.Reward) {
	t.Helper()
	f := newRun(t)
	dir := filepath.Join(f.Dir, "reference", "0123abcd")
	heat := core.Heatmap{Width: 10, Height: 10, Score: make([]float32, 100)}
	for _, i := range []int{44, 45, 54, 55} {
		heat.Score[i] = 0.9
	}
	own := heat.Threshold(0.3).Dilate(1)
	meta, err := json.Marshal(map[string]any{"Version": 1, "Prompt": "a chef\x1b[2J", "Seed": 7, "MaskHash": own.Hash()})
	if err != nil {
		t.Fatal(err)
	}
	var heatPNG, maskPNG bytes.Buffer
	if err := core.WritePNG(&heatPNG, heat.Gray()); err != nil {
		t.Fatal(err)
	}
	if err := core.WritePNG(&maskPNG, own.Gray()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"meta.json": meta, "heat-violence.png": heatPNG.Bytes(), "mask.png": maskPNG.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f, []core.Reward{{Aspect: "violence", Weight: 1, Mask: true, Threshold: 0.3, Dilate: 1}}
}

func maskOfRun(t *testing.T, f Folder, rewards []core.Reward) Masked {
	t.Helper()
	all, err := f.ListReferences()
	if err != nil || len(all) != 1 || all[0].Seed != 7 || all[0].Prompt != core.Clean("a chef\x1b[2J") {
		t.Fatalf("references %+v, %v", all, err)
	}
	m, err := f.Masked(all[0], rewards)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The rule makes the mask until a person does, and again when that is taken back.
func TestMasked(t *testing.T) {
	f, rewards := maskedRun(t)
	if m := maskOfRun(t, f, rewards); m.Edited || m.Mask.Coverage() != 0.16 || m.Alarm(0.5) != "" || m.Alarm(0.1) != "covers 16 %" {
		t.Errorf("edited %v, covers %g, %q", m.Edited, m.Mask.Coverage(), m.Alarm(0.1))
	}
	rewards[0].Dilate = 2
	if m := maskOfRun(t, f, rewards); m.Edited || m.Mask.Coverage() != 0.36 {
		t.Errorf("by another rule: edited %v, covers %g", m.Edited, m.Mask.Coverage())
	}
	rewards[0].Weight = 0
	if m := maskOfRun(t, f, rewards); m.Alarm(0.5) != "empty" {
		t.Errorf("of an aspect that is only measured: %q", m.Alarm(0.5))
	}
	rewards[0].Weight = 1
	mine := core.Mask{Width: 10, Height: 10, Faulty: make([]bool, 100)}
	mine.Faulty[0] = true
	if err := f.setMask("reference/0123abcd", mine); err != nil {
		t.Fatal(err)
	}
	if m := maskOfRun(t, f, rewards); !m.Edited || m.Mask.Hash() != mine.Hash() || m.Alarm(0.5) != "drifted from the heatmap" {
		t.Errorf("by hand: edited %v, covers %g, %q", m.Edited, m.Mask.Coverage(), m.Alarm(0.5))
	}
	mine.Faulty[0] = false
	if err := f.setMask("reference/0123abcd", mine); err != nil {
		t.Fatal(err)
	}
	if m := maskOfRun(t, f, rewards); m.Alarm(0.5) != "excluded" {
		t.Errorf("by hand: %q", m.Alarm(0.5))
	}
	if err := f.resetMask("reference/0123abcd"); err != nil {
		t.Fatal(err)
	}
	if m := maskOfRun(t, f, rewards); m.Edited || m.Mask.Coverage() != 0.36 {
		t.Errorf("taken back: edited %v, covers %g", m.Edited, m.Mask.Coverage())
	}
	for _, path := range []string{"reference/nowhere", "checkpoints/x", "reference/../images", "reference/.new-1"} {
		if err := f.setMask(path, mine); err == nil {
			t.Errorf("%s: a mask was written", path)
		}
	}
}

// Masks that a person changed are listed with what the heatmap made of the image.
func TestEditedMasks(t *testing.T) {
	f, rewards := maskedRun(t)
	if all, err := f.EditedMasks(t.Context(), rewards); err != nil || len(all) != 0 {
		t.Errorf("%d masks edited, %v; want none", len(all), err)
	}
	if err := f.setMask("reference/0123abcd", core.Mask{Width: 10, Height: 10, Faulty: make([]bool, 100)}); err != nil {
		t.Fatal(err)
	}
	all, err := f.EditedMasks(t.Context(), rewards)
	if err != nil || len(all) != 1 || all[0].Alarm(0.5) != "excluded" || all[0].Own.Coverage() != 0.16 {
		t.Errorf("edited %+v, %v; want one that is excluded", all, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.EditedMasks(ended, rewards); err == nil {
		t.Error("it goes on after its context has ended")
	}
}

// Fixes are kept with their numbers, and so is the set.
func TestFixes(t *testing.T) {
	f := newRun(t)
	for i := range 2 {
		e, err := f.WriteFix(core.FixResult{Drawing: core.Drawing{Seed: uint64(i)}}, fillCheckpoint(1))
		if err != nil || e.Fix.Path != filepath.ToSlash(filepath.Join(Fixes, []string{"0001", "0002"}[i])) {
			t.Fatalf("%+v, %v", e.Fix, err)
		}
	}
	if _, err := f.WriteFix(core.FixResult{}, func(string) error { return os.ErrPermission }); err == nil {
		t.Error("a fix without files was kept")
	}
	all, err := f.Fixes()
	if err != nil || len(all) != 2 || all[1].Fix.Seed != 1 {
		t.Errorf("fixes %+v, %v", all, err)
	}
	if set, err := f.KeptFixes(); err != nil || set != nil {
		t.Errorf("kept %v, %v", set, err)
	}
	if err := f.setKeptFixes([]core.FixUse{{Path: "fixes/0002", Strength: 0.5}}); err != nil {
		t.Fatal(err)
	}
	if set, err := f.KeptFixes(); err != nil || len(set) != 1 || set[0].Strength != 0.5 {
		t.Errorf("kept %v, %v", set, err)
	}
	if err := f.WriteFile("fixes/kept.json", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.KeptFixes(); err == nil {
		t.Error("a broken set was read")
	}
}
