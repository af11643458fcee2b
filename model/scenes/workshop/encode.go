package workshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// encodedScenes are the training scenes behind the autoencoder, on the device.
type encodedScenes struct {
	n         int
	moments   torch.Tensor // [n,2C,h,w] float16: means, then standard deviations
	ids       [][]int64    // of the captions
	empty     []int64      // of the empty caption
	timesteps int
}

func (d *encodedScenes) drop() { torch.Drop(d.moments) }

// latents draws from what the encoder gave for some rows, [B,C,h,w] float32.
func (d *encodedScenes) latents(rows []int64, chance *torch.Generator) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		device := d.moments.Device()
		halves := d.moments.IndexSelect(0, torch.From(rows).ToDevice(device, torch.Int64)).To(torch.Float32).Chunk(2, 1)
		return halves[0].Add(halves[1].Mul(chance.Randn(torch.Float32, halves[0].Shape()...)))
	})
}

// fewOnCPU is the part of prepared scenes that a run without a GPU makes do with.
func (p *pretraining) fewOnCPU(n int) int {
	if p.device == torch.CPU && !p.recipe.onCPUToo {
		return max(1, n/5)
	}
	return n
}

// encodeTraining encodes the training scenes, or reads what an earlier sitting encoded.
func (p *pretraining) encodeTraining(ctx context.Context, vae *sd.VAE, tokenizer *clip.Tokenizer) (*encodedScenes, error) {
	generator, err := p.generator(SeedPretrain, Spurious)
	if err != nil {
		return nil, err
	}
	n := p.fewOnCPU(p.recipe.encoded)
	d := &encodedScenes{n: n, empty: tokenizer.Encode("").IDs, timesteps: p.recipe.scheduler.NumTrainTimesteps}
	for i := range n {
		plan := generator.Plan(i)
		d.ids = append(d.ids, tokenizer.Encode(plan.Caption).IDs)
	}
	defer p.allThreads()()
	d.moments, err = p.inParts("latents", n, 64*encodedTogether, p.device, func(from, to int) (torch.Tensor, error) {
		var parts []torch.Tensor
		err := torch.Run(func() {
			torch.NoGrad(func() {
				for ; from < to && ctx.Err() == nil; from += encodedTogether {
					batch := generator.batch(min(encodedTogether, to-from), func(i int) int { return from + i }, nil)
					parts = append(parts, torch.Own(torch.Scope(func() torch.Tensor {
						posterior := vae.Encode(batch.picture(p.device, p.dtype))
						return torch.Cat([]torch.Tensor{posterior.Mean, posterior.Std}, 1).To(torch.Float16)
					})))
					p.tellPreparing("unet", "encode scenes", from+batch.n, n)
				}
			})
		})
		defer torch.Drop(parts...)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return torch.Tensor{}, err
		}
		return joined(parts)
	})
	return d, err
}

// encodedTogether is how many scenes are encoded at once.
const encodedTogether = 64

// inParts makes a tensor of n rows part by part, or reads the parts that an earlier sitting made: a stop
// loses one part at most.
func (p *pretraining) inParts(name string, n, rows int, device torch.Device, fill func(from, to int) (torch.Tensor, error)) (torch.Tensor, error) {
	var parts []torch.Tensor
	defer func() { torch.Drop(parts...) }()
	for from := 0; from < n; from += rows {
		to := min(from+rows, n)
		path := p.statePath(fmt.Sprintf("%s-%03d", name, from/rows))
		part, err := readTensor(path, to-from, device)
		if errors.Is(err, fs.ErrNotExist) {
			if part, err = fill(from, to); err == nil {
				err = writeTensor(path, part, to-from)
			}
		}
		if err != nil {
			return torch.Tensor{}, err
		}
		parts = append(parts, part)
	}
	return joined(parts)
}

// joined is the parts in one tensor, owned.
func joined(parts []torch.Tensor) (whole torch.Tensor, err error) {
	err = torch.Run(func() { whole = torch.Own(torch.Cat(parts, 0)) })
	return whole, err
}

// tellPreparing shows work before a network learns.
func (p *pretraining) tellPreparing(stage, what string, done, of int) {
	if p.report != nil {
		p.report(stage+", "+what, done, of, "")
	}
}

// writeTensor keeps one tensor in a file of its own, made of n scenes.
func writeTensor(path string, t torch.Tensor, n int) error {
	return weights.Write(path, map[string]string{"scenes": strconv.Itoa(n)}, []weights.Entry{nn.Entry("data", t)})
}

// readTensor reads it back in its own type, owned. One of another number of scenes is an error.
func readTensor(path string, n int, device torch.Device) (torch.Tensor, error) {
	file, err := weights.Open(path)
	if err != nil {
		return torch.Tensor{}, err
	}
	defer file.Close() //nolint:errcheck // read only
	if got := file.Metadata["scenes"]; got != strconv.Itoa(n) || len(file.Tensors) != 1 {
		return torch.Tensor{}, fmt.Errorf("%s: made of %s scenes, want %d: remove it to have it made again", path, got, n)
	}
	data := file.Tensors[0]
	var t torch.Tensor
	err = torch.Run(func() {
		dtype := map[weights.DType]torch.DType{weights.F16: torch.Float16, weights.U8: torch.Uint8}[data.DType]
		t = torch.Own(torch.FromBytes(data.Bytes, dtype, data.Shape...).ToDevice(device, dtype))
	})
	return t, err
}
