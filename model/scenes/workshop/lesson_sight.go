package workshop

import (
	"context"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// newLesson fills in what a lesson has in common with the others.
func newLesson[N, B any](p *pretraining, network string) lesson[N, B] {
	e := p.recipe.lessons[network]
	if p.device == torch.CPU {
		e = p.recipe.onCPU[network]
	}
	l := lesson[N, B]{
		stage: network, seed: mixSeeds(p.baseSeed, nameSeed(network)), steps: choose(p.allSteps, e.steps), batch: p.batchOf(e.batch),
		rate: e.rate, warmUp: min(200, choose(p.allSteps, e.steps)/10), decay: 0.01, average: 0.999,
	}
	if p.limit > 0 && p.allSteps == 0 {
		l.steps = 1 << 30 // the clock ends it
	}
	return l
}

// nameSeed is a seed of a network's own.
func nameSeed(name string) uint64 {
	seed := uint64(0)
	for _, c := range []byte(name) {
		seed = mix(seed ^ uint64(c))
	}
	return seed
}

// startsAtZero picks the last layer of every branch beside a shortcut and of the UNet itself, so that
// a network begins as the identity (as diffusion models are started; Ho et al., arXiv 2006.11239,
// code). diffusers starts them at random, for weights are to be loaded over them.
func startsAtZero(name string) bool {
	layer := strings.TrimSuffix(strings.TrimSuffix(name, ".weight"), ".bias")
	return strings.HasSuffix(layer, ".conv2") || strings.HasSuffix(layer, ".proj_out") || layer == "unet.conv_out"
}

// loaded is a network of a file, in the type that the run computes in.
type loaded[N any] struct {
	net    N
	params nn.Params
}

func (l *loaded[N]) drop() { l.params.Drop() }

// load reads one network of a file that this or an earlier call wrote.
func load[N any](path string, dtype torch.DType, device torch.Device, build func(nn.Params) N) (*loaded[N], error) {
	net, params, err := nn.LoadFile(path, dtype, device, build)
	if err != nil {
		return nil, err
	}
	return &loaded[N]{net, params}, nil
}

// learnSight learns the network whose features the autoencoder's loss compares. It is a wordJudge that
// no judge shares weights, seed or data with.
func (p *pretraining) learnSight(ctx context.Context) error {
	generator, err := p.generator(SeedPretrain, Decorrelated)
	if err != nil {
		return err
	}
	l := newLesson[*scenes.WordNet, *sceneBatch](p, "sight")
	l.build = p.buildSight
	l.draw = p.drawScenes(generator, l.batch)
	l.shown = []string{"words", "place"}
	l.loss = func(net *scenes.WordNet, part *sceneBatch, chance *torch.Generator, _ float64) []torch.Tensor {
		picture := disturb(part.picture(p.device, torch.Float32), chance, &part.dice, 0.3).To(p.dtype)
		r := net.Forward(picture, scenes.Tell(part.prompts))
		words, place := wordsLoss(r, part, p.device)
		return []torch.Tensor{words.AddScaled(place, placeWeight).AddScaled(r.Heat.Mean().Add(r.Misaligned.Mean()), 0), words, place}
	}
	f, averaged, err := learn(ctx, p, l)
	if err != nil {
		return err
	}
	defer torch.Drop(averaged)
	return f.write(p.sightPath(), "", averaged, nil)
}

func (p *pretraining) buildSight(params nn.Params) *scenes.WordNet {
	return scenes.NewWordNet(0, p.recipe.judge[0], params)
}

// sightPath is beside the checkpoints: sight does not ship.
func (p *pretraining) sightPath() string { return p.statePath("sight-weights") }

func (p *pretraining) loadSight() (*loaded[*scenes.WordNet], error) {
	return load(p.sightPath(), p.dtype, p.device, p.buildSight)
}

// featureDistance is how differently a network sees two images: the mean absolute difference of its
// features at a quarter and an eighth, each in parts of their mean size (after Johnson et al.,
// arXiv 1603.08155).
func featureDistance(sight *scenes.WordNet, picture, decoded torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var want []torch.Tensor
		torch.NoGrad(func() { want = sight.Features(picture)[:2] })
		var sum torch.Tensor
		for i, got := range sight.Features(decoded)[:2] {
			want := want[i].To(torch.Float32)
			distance := got.To(torch.Float32).Sub(want).Abs().Mean().Div(want.Abs().Mean().Detach())
			if sum.Defined() {
				distance = distance.Add(sum)
			}
			sum = distance
		}
		return sum.MulScalar(0.5)
	})
}
