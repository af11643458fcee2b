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
}

const qwenTokens = 512 // of a prompt at most

func (z *zImage) fromOne() bool     { return true }
func (z *zImage) latentSide() int64 { return 2 }

// load builds the transformer, once.
func (z *zImage) load(p *Pipeline) error {
	if z.transformer != nil {
		return nil
	}
	return p.build("transformer", p.dtype, nil, func(params nn.Params) { z.transformer = zimage.NewTransformer(z.config, params) })
}

func (z *zImage) configure(p *Pipeline) error {
	text, file, err := p.folder.read("transformer", "config.json")
	if err == nil {
		z.config, err = zimage.ParseConfig(file, text)
	}
	return err
}

// velocity turns the sign: the network tells the way from noise to image, at a time that runs from noise, 0.
func (z *zImage) velocity(latents torch.Tensor, level float64, c []conditioning) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var captions []torch.Tensor
		for _, one := range c {
			captions = append(captions, one.states)
		}
		at := (1000 - float32(level)*1000) / 1000 // rounded as in diffusers
		return z.transformer.Forward(latents, float64(at), captions).Neg()
	})
}

// encode is the state [N,D] before Qwen3's last layer, for every prompt.
func (z *zImage) encode(p *Pipeline, prompts []string, lost func(prompt, words string)) ([]conditioning, error) {
	const part = "text_encoder"
	text, file, err := p.folder.read(part, "config.json")
	if err != nil {
		return nil, err
	}
	config, err := qwen.ParseConfig(file, text)
	if err != nil {
		return nil, err
	}
	words, err := tokenizer.Load(filepath.Join(p.folder.path, "tokenizer", "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	depth := config.NumHiddenLayers - 1
	if depth < 1 {
		return nil, fmt.Errorf("%s: num_hidden_layers %d, want 2 or more", file, config.NumHiddenLayers)
	}
	last := fmt.Sprintf("layers.%d.*", depth) // is not built: nobody reads it
	ignored := []string{last, "model." + last, "norm.weight", "model.norm.weight", "lm_head.weight"}
	var decoder *qwen.Decoder
	if err := p.build(part, p.dtype, ignored, func(params nn.Params) { decoder = qwen.NewDecoder(config, depth, params) }); err != nil {
		return nil, err
	}
	defer p.parts.dropOne(part)
	all := make([]conditioning, len(prompts))
	for n, prompt := range prompts {
		ids, cut := words.Encode("<|im_start|>user\n"+prompt+"<|im_end|>\n<|im_start|>assistant\n", qwenTokens)
		if cut > 0 && lost != nil {
			lost(prompt, fmt.Sprintf("its last %d tokens", cut))
		}
		all[n] = conditioning{states: torch.Own(decoder.Forward(ids, depth)[0].Select(0, 0))}
	}
	return all, nil
}
