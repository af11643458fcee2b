package run

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"
)

// oldRun was made by the program of November 2026 (commit d5b97e3): the preset violence, rank 1, batch 1 and four
// steps, a prompt test, a changed weight and a pause. Of its files most references, images and
// checkpoints were deleted to make it small; no other byte was changed but the folder in run.json.
const oldRun = "2026-11-27-violence-26vv"

// A run folder of an older version is listed, read and can be resumed from.
func TestOldRunOpens(t *testing.T) {
	list, err := List("testdata/old")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d runs, %v", len(list), err)
	}
	r := list[0]
	if r.Err != nil || r.Name() != oldRun || r.State != Done || r.Info.Step != 4 || r.Info.Steps != 4 || r.Info.Preset != "violence" {
		t.Errorf("listed as %+v", r)
	}
	c, err := r.Config()
	if err != nil || c.Region.Weight != 10 || c.LoRA.Rank != 1 || len(c.Reward) != 1 {
		t.Errorf("configuration %+v, %v", c, err)
	}
	checkpoints, err := r.Checkpoints()
	if err != nil || len(checkpoints) != 1 || checkpoints[0].Step != 4 {
		t.Errorf("checkpoints %+v, %v", checkpoints, err)
	}
	prompts, err := r.Prompts()
	if err != nil || len(prompts) != 1 || prompts[0].Prompt.Prompt != "a chef in the park" || prompts[0].Prompt.NumSteps != 4 {
		t.Errorf("prompts %+v, %v", prompts, err)
	}
	pictures, err := r.Pictures()
	if err != nil || len(pictures[0]) != 2 || len(pictures[4]) != 2 {
		t.Errorf("images of %d steps, %v", len(pictures), err)
	}
}

// Its events are read without a loss, and written again in the same bytes.
func TestOldEventsReadBack(t *testing.T) {
	f := Folder{Dir: "testdata/old/" + oldRun}
	text, err := os.ReadFile(f.path(logName))
	if err != nil {
		t.Fatal(err)
	}
	var again []byte
	kinds := map[string]int{}
	w := follow(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(again) < len(text) {
		b, err := w.Next(ctx)
		if err != nil || b.Lost > 0 {
			t.Fatalf("%d lines lost, %v", b.Lost, err)
		}
		for _, e := range b.Events {
			kinds[e.Kind]++
			again = append(e.AppendJSON(again), '\n')
		}
	}
	if !bytes.Equal(again, text) {
		t.Errorf("written again:\n%s\nwant\n%s", again, text)
	}
	for _, kind := range []string{"state", "step", "pictures", "checkpoint", "evaluation", "control", "prompt"} {
		if kinds[kind] == 0 {
			t.Errorf("no event of kind %s among %v", kind, kinds)
		}
	}
	if kinds["step"] != 4 {
		t.Errorf("%d steps, want 4", kinds["step"])
	}
}
