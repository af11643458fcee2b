package reward

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// place is where a network's weights lie, and their element type.
type place struct {
	device torch.Device
	dtype  torch.DType
}

// buffers are what old programs saved beside the weights.
var buffers = []string{"*position_ids", "*num_batches_tracked"}

// build makes a network of an open checkpoint's tensors and closes the checkpoint. Every tensor must
// find its use, but for those that match ignored.
func build(file *weights.File, tensors []weights.Tensor, at place, ignored []string, network func(nn.Params)) (nn.Params, error) {
	params, err := nn.Build(file.Path, tensors, at.dtype, at.device, append(ignored, buffers...), network)
	if err = errors.Join(err, file.Close()); err != nil {
		params.Drop()
	}
	return params, err
}

// imageEncoder is the image's side of a CLIP.
type imageEncoder struct {
	vision  *clip.Vision
	prepare preparation
	at      place
	raw     bool // embeddings keep their length, which a head was trained on
}

// textEncoder is the prompt's side. It remembers what it encoded: a run trains on the same prompts
// again and again. One goroutine at a time may use it.
type textEncoder struct {
	text      *clip.Text
	tokenizer *clip.Tokenizer
	known     map[string]torch.Tensor // [1,P], of length one
	at        place
}

// loadImageEncoder loads the vision half of a folder in transformers' layout: a whole CLIP, or a
// CLIPVisionModelWithProjection.
func loadImageEncoder(dir string, at place) (imageEncoder, nn.Params, error) {
	e := imageEncoder{at: at}
	config, err := clip.LoadVisionConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return e, nn.Params{}, err
	}
	if e.prepare, err = readPreparation(dir, clipPreparation(config.ImageSize)); err != nil {
		return e, nn.Params{}, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return e, nn.Params{}, err
	}
	params, err := build(file, file.Tensors, at, []string{"text_model.*", "text_projection.weight", "logit_scale"}, func(p nn.Params) {
		e.vision = clip.NewVision(config, p)
	})
	return e, params, err
}

// loadTokenizer reads the tokenizer of a text encoder from dir.
func loadTokenizer(dir string, config clip.TextConfig) (*clip.Tokenizer, error) {
	tokenizer, err := clip.LoadTokenizer(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; ?tokenizer=DIR names another, such as that of any Stable Diffusion", err)
	}
	if int64(tokenizer.Length()) > config.MaxPositionEmbeddings {
		err = fmt.Errorf("%s: tokenizer of %d tokens, the text encoder takes %d", dir, tokenizer.Length(), config.MaxPositionEmbeddings)
	}
	return tokenizer, err
}

// unit scales vectors [...,P] to length one.
func unit(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return x.Div(x.Square().SumKeep(-1).Sqrt()) })
}

// embed is [B,P] for images [B,3,H,W] in [0,1], of length one unless raw.
func (e *imageEncoder) embed(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return e.scaled(e.vision.Forward(e.prepare.apply(images, e.at.device, e.at.dtype)).Embeds)
	})
}

// scaled is embeds as the rewards take them.
func (e *imageEncoder) scaled(embeds torch.Tensor) torch.Tensor {
	if e.raw {
		return embeds
	}
	return unit(embeds)
}

// heatmap is the patchMap of a fault [B], given embeds [B,P] as embed makes them; probability makes that of
// a faulty image of the fault.
func (e *imageEncoder) heatmap(images torch.Tensor, fault func(embeds torch.Tensor) torch.Tensor, probability func(fault torch.Tensor) torch.Tensor) torch.Tensor {
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			states := e.vision.Forward(e.prepare.apply(images, e.at.device, e.at.dtype)).States
			last := len(states) - 1
			head := func(last torch.Tensor) torch.Tensor { return fault(e.scaled(e.vision.Project(last.Select(1, 0)))) }
			small := patchMap(e.vision.Encoder(), states[last-1], head, probability(head(states[last])))
			return e.prepare.undo(small, images.Size(2), images.Size(3))
		})
	})
	return heat
}

// embed is [B,P] of length one, without gradients.
func (e *textEncoder) embed(prompts []string) torch.Tensor {
	var rows torch.Tensor
	torch.NoGrad(func() {
		rows = torch.Scope(func() torch.Tensor {
			list := make([]torch.Tensor, len(prompts))
			for i, prompt := range prompts {
				if _, ok := e.known[prompt]; !ok {
					e.known[prompt] = torch.Own(unit(e.text.Forward([][]int64{e.tokenizer.Encode(prompt).IDs}).Pooled))
				}
				list[i] = e.known[prompt]
			}
			return torch.Cat(list, 0)
		})
	})
	return rows
}

func (e *textEncoder) close() {
	for _, t := range e.known {
		torch.Drop(t)
	}
}

// requirePrompts panics unless there is one prompt for every image.
func requirePrompts(images torch.Tensor, prompts []string) {
	if B := images.Size(0); int64(len(prompts)) != B {
		panic(&torch.Error{Op: "reward", Message: fmt.Sprintf("%d prompts for %d images, want as many", len(prompts), B)})
	}
}

// oneLine joins the lines of an error.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
