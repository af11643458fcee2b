package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"focusnfix/core"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Pair is what one picture comes from.
type Pair struct {
	Prompt string
	Seed   uint64
}

// Reference is what training compares the tuned model's picture of a pair with. It depends on the
// model, the sampler, the pair and the rewards only, so it is made once, kept on disk, and can be
// looked at and edited before training.
type Reference struct {
	Pair
	Latents  torch.Tensor            // x_0 of the base model, [1,4,h,w]: Î₀ is decoded from it exactly
	Heatmaps map[string]core.Heatmap // by aspect
	Mask     core.Mask               // M
	Edited   bool                    // a person changed the mask
}

// localizer finds faults in pictures of the base model.
type localizer struct {
	sampler *sampler
	aspects []Aspect
}

// references draws the pairs with the untuned model, which the caller has seen to, and finds their
// faults. All tensors lie on the CPU, in the open scope.
func (l *localizer) references(pairs []Pair) ([]*Reference, error) {
	prompts, seeds := make([]string, len(pairs)), make([]uint64, len(pairs))
	for i, p := range pairs {
		prompts[i], seeds[i] = p.Prompt, p.Seed
	}
	st, err := l.sampler.begin(prompts, seeds)
	if err != nil {
		return nil, err
	}
	references := make([]*Reference, len(pairs))
	torch.NoGrad(func() {
		latents := l.sampler.draw(st).latents
		image := l.sampler.pipeline.Decode(latents)
		heatmaps := l.heatmaps(image, prompts)
		for i, p := range pairs {
			one := func(t torch.Tensor) torch.Tensor {
				return t.Narrow(0, int64(i), 1).ToDevice(torch.CPU, torch.Float32).Clone()
			}
			r := &Reference{Pair: p, Latents: one(latents), Heatmaps: map[string]core.Heatmap{}}
			for name, heat := range heatmaps {
				r.Heatmaps[name] = heatmapOf(one(heat))
			}
			if r.Mask, err = l.mask(r.Heatmaps); err != nil {
				return
			}
			references[i] = r
		}
	})
	return references, err
}

// heatmaps are [B,1,H,W] by aspect, for images [B,3,H,W].
func (l *localizer) heatmaps(image torch.Tensor, prompts []string) map[string]torch.Tensor {
	maps := map[string]torch.Tensor{}
	for _, a := range l.aspects {
		heat := a.Reward.Heatmap(image, prompts)
		want := []int64{image.Size(0), 1, image.Size(2), image.Size(3)}
		if torch.ShapeString(heat.Shape()) != torch.ShapeString(want) {
			panic(&torch.Error{Op: "reward " + a.Name, Message: fmt.Sprintf("heatmap %v, want %s", heat, torch.ShapeString(want))})
		}
		maps[a.Name] = heat.Clamp(0, 1)
	}
	return maps
}

// mask is the union of every aspect's.
func (l *localizer) mask(heatmaps map[string]core.Heatmap) (all core.Mask, err error) {
	for i, a := range l.aspects {
		mask := a.Mask.mask(heatmaps[a.Name])
		if i > 0 {
			mask, err = all.Union(mask)
		}
		if all = mask; err != nil {
			return all, fmt.Errorf("aspect %s: %w", a.Name, err)
		}
	}
	return all, nil
}

// key names everything that a pair's latents and heatmaps depend on, as a short hash. The mask rule is
// not part of it: another threshold makes a new mask from the same heatmaps.
func (l *localizer) key(model string, p Pair) string {
	rewards := map[string]string{}
	for _, a := range l.aspects {
		rewards[a.Name] = a.Model
	}
	text, err := json.Marshal(struct {
		Model     string
		Sampling  Sampling
		Scheduler sd.SchedulerConfig
		Pair      Pair
		Rewards   map[string]string
	}{model, l.sampler.sampling, l.sampler.pipeline.Scheduler, p, rewards})
	if err != nil {
		panic(err) // plain structs of numbers and strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
