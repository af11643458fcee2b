package flow

import (
	"fmt"
	"path/filepath"

	"focusnfix/model/nn"
	"focusnfix/model/qwen"
	"focusnfix/model/tokenizer"
	"focusnfix/model/torch"
	"focusnfix/model/zimage"
)

// zImage is Z-Image or Z-Image-Turbo. Prompts are read by a Qwen3, as a question that it is about to answer.
type zImage struct {
	config      zimage.Config
	transformer *zimage.Transformer
	text        *qwen.Decoder // nil if it is not loaded
}

const qwenTokens = 512 // of a prompt at most

func (z *zImage) fromOne() bool     { return true }
func (z *zImage) latentSide() int64 { return 2 }

func (z *zImage) name() string { return "Z-Image" }

func (z *zImage) width() int64     { return z.config.Dim }
func (z *zImage) side(int64) int64 { return 1024 } // pixels; no configuration says it

func (z *zImage) build(params nn.Params) { z.transformer = zimage.NewTransformer(z.config, params) }

func (z *zImage) forget() { z.text = nil }

// targets are the groups of layers for low-rank updates, by how the layers' names end.
func (z *zImage) targets() map[string][]string {
	return map[string][]string{
		"attention":   {".attention.to_q", ".attention.to_k", ".attention.to_v", ".attention.to_out.0"},
		"feedforward": {".feed_forward.w1", ".feed_forward.w2", ".feed_forward.w3"},
	}
}

func (z *zImage) configure(p *Pipeline) error {
	text, file, err := p.files.read("transformer", "config.json")
	if err == nil {
		z.config, err = zimage.ParseConfig(file, text)
	}
	return err
}

// stages turn the sign at the end: the network tells the way from noise to image, at a time that runs from noise, 0.
func (z *zImage) stages(timestep float64, height, width int64, c []conditioning) []torch.Stage {
	var captions []torch.Tensor
	for _, one := range c {
		captions = append(captions, one.states)
	}
	at := (1000 - float32(timestep)) / 1000 // rounded as in diffusers
	return append(z.transformer.Stages(float64(at), height, width, captions), func(xs []torch.Tensor) []torch.Tensor {
		return []torch.Tensor{xs[0].Neg()}
	})
}

// texts are none: nobody trains Qwen3 here.
func (z *zImage) texts() []string { return nil }

func (z *zImage) loadText(*Pipeline, torch.Device, string) error { return nil }

// encode is the state [N,D] before Qwen3's last layer, for every prompt.
func (z *zImage) encode(p *Pipeline, device torch.Device, prompts []string, lost func(prompt, words string)) ([]conditioning, error) {
	const part = "text_encoder"
	text, file, err := p.files.read(part, "config.json")
	if err != nil {
		return nil, err
	}
	config, err := qwen.ParseConfig(file, text)
	if err != nil {
		return nil, err
	}
	words, err := tokenizer.Load(filepath.Join(p.files.path, "tokenizer", "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	depth := config.NumHiddenLayers - 1
	if depth < 1 {
		return nil, fmt.Errorf("%s: num_hidden_layers %d, want 2 or more", file, config.NumHiddenLayers)
	}
	last := fmt.Sprintf("layers.%d.*", depth) // is not built: nobody reads it
	ignored := []string{last, "model." + last, "norm.weight", "model.norm.weight", "lm_head.weight"}
	if z.text == nil {
		var decoder *qwen.Decoder
		if err := p.build(part, device, ignored, func(params nn.Params) { decoder = qwen.NewDecoder(config, depth, params) }); err != nil {
			return nil, err
		}
		z.text = decoder
	}
	all := make([]conditioning, len(prompts))
	for n, prompt := range prompts {
		ids, cut := words.Encode("<|im_start|>user\n"+prompt+"<|im_end|>\n<|im_start|>assistant\n", qwenTokens)
		if cut > 0 && lost != nil {
			lost(prompt, fmt.Sprintf("its last %d tokens", cut))
		}
		all[n] = conditioning{states: z.text.Forward(ids, depth)[0].Select(0, 0)}
	}
	return all, nil
}
