package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Reference is what the tuned model's image of a pair is compared with. It depends on the model, the sampler,
// the pair and the rewards only, so it is made once, kept on disk, and can be looked at and edited before
// training.
type Reference struct {
	core.Pair
	Latents  torch.Tensor            // x_0 of the base model, [1,C,h,w]: Î₀ is decoded from it exactly
	Heatmaps map[string]core.Heatmap // by aspect
	Mask     core.Mask               // M
	Edited   bool                    // a person changed the mask
}

// References draws base images, finds their faults, and keeps both. As an eval.Source it also draws what the
// model makes of a pair now.
type References struct {
	sampler *sampler // of images without gradients
	aspects []Aspect
	model   string // fingerprint of the base model's weights
	dir     string
	adapter *nn.Adapter  // off while the base model draws; nil is none
	workers *workers     // that draw
	tuned   func(func()) // puts the weights there that are judged; nil leaves them

	mutex sync.Mutex // workers ask at the same time
	kept  map[core.Pair]reference
}

// reference is what a step needs of a Reference, owned, on the CPU.
type reference struct {
	baseImage, mask torch.Tensor // [1,3,H,W] and [1,1,H,W]
	coverage        float64
}

// maxKept bounds the memory that base images may take, in bytes; more are decoded anew at each step.
const maxKept = 1 << 30

// NewReferences keeps references in a folder, which need not exist. model is a fingerprint of the base model's
// weights; workers is as in Options.
func NewReferences(p backbone.Model, s core.Sampling, aspects []Aspect, model, dir string, workers int) (*References, error) {
	drawer, err := newSampler(p, s, "", 0)
	if err != nil {
		return nil, err
	}
	return &References{
		sampler: drawer, aspects: aspects, model: model, dir: dir, kept: map[core.Pair]reference{},
		workers: newWorkers(p.Device(), workers, math.MaxInt),
	}, nil
}

// Close frees what is kept in memory, and lets the workers go.
func (r *References) Close() {
	r.Forget()
	r.workers.close()
}

// Forget frees what is kept in memory: masks are made, or read, anew.
func (r *References) Forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for p, k := range r.kept {
		torch.Drop(k.baseImage, k.mask)
		delete(r.kept, p)
	}
}

// AtOnce is the number of images that are drawn at the same time.
func (r *References) AtOnce() int { return r.workers.count }

// Has reports whether the reference of a pair is drawn already.
func (r *References) Has(p core.Pair) bool {
	if _, ok := r.remembered(p); ok {
		return true
	}
	_, err := os.Stat(filepath.Join(r.Path(p), metaFile))
	return err == nil
}

func (r *References) remembered(p core.Pair) (reference, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	k, ok := r.kept[p]
	return k, ok
}

// Path is the folder of a pair's reference.
func (r *References) Path(p core.Pair) string { return filepath.Join(r.dir, r.key(p)) }

// Load returns the reference of a pair, from disk; it is drawn first if there is none. Tensors go to the open scope.
func (r *References) Load(p core.Pair) (*Reference, error) {
	if err := r.Prepare([]core.Pair{p}); err != nil {
		return nil, err
	}
	one, err := r.read(p)
	if err == nil && one == nil {
		err = fmt.Errorf("%s: the reference of %q was removed", r.Path(p), p.Prompt)
	}
	return one, err
}

// Prepare draws the references of those pairs that have none yet, and saves them. Workers share the images.
func (r *References) Prepare(pairs []core.Pair) (err error) {
	var missing []core.Pair
	for _, p := range pairs {
		if !r.Has(p) && !slices.Contains(missing, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	chunks := r.chunks(missing)
	r.Untuned(func() {
		err = r.workers.each(len(chunks), func(i int) error { return r.draw(chunks[i]) })
	})
	return err
}

// chunks divides pairs into those that one worker draws at once: one on a CPU, all on a GPU.
func (r *References) chunks(pairs []core.Pair) [][]core.Pair {
	size := len(pairs)
	if r.sampler.pipeline.Device() == torch.CPU {
		size = 1
	}
	return slices.Collect(slices.Chunk(pairs, size))
}

// draw draws pairs with the base model, finds their faults, and saves both.
func (r *References) draw(pairs []core.Pair) error {
	st, err := r.sampler.begin(pairs)
	if err != nil {
		return err
	}
	torch.NoGrad(func() {
		latents := r.sampler.draw(st)
		images := r.decode(latents)
		heat := heatmaps(r.aspects, images, st.prompts)
		for i, p := range pairs {
			one := func(t torch.Tensor) torch.Tensor {
				return t.Narrow(0, int64(i), 1).ToDevice(torch.CPU, torch.Float32).Clone()
			}
			made := &Reference{Pair: p, Latents: one(latents), Heatmaps: map[string]core.Heatmap{}}
			for name, of := range heat {
				made.Heatmaps[name] = eval.HeatmapOf(one(of))
			}
			if made.Mask, err = r.Mask(made.Heatmaps); err == nil {
				err = r.save(made, one(images))
			}
			if err != nil {
				return
			}
		}
	})
	return err
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

// Mask is the union of the masks of the heatmaps of all aspects that are to be repaired.
func (r *References) Mask(heatmaps map[string]core.Heatmap) (all core.Mask, err error) {
	for _, a := range r.aspects {
		mask := a.Mask.Mask(heatmaps[a.Name])
		if !a.masks() {
			mask = core.Mask{Width: mask.Width, Height: mask.Height, Faulty: make([]bool, len(mask.Faulty))}
		}
		if all.Faulty == nil {
			all = mask
		} else if all, err = all.Union(mask); err != nil {
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
	GuidanceRescale    float64 `json:",omitempty"`
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
		Scheduler any
		Pair      core.Pair
		Rewards   map[string]string
	}{r.model, keyedSampling{s.NumSteps, s.GuidanceScale, s.Eta, r.sampler.negative, s.Size.Width, s.Size.Height, s.GuidanceRescale}, r.sampler.pipeline.About().Scheduler, p, rewards})
	if err != nil {
		panic(err) // plain structs of numbers and strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// decode is Î₀ of the base model's latents, [B,3,H,W] in [0,1].
func (r *References) decode(latents torch.Tensor) (image torch.Tensor) {
	torch.NoGrad(func() {
		image = torch.Scope(func() torch.Tensor {
			return r.sampler.pipeline.Decode(latents.ToDevice(r.sampler.pipeline.Device(), torch.Float32))
		})
	})
	return image
}

// faulty reports whether something in a pair's base image is to be repaired.
func (r *References) faulty(p core.Pair) (yes bool, err error) {
	if k, ok := r.remembered(p); ok {
		return k.coverage > 0, nil
	}
	err = run(func() error {
		one, err := r.Load(p)
		if err == nil {
			yes = one.Mask.Coverage() > 0
		}
		return err
	})
	return yes, err
}

// keep is the reference of a pair as a step needs it, from memory if it was asked for before. The pair must be
// prepared.
func (r *References) keep(p core.Pair) (reference, error) {
	if k, ok := r.remembered(p); ok {
		return k, nil
	}
	var k reference
	var err error
	both := torch.Scopes(func() []torch.Tensor {
		var one *Reference
		if one, err = r.Load(p); err != nil {
			err = fmt.Errorf("reference of %q, seed %d: %w", p.Prompt, p.Seed, err)
			return nil
		}
		k.coverage = one.Mask.Coverage()
		return []torch.Tensor{r.decode(one.Latents).ToDevice(torch.CPU, torch.Float32), eval.MaskTensor(one.Mask)}
	})
	if err != nil {
		return k, err
	}
	k.baseImage, k.mask = both[0], both[1]
	const bytes, channels = 4, 4 // of float32; RGB and mask
	size := r.sampler.sampling.Size
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, known := r.kept[p]; known {
		return k, nil
	}
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

// Tuned is what the model draws as it is now: see eval.Source. Workers share the images.
func (r *References) Tuned(pairs []core.Pair) (images torch.Tensor, err error) {
	chunks := r.chunks(pairs)
	drawn := make([]torch.Tensor, len(chunks)) // owned
	defer func() { torch.Drop(drawn...) }()
	draw := func(i int) error {
		st, err := r.sampler.begin(chunks[i])
		if err != nil {
			return err
		}
		torch.NoGrad(func() { drawn[i] = torch.Own(r.sampler.pipeline.Decode(r.sampler.draw(st))) })
		return nil
	}
	put := r.tuned
	if put == nil {
		put = func(f func()) { f() }
	}
	put(func() { err = merged(r.adapter, func() error { return r.workers.each(len(chunks), draw) }) })
	if err != nil {
		return images, err
	}
	return torch.Cat(drawn, 0), nil
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
