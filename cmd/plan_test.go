package cmd

import (
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/engine"
)

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "24GiB": 24 << 30, "24 GB": 24 << 30, "0.5": 1 << 29} {
		if got, err := parseMemory(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"much", "-1", "0GiB"} {
		if _, err := parseMemory(text); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
}

// TestSmaller: what --fit changes keeps the images of an update, until only K is left.
func TestSmaller(t *testing.T) {
	c := core.Default()
	c.Model.DType, c.Train.Batch, c.Train.Accumulate, c.Train.BackpropSteps = "float32", 3, 2, 2
	var said []string
	images := 0
	for {
		next, settings, ok := smaller(c)
		if !ok {
			break
		}
		c, said, images = next, append(said, settings...), next.Train.Batch*next.Train.Accumulate
	}
	want := "model.dtype=auto train.batch=1 train.accumulate=6 train.backprop_steps=1"
	if got := strings.Join(said, " "); got != want || images != 6 {
		t.Errorf("%s with %d images an update, want %s with 6", got, images, want)
	}
}

// TestMeasureNeedsShapes: a process that computes must not take a walk for a training.
func TestMeasureNeedsShapes(t *testing.T) {
	if _, err := engine.Measure(core.Default(), nil); err == nil || !strings.Contains(err.Error(), "FNF_STAND_IN") {
		t.Errorf("error %v", err)
	}
}

func TestTorchForDriver(t *testing.T) {
	for driver, want := range map[string]string{"550.54": "cu126", "580.95": "install torch &&", "unknown": "install torch &&"} {
		if got := torchFor(driver); !strings.Contains(got, want) {
			t.Errorf("driver %s: %s, want %s", driver, got, want)
		}
	}
	if got := ncclHeaders("2.11.0+cu130"); !strings.Contains(got, "nvidia-cuda-crt==13.0.* nvidia-cuda-cccl==13.0.*") {
		t.Errorf("NCCL: %s", got)
	}
}
