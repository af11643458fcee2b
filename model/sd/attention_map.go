package sd

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// An attention map says where an image shows a word of its prompt (DAAM: Tang et al., arXiv 2210.04885, eq. 4 to 6):
// how much each pixel attends to the word's tokens in the UNet's cross-attention, averaged over steps, layers and
// heads of the way down and up, each map enlarged to the size of the latents by bicubic interpolation and cut at 0.
//
// The paper watches the UNet while it draws. Here the image is given, and may be anybody's: it is encoded, noised to
// the level of each step, and shown to the UNet with its prompt, without guidance.

// AttentionMap is the largest of the maps of the words that occur in the prompt, each stretched to [0,1], for an image
// [1,3,H,W] in [0,1]: [1,1,H,W]. Without words it takes all of the prompt that carry meaning. Where there is none
// the map is 0. numSteps noise levels are looked at.
func (p *Pipeline) AttentionMap(image torch.Tensor, prompt string, words []string, numSteps int) (heat torch.Tensor, err error) {
	if p.Scheduler.Class == EDMEuler || p.Scheduler.Class == EDMDPMSolver {
		return heat, fmt.Errorf("attention maps: a model with %s is not supported", p.Scheduler.Class)
	}
	H, W := image.Size(2), image.Size(3)
	if len(words) == 0 {
		words = meaningful(prompt)
	}
	var spans [][]int64
	for _, word := range words {
		if span := p.Encoders[0].tokensOf(prompt, word); len(span) > 0 {
			spans = append(spans, span)
		}
	}
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			all := torch.Zeros(torch.Float32, image.Device(), 1, 1, H, W)
			if len(spans) == 0 {
				return all
			}
			latents := p.Encode(image)
			var maps torch.Tensor
			if maps, err = p.wordMaps(latents, prompt, spans, numSteps); err != nil {
				return all
			}
			for i := range spans {
				one := maps.Narrow(1, int64(i), 1)
				low, high := one.Min(), one.Max()
				stretched := one.Sub(low).Div(high.Sub(low).AddScalar(1e-8))
				all = all.Maximum(stretched.ResizeBilinear(H, W, torch.Resize{}))
			}
			return all
		})
	})
	return heat, err
}

// wordMaps are the maps [1,words,h,w] of words, given by the positions of their tokens, over latents [1,C,h,w].
func (p *Pipeline) wordMaps(latents torch.Tensor, prompt string, spans [][]int64, numSteps int) (torch.Tensor, error) {
	h, w := latents.Size(2), latents.Size(3)
	factor := p.VAE.Config.Factor()
	c, err := p.condition(backbone.Wording{Prompts: []string{prompt}, GuidanceScale: 1, Width: w * factor, Height: h * factor})
	if err != nil {
		return torch.Tensor{}, err
	}
	noise, err := torch.NewGenerator(torch.CPU, 0)
	if err != nil {
		return torch.Tensor{}, err
	}
	defer noise.Close()
	seen := attentionSums{tokens: torch.From(slices.Concat(spans...)).ToDevice(latents.Device(), torch.Int64)}
	defer seen.drop()
	added := Added{Pooled: c.Pooled, TimeIDs: c.TimeIDs, Guidance: c.Guidance, attended: seen.add}
	alphas := NewNoiseSchedule(p.Scheduler).AlphasCumprod
	for i := range numSteps {
		torch.Scope(func() torch.Tensor {
			t := (2*i + 1) * len(alphas) / (2 * numSteps) // in the middle of a part of all timesteps
			fresh := noise.Randn(torch.Float32, latents.Shape()...).ToDevice(latents.Device(), torch.Float32)
			noisy := latents.MulScalar(math.Sqrt(alphas[t])).AddScaled(fresh, math.Sqrt(1-alphas[t]))
			seen.at = 0
			return p.UNet.ForwardWith(noisy.To(p.dtype), []float64{float64(t)}, c.Context, added)
		})
	}
	return seen.maps(spans, h, w), nil
}

// attentionSums adds the attention to some tokens up, layer by layer, over calls of the UNet.
type attentionSums struct {
	tokens torch.Tensor // positions in the prompt
	layers []torch.Tensor
	at     int // the layer that comes next
}

// add takes the weights [1,heads,H·W,N] of a layer.
func (s *attentionSums) add(weights torch.Tensor, H, W int64) {
	picked := weights.IndexSelect(3, s.tokens).Permute(0, 1, 3, 2) // [1,heads,T,H·W]
	picked = picked.Reshape(picked.Size(1), picked.Size(2), H, W)
	if s.at == len(s.layers) {
		s.layers = append(s.layers, torch.Own(picked.Contiguous()))
	} else {
		s.layers[s.at].AddInPlace(picked, 1)
	}
	s.at++
}

// maps averages over layers and heads, and over the tokens of each word: [1,words,h,w].
func (s *attentionSums) maps(spans [][]int64, h, w int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var sum torch.Tensor // [1,T,h,w]
		heads := int64(0)
		for _, layer := range s.layers {
			large := layer.ResizeBicubic(h, w, torch.Resize{}).ClampMin(0).SumKeep(0)
			if heads += layer.Size(0); sum.Defined() {
				large = sum.Add(large)
			}
			sum = large
		}
		sum = sum.DivScalar(float64(heads))
		var words []torch.Tensor
		from := int64(0)
		for _, span := range spans {
			n := int64(len(span))
			words = append(words, sum.Narrow(1, from, n).MeanKeep(1))
			from += n
		}
		return torch.Cat(words, 1)
	})
}

func (s *attentionSums) drop() { torch.Drop(s.layers...) }

// tokensOf are the positions in a prompt's tokens at which a word's tokens stand, wherever it occurs.
func (e Encoder) tokensOf(prompt, word string) (positions []int64) {
	inner := func(text string) []int64 {
		tokens := e.Tokenizer.Encode(text)
		return tokens.IDs[1 : tokens.Count-1] // without start and end
	}
	all, wanted := inner(prompt), inner(word)
	if len(wanted) == 0 {
		return nil
	}
	for i := 0; i+len(wanted) <= len(all); i++ {
		if slices.Equal(all[i:i+len(wanted)], wanted) {
			for j := range wanted {
				positions = append(positions, int64(1+i+j))
			}
			i += len(wanted) - 1
		}
	}
	return positions
}

// plainWords carry no meaning of their own; their maps lie everywhere.
var plainWords = strings.Fields("a an the of in on at to for from by with without and or as is are was were be it its this that these those into over under near")

// meaningful are the words of a prompt without plain ones and punctuation, each once.
func meaningful(prompt string) (words []string) {
	for _, word := range strings.FieldsFunc(prompt, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '-' }) {
		lower := strings.ToLower(word)
		if !slices.Contains(plainWords, lower) && !slices.Contains(words, lower) {
			words = append(words, lower)
		}
	}
	return words
}
