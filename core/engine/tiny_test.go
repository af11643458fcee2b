package engine

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/core"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

const (
	tinyModel = "../../model/sd/testdata/ref/sd1"
	tinySide  = 32 // pixels that it draws by nature
)

// spot is a judge that wants a square of the image dark, or all of it, and finds the fault there.
type spot struct {
	square bool
	sign   float64
}

func (s spot) look(images torch.Tensor) torch.Tensor {
	if s.square {
		return images.Narrow(2, 8, 8).Narrow(3, 8, 8)
	}
	return images
}

func (s spot) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return s.look(images).Mean(1, 2, 3).MulScalar(-s.sign) })
}

func (s spot) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		heat := images.NewZeros(images.Size(0), 1, images.Size(2), images.Size(3))
		s.look(heat).Fill(0.9)
		return heat
	})
}

func (spot) Close() {}

// glow is a judge that holds a fault for the more probable the brighter an image is.
type glow struct{ spot }

func (glow) FaultProbability(score float64) float64 { return min(max(-4*score-1, 0), 1) }

// poisoned is a judge whose score is not a number.
type poisoned struct{ spot }

func (poisoned) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return images.Mean(1, 2, 3).AddScalar(1).Neg().Sqrt() })
}

// greedy is a judge for whose score there is never enough memory.
type greedy struct{ spot }

func (greedy) Score(torch.Tensor, []string) torch.Tensor {
	panic(&torch.Error{Op: "aten::empty", Message: "CUDA out of memory. Tried to allocate 2.00 GiB"})
}

// tinyKinds are judges that need no weights: "spot:square", "spot:whole", "spot:bright", "spot:glow", "spot:nan" and
// "spot:greedy".
var tinyKinds = []reward.Kind{{Name: "spot", Use: "spot:NAME", Open: func(name string, _ url.Values, _ torch.Device) (reward.Reward, error) {
	switch name {
	case "square":
		return spot{true, 1}, nil
	case "whole":
		return spot{false, 1}, nil
	case "bright":
		return spot{false, -1}, nil
	case "glow":
		return glow{spot{false, 1}}, nil
	case "nan":
		return poisoned{spot{true, 1}}, nil
	case "greedy":
		return greedy{spot{true, 1}}, nil
	}
	return nil, fmt.Errorf("no spot %q", name)
}}}

// tinyConfig trains the tiny model of model/sd's references for a few steps.
func tinyConfig(t testing.TB) core.Config {
	t.Helper()
	c := core.Default()
	c.Model.Path, c.Model.Device, c.Model.DType = tinyModel, string(torchtest.Device()), "float32"
	c.Sample.NumSteps, c.Sample.GuidanceScale = 3, 2
	c.LoRA.Rank, c.LoRA.Alpha = 2, 2
	c.Reward = []core.Reward{{Aspect: "spot", Model: "spot:square", HeldOut: "spot:whole", Weight: 1, Mask: true, Heatmap: "head", Threshold: 0.5, Dilate: 2}}
	c.Train.Steps, c.Train.Batch, c.Train.BackpropSteps = 6, 2, 2
	c.Train.CheckpointEvery, c.Train.ImagesEvery = 2, 3
	c.Train.Prompts = filepath.Join(t.TempDir(), "prompts.txt")
	writeText(t, c.Train.Prompts, "a chef\na cat\na tree\na dog\n[held out]\na fox\na house\n")
	return c
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
