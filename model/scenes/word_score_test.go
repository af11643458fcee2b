package scenes

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestLogSeenMatchesPyTorch: scores and gradients of the named entities (testdata/ref/words.py).
func TestLogSeenMatchesPyTorch(t *testing.T) {
	var want struct {
		Named    [][]int
		Scores   []float64
		Gradient []float64
	}
	text, err := os.ReadFile("testdata/ref/words.json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		logits := nntest.Uniform("words", 3, int64(len(Entities)), 4, 6).MulScalar(4).AddScalar(-3).Leaf()
		prompts := make([]Prompt, len(want.Named))
		for i, named := range want.Named {
			for k, id := range named {
				*[]*string{&prompts[i].First, &prompts[i].Second}[k] = Entities[id].Name
			}
		}
		scores := logSeen(logits, prompts)
		for i, got := range scores.Detach().Doubles() {
			if math.Abs(got-want.Scores[i]) > 1e-5 {
				t.Errorf("image %d: %g, want %g", i, got, want.Scores[i])
			}
		}
		grad := torch.Grad([]torch.Tensor{scores.Sum()}, []torch.Tensor{logits}, nil)[0].Select(0, 0).Select(0, 3).Flatten(0).Doubles()
		for i, w := range want.Gradient {
			if math.Abs(grad[i]-w) > 1e-5 {
				t.Errorf("gradient of cell %d: %g, want %g", i, grad[i], w)
			}
		}
	})
}

// TestWordScore: weight 0 is the judge itself, more weight asks for more, and P(fault) is not known.
func TestWordScore(t *testing.T) {
	torchtest.Need(t)
	j, err := LoadJudge(writeTinyJudges(t), Misalignment, false, torch.Float32, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	torchtest.Run(t, func() {
		images, prompts := nntest.Uniform("images", 1, 3, 32, 32).Abs(), []string{"a chef and a tree at night"}
		plain, none, some := j.Score(images, prompts), WordScore{j, 0}.Score(images, prompts), WordScore{j, 2}.Score(images, prompts)
		if torchtest.MaxDiff(plain, none) > 1e-6 || some.Item() >= plain.Item() {
			t.Errorf("scores %g, at weight 0 %g, at 2 %g", plain.Item(), none.Item(), some.Item())
		}
		if p := (WordScore{j, 2}).FaultProbability(-1); !math.IsNaN(p) {
			t.Errorf("P(fault) %g, want it unknown", p)
		}
	})
}
