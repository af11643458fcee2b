package reward

import "math"

// Classifier is a Reward that knows what its score means: how probable a fault is in the whole image.
// Ratings and similarities know no such thing.
type Classifier interface {
	FaultProbability(score float64) float64
}

// FaultProbability is that of a fault in an image with a score of r, NaN if r does not know.
func FaultProbability(r Reward, score float64) float64 {
	if a, ok := r.(*Augmentation); ok {
		r = a.Reward
	}
	if c, ok := r.(Classifier); ok {
		return c.FaultProbability(score)
	}
	return math.NaN()
}

// logOdds makes a reward a Classifier whose score is the log-odds of an image without fault.
type logOdds struct{}

// FaultProbability is σ(−score).
func (logOdds) FaultProbability(score float64) float64 { return 1 / (1 + math.Exp(score)) }
