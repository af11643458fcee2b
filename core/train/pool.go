package train

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/model/torch"
)

// Pool lists every pair that is trained on.
func (t *Trainer) Pool() []Pair {
	var pairs []Pair
	for i, prompt := range t.Prompts {
		for j := range t.SeedsPerPrompt {
			pairs = append(pairs, Pair{prompt, t.Seed + uint64(i*t.SeedsPerPrompt+j)})
		}
	}
	return pairs
}

// pairs are those of step n, from 0: the pool in an order that is shuffled anew each time it is
// through. It follows from n and Seed alone, so that a checkpoint needs no cursor.
func (t *Trainer) pairs(n int) []Pair {
	_, world := t.world()
	pool, perStep := t.Pool(), t.Batch*t.Accumulate*world
	chosen := make([]Pair, perStep)
	epoch, order := -1, []int(nil)
	for i := range chosen {
		at := n*perStep + i
		if e := at / len(pool); e != epoch {
			epoch, order = e, rand.New(rand.NewPCG(t.Seed, uint64(e))).Perm(len(pool))
		}
		chosen[i] = pool[order[at%len(pool)]]
	}
	return chosen
}

// Reference returns what training compares pictures of a pair with: from disk, or drawn now and kept.
// Tensors go to the open scope.
func (t *Trainer) Reference(p Pair) (*Reference, error) {
	r, err := t.store.load(p)
	if r != nil || err != nil {
		return r, err
	}
	t.adapter.SetScale(0)
	defer t.adapter.SetScale(1)
	made, err := t.store.references([]Pair{p})
	if err != nil {
		return nil, err
	}
	return made[0], t.store.save(made[0], t.decodeBase(made))
}

// Prepare draws the references of those pairs that have none yet, together.
func (t *Trainer) Prepare(pairs []Pair) error {
	missing := slices.DeleteFunc(slices.Clone(pairs), t.HasReference)
	if len(missing) == 0 {
		return nil
	}
	var made []*Reference
	var err error
	torch.Scope(func() torch.Tensor {
		t.Untuned(func() { made, err = t.store.references(missing) })
		for i := range made {
			if err == nil {
				err = t.store.save(made[i], t.decodeBase(made[i:i+1]))
			}
		}
		return torch.Tensor{}
	})
	return err
}

// decodeBase is Î₀ of references, [B,3,H,W] in [0,1].
func (t *Trainer) decodeBase(references []*Reference) (image torch.Tensor) {
	torch.NoGrad(func() {
		image = torch.Scope(func() torch.Tensor {
			latents := make([]torch.Tensor, len(references))
			for i, r := range references {
				latents[i] = r.Latents
			}
			return t.pipeline.Decode(torch.Cat(latents, 0).ToDevice(t.pipeline.Device(), torch.Float32))
		})
	})
	return image
}

// keep is the reference of a pair as a step needs it, from memory if it was asked for before.
func (t *Trainer) keep(p Pair) (kept, error) {
	if k, ok := t.kept[p]; ok {
		return k, nil
	}
	var k kept
	var err error
	both := torch.Scopes(func() []torch.Tensor {
		var r *Reference
		if r, err = t.Reference(p); err != nil {
			err = fmt.Errorf("reference of %q, seed %d: %w", p.Prompt, p.Seed, err)
			return nil
		}
		k.coverage = r.Mask.Coverage()
		return []torch.Tensor{t.decodeBase([]*Reference{r}).ToDevice(torch.CPU, torch.Float32), maskTensor(r.Mask)}
	})
	if err != nil {
		return k, err
	}
	k.baseImage, k.mask = both[0], both[1]
	const bytes, channels = 4, 4 // of float32; RGB and mask
	if all := int64(len(t.kept)+1) * bytes * channels * t.Sampling.Width * t.Sampling.Height; all <= maxKept {
		torch.Own(k.baseImage)
		torch.Own(k.mask)
		t.kept[p] = k
	}
	return k, nil
}

// batch puts pairs together for one differentiation, and tells how much each mask covers.
func (t *Trainer) batch(pairs []Pair) (b batch, coverage []float64, err error) {
	var images, masks []torch.Tensor
	var seeds []uint64
	for _, p := range pairs {
		k, err := t.keep(p)
		if err != nil {
			return b, nil, err
		}
		b.prompts, seeds = append(b.prompts, p.Prompt), append(seeds, p.Seed)
		images, masks, coverage = append(images, k.baseImage), append(masks, k.mask), append(coverage, k.coverage)
	}
	device := t.pipeline.Device()
	b.baseImage = torch.Cat(images, 0).ToDevice(device, torch.Float32)
	b.mask = torch.Cat(masks, 0).ToDevice(device, torch.Float32)
	b.start, err = t.objective.sampler.begin(b.prompts, seeds)
	return b, coverage, err
}

// Next are the pairs that the next step trains on, in this process.
func (t *Trainer) Next() (own []Pair) {
	pairs := t.pairs(t.step)
	for i := range t.Accumulate {
		own = append(own, t.share(pairs, i)...)
	}
	return own
}

// HasReference tells whether the reference of a pair is drawn already.
func (t *Trainer) HasReference(p Pair) bool {
	if _, ok := t.kept[p]; ok {
		return true
	}
	_, err := os.Stat(filepath.Join(t.store.path(p), "meta.json"))
	return err == nil
}

// ReferencePath is the folder of a pair's reference.
func (t *Trainer) ReferencePath(p Pair) string { return t.store.path(p) }
