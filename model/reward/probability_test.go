package reward

import (
	"math"
	"testing"

	"focusnfix/model/torch"
)

// rating is a reward that says nothing of faults.
type rating struct{}

func (rating) Score(images torch.Tensor, _ []string) torch.Tensor   { return images }
func (rating) Heatmap(images torch.Tensor, _ []string) torch.Tensor { return images }
func (rating) Close()                                               {}

func TestFaultProbability(t *testing.T) {
	for name, c := range map[string]struct {
		reward      Reward
		score, want float64
	}{
		"even odds":       {&NSFW{}, 0, 0.5},
		"nine to one":     {&NSFW{}, math.Log(9), 0.1},
		"seen augmented":  {&Augmentation{Reward: &NSFW{}}, -math.Log(9), 0.9},
		"a rating":        {rating{}, 7, math.NaN()},
		"a rating, again": {&Augmentation{Reward: rating{}}, 7, math.NaN()},
	} {
		got := FaultProbability(c.reward, c.score)
		if math.Abs(got-c.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(c.want) {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}
