package train

import (
	"iter"
	"math/rand/v2"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
)

// part is what one worker draws and differentiates at a time: a fixed share of a step's images. On a CPU that is
// cpuPart images, on a GPU a batch. Its random numbers follow from the seed, the step and its place in the step, so
// that they are the same however many workers and processes there are, and after a resume.
type part struct {
	pairs []core.Pair
	walk
	baseImage, mask torch.Tensor // Î₀, [B,3,H,W] in [0,1], and M, [B,1,H,W] in {0,1}

	random *torch.Generator // of the rewards' augmentation and of noised copies
	chance *rand.Rand       // of the steps that learn, if the gradient is sparse

	image    torch.Tensor // Î, owned until it is watched
	measured Measured
	coverage []float64
	verdicts map[eval.Role][]eval.Verdict
}

// parts divides this rank's share of the planned images.
func (t *Trainer) parts() []*part {
	var parts []*part
	rank, world := t.world()
	size := t.partSize()
	for i := range t.Accumulate {
		for from := (i*world + rank) * t.Batch; from < (i*world+rank+1)*t.Batch; from += size {
			to := min(from+size, (i*world+rank+1)*t.Batch)
			parts = append(parts, &part{pairs: t.plan.pairs[from:to], chance: chanceOf(t.Seed, t.step, from)})
		}
	}
	return parts
}

// cpuPart is the number of images in a part on a CPU. Single images keep more cores busy, but cost more: a step of
// the shipped model, batch 4, took 4.1 CPU seconds in parts of one, 3.6 in parts of two and 3.4 in one part (medians of
// 5 in turn).
const cpuPart = 2

// partSize is the number of images in a part.
func (t *Trainer) partSize() int {
	if t.pipeline.Device() == torch.CPU {
		return min(cpuPart, t.Batch)
	}
	return t.Batch
}

// share is what the part counts in the mean over this rank's images of a step.
func (t *Trainer) share(p *part) float64 {
	return float64(len(p.pairs)) / float64(t.Batch*t.Accumulate)
}

// chanceOf gives the random numbers of the image at a place in a step.
func chanceOf(seed uint64, step, place int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(step)<<32|uint64(place)))
}

// begin draws the part as far as nothing is recorded, without gradients. What it makes outlives the scope.
func (p *part) begin(t *Trainer) (err error) {
	if p.random, err = torch.NewGenerator(torch.CPU, p.chance.Uint64()); err != nil {
		return err
	}
	if p.baseImage, p.mask, p.coverage, err = t.References.images(p.pairs); err != nil {
		return err
	}
	st, err := t.sampler.begin(p.pairs)
	if err != nil {
		return err
	}
	p.walk = t.sampler.rollout(st)
	for _, x := range p.tensors() {
		torch.Own(x)
	}
	return nil
}

// tensors lists all that the part holds.
func (p *part) tensors() (all []torch.Tensor) {
	all = append([]torch.Tensor{p.baseImage, p.mask, p.image}, p.noise...)
	if p.conditioning != nil {
		all = append(all, p.conditioning.Tensors()...)
	}
	all = append(all, p.walk.latents...)
	defined := all[:0]
	for _, x := range all {
		if x.Defined() {
			defined = append(defined, x)
		}
	}
	return defined
}

func dropParts(parts []*part) {
	for _, p := range parts {
		torch.Drop(p.tensors()...)
		if p.random != nil {
			p.random.Close()
		}
	}
}

// trajectories draws the part to its end, then its noised copies.
func (s *sampler) trajectories(p *part) iter.Seq[trajectory] {
	return func(yield func(trajectory) bool) {
		drawn := s.finish(p.walk, p.chance)
		if !yield(drawn) {
			return
		}
		for _, again := range s.noisedCopies(p.start, drawn.latents, p.random) {
			if !yield(again) {
				return
			}
		}
	}
}

// measure notes what the part's images, [B,3,H,W], came to.
func (p *part) measure(image torch.Tensor, scores map[string][]float64, region, loss torch.Tensor) {
	p.image = torch.Own(image.Detach())
	p.measured = Measured{Rewards: scores, Region: region.Detach().Doubles(), Loss: loss.Item()}
	p.measured.Inside = eval.PSNR(p.image, p.baseImage, p.mask)
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			p.measured.Outside = eval.PSNR(p.image, p.baseImage, eval.Outside(p.mask))
			return torch.Tensor{}
		})
	})
}

// watch asks the watching judges about the part's images. What they say of a base image is remembered.
func (p *part) watch(t *Trainer) {
	p.verdicts = map[eval.Role][]eval.Verdict{}
	for _, j := range t.Watch {
		tuned, trained := p.measured.Rewards[j.Aspect]
		if j.HeldOut || !trained {
			tuned = j.Scores(p.image, p.prompts)
		}
		verdicts := make([]eval.Verdict, len(p.pairs))
		for i, base := range t.baseScores(j, p) {
			verdicts[i] = j.Scored(base, tuned[i])
		}
		p.verdicts[j.Role] = verdicts
	}
}

// baseScores is what a watching judge says of a part's base images.
func (t *Trainer) baseScores(j eval.Judge, p *part) []float64 {
	known := make([]float64, 0, len(p.pairs))
	t.baseMutex.Lock()
	for _, pair := range p.pairs {
		if score, ok := t.base[baseScore{pair, j.Role}]; ok {
			known = append(known, score)
		}
	}
	t.baseMutex.Unlock()
	if len(known) == len(p.pairs) {
		return known
	}
	scores := j.Scores(p.baseImage, p.prompts)
	t.baseMutex.Lock()
	defer t.baseMutex.Unlock()
	for i, pair := range p.pairs {
		t.base[baseScore{pair, j.Role}] = scores[i]
	}
	return scores
}

// baseScore names a judge's score of a base image.
type baseScore struct {
	core.Pair
	eval.Role
}
