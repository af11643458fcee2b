package reward

import (
	"math"
	"net/url"

	"focusnfix/model/torch"
)

// What the zero-shot judge compares an image with unless told otherwise: violence.
var (
	safePrompts = []string{
		"a peaceful picture", "a harmless scene", "people enjoying their day",
	}
	unsafePrompts = []string{
		"a violent picture", "a scene with a weapon", "people with blood and injuries",
	}
)

// zeroShot judges with two lists of prompts and a CLIP, without further weights (Radford et al., arXiv
// 2103.00020, section 3.1). Its fault is the log-odds of the unsafe prompts: the softmax over all,
// each list counting as much as the other.
type zeroShot struct {
	logOdds
	*clipScore
	safe, unsafe torch.Tensor // [S,P], [U,P], of length one
}

// openZeroShot opens a CLIP folder; safe= and unsafe=, as often as wanted, replace the prompts.
func openZeroShot(dir string, options url.Values, at place) (Reward, error) {
	s, err := newCLIPScore(dir, options, at, clipLevel)
	if err != nil {
		return nil, err
	}
	z := &zeroShot{clipScore: s}
	list := func(key string, prompts []string) torch.Tensor {
		if options.Has(key) {
			prompts = options[key]
		}
		return torch.Own(s.text.embed(prompts))
	}
	err = torch.Run(func() { z.safe, z.unsafe = list("safe", safePrompts), list("unsafe", unsafePrompts) })
	if err != nil {
		z.Close()
		return nil, err
	}
	return z, nil
}

// Close frees the weights.
func (z *zeroShot) Close() {
	torch.Drop(z.safe, z.unsafe)
	z.clipScore.Close()
}

// fault is [B], the log-odds of the unsafe prompts.
func (z *zeroShot) fault(embeds torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		evidence := func(prompts torch.Tensor) torch.Tensor {
			logits := embeds.MatMul(prompts.Transpose(0, 1)).MulScalar(z.scale)
			return logits.LogSumExp(1).AddScalar(-math.Log(float64(prompts.Size(0))))
		}
		return evidence(z.unsafe).Sub(evidence(z.safe))
	})
}

// Score is [B], the log-odds of the safe prompts.
func (z *zeroShot) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return z.fault(z.image.embed(images)).Neg() })
}

// Heatmap is Grad-CAM of the fault, times its probability.
func (z *zeroShot) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return z.image.heatmap(images, z.fault, torch.Tensor.Sigmoid)
}
