package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestCopiesOfAStep: what a step of training copies between host and GPU, and how often the host waits for it, as the
// stand-in notes it. A step takes the base images, their masks, the noise, the prompts and the negative prompt (one copy
// each), and the noise of the rewards' augmentation; it gives the rewards, the region term, PSNR inside and outside the
// region, the held-out judge's scores, the loss and the norm of the gradients.
func TestCopiesOfAStep(t *testing.T) {
	needWalk(t)
	if torchtest.Device() == torch.CPU {
		t.Skip("FNF_TEST_DEVICE names no device to copy to")
	}
	t.Setenv("FNF_STAND_IN", "compute")
	preset := tinyPreset(t)
	counts := func(steps int) map[string]int {
		log := filepath.Join(t.TempDir(), "log")
		t.Setenv("FNF_STAND_IN_LOG", log)
		args := []string{"train", preset, "--runs", t.TempDir(), "--steps", fmt.Sprint(steps)}
		for _, setting := range []string{"model.device=cuda", "train.batch=2", "train.images_every=100", "train.seeds_per_prompt=1"} {
			args = append(args, "--set", setting)
		}
		if code, _, stderr := runProgram(t, args...); code != exitDone {
			t.Fatal(stderr)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]int{}
		for line := range strings.Lines(string(text)) {
			kind, _, _ := strings.Cut(line, "\t")
			all[kind]++
		}
		return all
	}
	few, more := counts(3), counts(5) // the first steps draw the base images and ask the judges about them
	for kind, want := range map[string]int{"to device": 6, "to host": 5, "item": 2, "mark": 5} {
		if got := more[kind] - few[kind]; got != 2*want {
			t.Errorf("two steps have %d of %q in the log, want %d a step", got, kind, want)
		}
	}
}
