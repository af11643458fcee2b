package scenes

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"sync"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Judge scores one aspect of images and says where its fault is. Weights are float32, or the type
// that LoadJudge was given; the same images and prompts always have the same score.
type Judge struct {
	Aspect  Aspect
	HeldOut bool // the judge for evaluation, which no training may see

	faults *FaultNet // of every aspect but misalignment
	words  *WordNet
	params nn.Params

	parsed sync.Map // prompts by their text
}

// LoadJudge reads one of the judges in a model folder, as Folder or `focusnfix pretrain` gives it.
func LoadJudge(folder string, aspect Aspect, heldOut bool, dtype torch.DType, device torch.Device) (*Judge, error) {
	if aspect < 0 || aspect >= NumAspects {
		return nil, fmt.Errorf("load judge: aspect %d, want 0 to %d", aspect, NumAspects-1)
	}
	name, kind := "judge", 0
	if aspect == Misalignment {
		name = "alignment"
	}
	if heldOut {
		name, kind = name+"-heldout", 1
	}
	path := filepath.Join(folder, "judges", name+".safetensors")
	j := &Judge{Aspect: aspect, HeldOut: heldOut}
	w, err := readWidths(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: is it a folder that `focusnfix pretrain` wrote?", err)
	case err != nil:
	case aspect == Misalignment:
		j.words, j.params, err = nn.LoadFile(path, dtype, device, func(p nn.Params) *WordNet { return NewWordNet(kind, w, p) })
	default:
		j.faults, j.params, err = nn.LoadFile(path, dtype, device, func(p nn.Params) *FaultNet { return NewFaultNet(kind, w, p) })
	}
	if err != nil {
		return nil, fmt.Errorf("load judge: %w", err)
	}
	return j, nil
}

// Metadata says in a judge's file how wide its network is.
func (w JudgeWidths) Metadata() map[string]string {
	return map[string]string{"widths": fmt.Sprintf("%d %d %d %d", w[0], w[1], w[2], w[3])}
}

// readWidths reads that back. Widths that no network can have are an error.
func readWidths(path string) (w JudgeWidths, err error) {
	file, err := weights.Open(path)
	if err != nil {
		return w, err
	}
	defer file.Close() //nolint:errcheck // read only
	n, err := fmt.Sscanf(file.Metadata["widths"], "%d %d %d %d", &w[0], &w[1], &w[2], &w[3])
	if err != nil || n != 4 {
		return w, fmt.Errorf("%s: widths %q in its metadata, want four numbers", path, file.Metadata["widths"])
	}
	for _, width := range w {
		if width < normGroups || width > 1024 || width%normGroups != 0 {
			return w, fmt.Errorf("%s: width %d, want a multiple of %d up to 1024", path, width, normGroups)
		}
	}
	return w, nil
}

// Close frees the judge's weights.
func (j *Judge) Close() { j.params.Drop() }

// Score is the logarithm of the probability that images [B,3,H,W] in [0,1] lack the fault, [B],
// float32: at most 0, higher is better, and differentiable in the images. Sides are multiples of 16.
// Only Misalignment reads the prompts, one an image.
func (j *Judge) Score(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		score, _ := j.logits(images, prompts)
		return score.Softplus().Neg()
	})
}

// FaultProbability is that of the fault in an image with this score.
func (j *Judge) FaultProbability(score float64) float64 { return -math.Expm1(score) }

// Heatmap is the probability that the fault is at a pixel, [B,1,H,W] in [0,1], float32; where a
// image has none it may still be gray, so look at Score first.
func (j *Judge) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		_, heat := j.logits(images, prompts)
		return heat.Sigmoid().ResizeBilinear(images.Size(2), images.Size(3), torch.Resize{})
	})
}

// logits are those of the fault in whole images [B] and in cells of four pixels [B,1,H/4,W/4].
func (j *Judge) logits(images torch.Tensor, prompts []string) (score, heat torch.Tensor) {
	out := torch.Scopes(func() []torch.Tensor {
		x := images.MulScalar(2).AddScalar(-1).To(j.dtype())
		if j.words != nil {
			r := j.words.Forward(x, Tell(j.parse(prompts)))
			return []torch.Tensor{r.Misaligned, r.Heat}
		}
		score, heat := j.faults.Forward(x)
		return []torch.Tensor{score.Select(1, int64(j.Aspect)), heat.Narrow(1, int64(j.Aspect), 1)}
	})
	return out[0], out[1]
}

func (j *Judge) dtype() torch.DType {
	if j.words != nil {
		return j.words.heat.Weight.DType()
	}
	return j.faults.heat.Weight.DType()
}

// parse reads prompts, each text once.
func (j *Judge) parse(texts []string) []Prompt {
	prompts := make([]Prompt, len(texts))
	for i, text := range texts {
		known, ok := j.parsed.Load(text)
		if !ok {
			known = looseParse(text)
			j.parsed.Store(text, known)
		}
		prompts[i] = known.(Prompt)
	}
	return prompts
}

// Read is what a Misalignment judge sees in images [B,3,H,W] in [0,1], beside their prompts.
func (j *Judge) Read(images torch.Tensor, prompts []Prompt) Reading {
	return j.words.Forward(images.MulScalar(2).AddScalar(-1).To(j.dtype()), Tell(prompts))
}
