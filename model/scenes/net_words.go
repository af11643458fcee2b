package scenes

import (
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// WordNet says whether an image shows the entities that a prompt names. Every pixel of an eighth
// of the image says which entity it belongs to; where a named one is absent, a second part says,
// from these maps and the prompt, where it should be or what stands in its place.
type WordNet struct {
	trunk    trunk
	words    *nn.Conv2d // a vector for every entity's name
	place    *nn.Linear // of the background
	vectors  torch.Tensor
	enter    *nn.Conv2d
	blocks   [3]*residual
	global   *nn.Linear
	heat     *nn.Conv2d // to four channels, which become pixels
	fc1, fc2 *nn.Linear
}

const (
	wordWidth  = 8  // of a name's vector where the prompt is told
	matchWidth = 64 // channels of the second part
	numTold    = 5 + 2*wordWidth + 4
)

// NewWordNet makes the network on one of the two kinds of trunk, 0 or 1.
func NewWordNet(kind int, w JudgeWidths, p nn.Params) *WordNet {
	t := newTrunk(kind, w, p.Sub("trunk"))
	_, eighth := t.widths()
	n := int64(len(Entities))
	j := &WordNet{
		trunk: t, words: nn.NewConv2d(eighth, n, 1, torch.Conv{}, p.Sub("words")),
		place:   nn.NewLinear(2*eighth, int64(len(Places)), p.Sub("place")),
		vectors: p.Param("vectors", nn.Normal(0.5), n+1, wordWidth),
		enter:   nn.NewConv2d(eighth+numTold, matchWidth, 1, torch.Conv{}, p.Sub("enter")),
		global:  nn.NewLinear(2*matchWidth, matchWidth, p.Sub("global")),
		heat:    nn.NewConv2d(matchWidth, 4, 3, torch.Conv{Padding: 1}, p.Sub("heat")),
		fc1:     nn.NewLinear(2*matchWidth+3, 64, p.Sub("score").Sub("fc1")),
		fc2:     nn.NewLinear(64, 1, p.Sub("score").Sub("fc2")),
	}
	for i := range j.blocks {
		j.blocks[i] = newResidual(matchWidth, matchWidth, p.Sub("blocks").At(i))
	}
	return j
}

// Told is what a judge reads in prompts, for B of them: the indices of the two entities, of which the
// second is len(entities) where there is none, and whether a second and which relation is named.
type Told struct {
	first, second []int64
	flags         []float32 // [B,4]: a second, and, left of, right of
}

// Tell gives judges what prompts say.
func Tell(prompts []Prompt) Told {
	var t Told
	for _, p := range prompts {
		flags := [4]float32{}
		first, second := EntityIndex(p.First), EntityIndex(p.Second)
		if first < 0 {
			first = len(Entities)
		}
		if second < 0 {
			second = len(Entities)
		} else {
			flags[0], flags[1+int(p.Relation)] = 1, 1
		}
		t.first, t.second, t.flags = append(t.first, int64(first)), append(t.second, int64(second)), append(t.flags, flags[:]...)
	}
	return t
}

// looseParse reads a prompt as far as it can: its first two names, a relation and a background, in any
// wording.
func looseParse(text string) Prompt {
	if p, err := Parse(text); err == nil {
		return p
	}
	var p Prompt
	text = strings.ToLower(text)
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch {
		case PlaceIndex(word) >= 0:
			p.Background = word
		case EntityIndex(word) < 0 || word == p.First:
		case p.First == "":
			p.First = word
		case p.Second == "":
			p.Second = word
		}
	}
	for _, r := range []Relation{LeftOf, RightOf} {
		if p.Second != "" && strings.Contains(text, r.phrase()) {
			p.Relation = r
		}
	}
	return p
}

// Reading is what a WordNet sees, as logits in float32.
type Reading struct {
	Words      torch.Tensor // [B,entities,H/8,W/8], which entity a cell belongs to
	Place      torch.Tensor // [B,places]
	Misaligned torch.Tensor // [B]
	Heat       torch.Tensor // [B,1,H/4,W/4]
}

// Forward reads images [B,3,H,W] in [-1,1] beside what their prompts say.
func (j *WordNet) Forward(image torch.Tensor, prompts Told) Reading {
	out := torch.Scopes(func() []torch.Tensor {
		_, eighth := j.trunk.read(image)
		words := j.words.Forward(eighth)
		place := j.place.Forward(pooledBoth(eighth))
		h, named := j.match(eighth, words, prompts)
		heat := j.heat.Forward(h).PixelShuffle(2)
		pooled := torch.Cat([]torch.Tensor{pooledBoth(h), named, heat.AMax(false, 2, 3)}, 1)
		score := j.fc2.Forward(j.fc1.Forward(pooled).SiLU()).Squeeze(1)
		return []torch.Tensor{words.To(torch.Float32), place.To(torch.Float32), score.To(torch.Float32), heat.To(torch.Float32)}
	})
	return Reading{out[0], out[1], out[2], out[3]}
}

// Features are those of the first kind of trunk on its way down, at a quarter, an eighth and a sixteenth of
// the sides.
func (j *WordNet) Features(image torch.Tensor) []torch.Tensor {
	return j.trunk.(*pyramid).bottomUp(image)
}

// match sets the maps beside the prompt: features [B,matchWidth,h,w], and how strongly each of the two
// named entities is seen, [B,2].
func (j *WordNet) match(eighth, words torch.Tensor, prompts Told) (features, named torch.Tensor) {
	out := torch.Scopes(func() []torch.Tensor {
		B, H, W := eighth.Size(0), eighth.Size(2), eighth.Size(3)
		n, dtype, device := int64(len(Entities)), eighth.DType(), eighth.Device()
		everywhere := func(t torch.Tensor) torch.Tensor { return t.Unsqueeze(2).Unsqueeze(3).Expand(B, t.Size(1), H, W) }
		ids := func(list []int64) torch.Tensor { return torch.From(list).ToDevice(device, torch.Int64) }
		hot := func(list []int64) torch.Tensor { return ids(list).OneHot(n+1).Narrow(1, 0, n).To(dtype) } // [B,n]

		seen := words.Sigmoid()
		first, second := hot(prompts.first), hot(prompts.second)
		of := func(which torch.Tensor) torch.Tensor {
			return torch.Einsum("bn,bnhw->bhw", which, seen).Unsqueeze(1)
		}
		one, two := of(first), of(second)
		other := seen.Mul(first.Add(second).SubFromScalar(1).Unsqueeze(2).Unsqueeze(3)).AMax(true, 1) // not named
		best := torch.Cat([]torch.Tensor{one.AMax(false, 2, 3), two.AMax(false, 2, 3)}, 1)            // [B,2]
		flags := torch.From(prompts.flags, B, 4).ToDevice(device, dtype)
		x := torch.Cat([]torch.Tensor{
			eighth, one, two, other, everywhere(best),
			everywhere(torch.Embedding(j.vectors, ids(prompts.first))), everywhere(torch.Embedding(j.vectors, ids(prompts.second))),
			everywhere(flags),
		}, 1)
		h := j.blocks[0].forward(j.enter.Forward(x))
		h = j.blocks[1].forward(h.Add(everywhere(j.global.Forward(pooledBoth(h)))))
		return []torch.Tensor{j.blocks[2].forward(h), best}
	})
	return out[0], out[1]
}
