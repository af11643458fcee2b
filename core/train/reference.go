package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Reference is what the tuned model's image of a pair is compared with. It depends on the model, the sampler,
// the pair and the rewards only, so it is made once, kept on disk, and can be looked at and edited before
// training.
type Reference struct {
	core.Pair
	Latents  torch.Tensor            // x_0 of the base model, [1,4,h,w]: Î₀ is decoded from it exactly
	Heatmaps map[string]core.Heatmap // by aspect
	Mask     core.Mask               // M
	Edited   bool                    // a person changed the mask
}

// MaskRule makes a mask out of a heatmap.
type MaskRule struct {
	Threshold float64 // heatmap in [0,1]; above it a pixel is faulty
	Dilate    int     // pixels that the mask grows on every side
	MinArea   float64 // share of the image; a smaller mask counts as no fault
}

func (r MaskRule) mask(h core.Heatmap) core.Mask {
	return h.Threshold(r.Threshold).AtLeast(r.MinArea).Dilate(r.Dilate)
}

// References draws base images, finds their faults, and keeps both. As an eval.Source it also draws what the
// model makes of a pair now.
type References struct {
	sampler *sampler // of images without gradients
	aspects []Aspect
	model   string // fingerprint of the base model's weights
	dir     string
	adapter *nn.Adapter             // off while the base model draws; nil is none
	kept    map[core.Pair]reference // in memory
}

// reference is what a step needs of a Reference, owned, on the CPU.
type reference struct {
	baseImage, mask torch.Tensor // [1,3,H,W] and [1,1,H,W]
	coverage        float64
}

// maxKept bounds the memory that base images may take, in bytes; more are decoded anew at each step.
const maxKept = 1 << 30

// NewReferences keeps references in a folder, which need not exist. model is a fingerprint of the base model's
// weights.
func NewReferences(p *sd.Pipeline, s core.Sampling, aspects []Aspect, model, dir string) (*References, error) {
	drawer, err := newSampler(p, s, 0)
	if err != nil {
		return nil, err
	}
	return &References{sampler: drawer, aspects: aspects, model: model, dir: dir, kept: map[core.Pair]reference{}}, nil
}

// Close frees what is kept in memory.
func (r *References) Close() {
	for _, k := range r.kept {
		torch.Drop(k.baseImage, k.mask)
	}
}

// Has reports whether the reference of a pair is drawn already.
func (r *References) Has(p core.Pair) bool {
	if _, ok := r.kept[p]; ok {
		return true
	}
	_, err := os.Stat(filepath.Join(r.Path(p), metaFile))
	return err == nil
}

// Path is the folder of a pair's reference.
func (r *References) Path(p core.Pair) string { return filepath.Join(r.dir, r.key(p)) }

// Load returns the reference of a pair, from disk, or drawn now and saved. Tensors go to the open scope.
func (r *References) Load(p core.Pair) (*Reference, error) {
	read, err := r.read(p)
	if read != nil || err != nil {
		return read, err
	}
	made, err := r.draw([]core.Pair{p})
	if err != nil {
		return nil, err
	}
	return made[0], r.save(made[0], r.decode(made))
}

// Prepare draws the references of those pairs that have none yet, together.
func (r *References) Prepare(pairs []core.Pair) (err error) {
	missing := slices.DeleteFunc(slices.Clone(pairs), r.Has)
	if len(missing) == 0 {
		return nil
	}
	torch.Scope(func() torch.Tensor {
		var made []*Reference
		made, err = r.draw(missing)
		for i := range made {
			if err == nil {
				err = r.save(made[i], r.decode(made[i:i+1]))
			}
		}
		return torch.Tensor{}
	})
	return err
}

// draw draws pairs with the base model and finds their faults. All tensors lie on the CPU, in the open scope.
func (r *References) draw(pairs []core.Pair) ([]*Reference, error) {
	st, err := r.sampler.begin(pairs)
	if err != nil {
		return nil, err
	}
	references := make([]*Reference, len(pairs))
	torch.NoGrad(func() {
		var latents torch.Tensor
		r.Untuned(func() { latents = r.sampler.draw(st).latents })
		heatmaps := heatmaps(r.aspects, r.sampler.pipeline.Decode(latents), st.prompts)
		for i, p := range pairs {
			one := func(t torch.Tensor) torch.Tensor {
				return t.Narrow(0, int64(i), 1).ToDevice(torch.CPU, torch.Float32).Clone()
			}
			references[i] = &Reference{Pair: p, Latents: one(latents), Heatmaps: map[string]core.Heatmap{}}
			for name, heat := range heatmaps {
				references[i].Heatmaps[name] = eval.HeatmapOf(one(heat))
			}
			if references[i].Mask, err = r.Mask(references[i].Heatmaps); err != nil {
				return
			}
		}
	})
	return references, err
}

// heatmaps are [B,1,H,W] by aspect, for images [B,3,H,W].
func heatmaps(aspects []Aspect, images torch.Tensor, prompts []string) map[string]torch.Tensor {
	maps := map[string]torch.Tensor{}
	for _, a := range aspects {
		heat := a.Reward.Heatmap(images, prompts)
		want := []int64{images.Size(0), 1, images.Size(2), images.Size(3)}
		if torch.ShapeString(heat.Shape()) != torch.ShapeString(want) {
			panic(&torch.Error{Op: "reward " + a.Name, Message: fmt.Sprintf("heatmap %v, want %s", heat, torch.ShapeString(want))})
		}
		maps[a.Name] = heat.Clamp(0, 1)
	}
	return maps
}

// Mask is the union of the masks of every aspect's heatmap.
func (r *References) Mask(heatmaps map[string]core.Heatmap) (all core.Mask, err error) {
	for i, a := range r.aspects {
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

// keyedSampling is what key reads of the sampling, under the names that older runs hashed.
type keyedSampling struct {
	NumSteps           int
	GuidanceScale, Eta float64
	Negative           string
	Width, Height      int
}

// key names everything that a pair's latents and heatmaps depend on, as a short hash. The mask rule is not part
// of it: another threshold makes a new mask from the same heatmaps.
func (r *References) key(p core.Pair) string {
	rewards := map[string]string{}
	for _, a := range r.aspects {
		rewards[a.Name] = a.Model
	}
	s := r.sampler.sampling
	text, err := json.Marshal(struct {
		Model     string
		Sampling  keyedSampling
		Scheduler sd.SchedulerConfig
		Pair      core.Pair
		Rewards   map[string]string
	}{r.model, keyedSampling{s.NumSteps, s.GuidanceScale, s.Eta, r.sampler.negative, s.Size.Width, s.Size.Height}, r.sampler.pipeline.Scheduler, p, rewards})
	if err != nil {
		panic(err) // plain structs of numbers and strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// decode is Î₀ of references, [B,3,H,W] in [0,1].
func (r *References) decode(references []*Reference) (images torch.Tensor) {
	torch.NoGrad(func() {
		images = torch.Scope(func() torch.Tensor {
			latents := make([]torch.Tensor, len(references))
			for i, one := range references {
				latents[i] = one.Latents
			}
			pipeline := r.sampler.pipeline
			return pipeline.Decode(torch.Cat(latents, 0).ToDevice(pipeline.Device(), torch.Float32))
		})
	})
	return images
}

// keep is the reference of a pair as a step needs it, from memory if it was asked for before.
func (r *References) keep(p core.Pair) (reference, error) {
	if k, ok := r.kept[p]; ok {
		return k, nil
	}
	var k reference
	var err error
	both := torch.Scopes(func() []torch.Tensor {
		var read *Reference
		if read, err = r.Load(p); err != nil {
			err = fmt.Errorf("reference of %q, seed %d: %w", p.Prompt, p.Seed, err)
			return nil
		}
		k.coverage = read.Mask.Coverage()
		return []torch.Tensor{r.decode([]*Reference{read}).ToDevice(torch.CPU, torch.Float32), eval.MaskTensor(read.Mask)}
	})
	if err != nil {
		return k, err
	}
	k.baseImage, k.mask = both[0], both[1]
	const bytes, channels = 4, 4 // of float32; RGB and mask
	size := r.sampler.sampling.Size
	if all := (len(r.kept) + 1) * bytes * channels * size.Width * size.Height; all <= maxKept {
		torch.Own(k.baseImage)
		torch.Own(k.mask)
		r.kept[p] = k
	}
	return k, nil
}

// images puts the base images and masks of pairs together, [B,3,H,W] and [B,1,H,W], on the model's device, and
// says what share of the image each mask covers.
func (r *References) images(pairs []core.Pair) (baseImage, mask torch.Tensor, coverage []float64, err error) {
	var images, masks []torch.Tensor
	for _, p := range pairs {
		k, err := r.keep(p)
		if err != nil {
			return baseImage, mask, nil, err
		}
		images, masks, coverage = append(images, k.baseImage), append(masks, k.mask), append(coverage, k.coverage)
	}
	device := r.sampler.pipeline.Device()
	return torch.Cat(images, 0).ToDevice(device, torch.Float32), torch.Cat(masks, 0).ToDevice(device, torch.Float32), coverage, nil
}

// Base is what the base model draws, and its masks: see eval.Source.
func (r *References) Base(pairs []core.Pair) (images, masks torch.Tensor, err error) {
	if err = r.Prepare(pairs); err != nil {
		return images, masks, err
	}
	images, masks, _, err = r.images(pairs)
	return images, masks, err
}

// Tuned is what the model draws as it is now: see eval.Source.
func (r *References) Tuned(pairs []core.Pair) (images torch.Tensor, err error) {
	st, err := r.sampler.begin(pairs)
	if err != nil {
		return images, err
	}
	torch.NoGrad(func() {
		images = torch.Scope(func() torch.Tensor { return r.sampler.pipeline.Decode(r.sampler.draw(st).latents) })
	})
	return images, nil
}

// Untuned calls f with the base model: the LoRA weights that are trained are off.
func (r *References) Untuned(f func()) {
	if r.adapter != nil {
		r.adapter.SetScale(0)
		defer r.adapter.SetScale(1)
	}
	f()
}

// Place is a pair's heatmaps and mask, for showing them.
func (r *References) Place(p core.Pair) (heatmaps map[string]core.Heatmap, mask core.Mask, err error) {
	failed := torch.Run(func() {
		var one *Reference
		if one, err = r.Load(p); err == nil {
			heatmaps, mask = one.Heatmaps, one.Mask
		}
	})
	return heatmaps, mask, errors.Join(err, failed)
}
