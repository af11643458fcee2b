package scenes

import (
	"math"

	"focusnfix/model/torch"
)

// WordScore is a Misalignment judge for training that also asks for each named entity by itself:
//
//	score = log P(no fault) + Weight · Σ_named log p(entity)
//
// where p is how strongly the entity is seen where it is seen best. The judge's own score hardly has a gradient where
// nothing like the entity is drawn, because it reads the word maps through a sigmoid; log p pulls there as much as
// anywhere.
type WordScore struct {
	*Judge
	Weight float64
}

// Score is [B], float32, for images [B,3,H,W] in [0,1].
func (w WordScore) Score(images torch.Tensor, texts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		prompts := w.parse(texts)
		r := w.Read(images, prompts)
		return r.Misaligned.Softplus().Neg().AddScaled(logSeen(r.Words, prompts), w.Weight)
	})
}

// FaultProbability is not known: the score is no probability.
func (WordScore) FaultProbability(float64) float64 { return math.NaN() }

// logSeen is Σ_named log max σ(words), [B], for the logits of entities [B,entities,h,w]. Names that are no entity
// count nothing.
func logSeen(words torch.Tensor, prompts []Prompt) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		named := make([]float32, len(prompts)*len(Entities))
		for i, p := range prompts {
			for _, name := range p.Names() {
				if k := EntityIndex(name); k >= 0 {
					named[i*len(Entities)+k] = 1
				}
			}
		}
		best := words.AMax(false, 2, 3).Neg().Softplus().Neg() // log σ, [B,entities]
		which := torch.From(named, int64(len(prompts)), int64(len(Entities))).ToDevice(best.Device(), best.DType())
		return best.Mul(which).Sum(1)
	})
}
