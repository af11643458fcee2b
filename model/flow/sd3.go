package flow

import (
	"fmt"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/mmdit"
	"focusnfix/model/nn"
	"focusnfix/model/t5"
	"focusnfix/model/tokenizer"
	"focusnfix/model/torch"
)

// sd3 is Stable Diffusion 3 or 3.5. Prompts are read by two CLIPs, whose states are joined and widened with zeros,
// and behind them by a T5, or by zeros where the folder has none.
type sd3 struct {
	config      mmdit.Config
	transformer *mmdit.Transformer
	clips       map[string]*clip.Text // that are loaded, by part
	t5          *t5.Encoder           // nil if it is not
}

const (
	t5Part   = "text_encoder_3"
	t5Tokens = 256 // of a prompt, padding included
)

func (s *sd3) fromOne() bool     { return false }
func (s *sd3) latentSide() int64 { return s.config.PatchSize }

func (s *sd3) name() string {
	if s.config.QKNorm != nil {
		return "Stable Diffusion 3.5"
	}
	return "Stable Diffusion 3"
}

func (s *sd3) width() int64            { return s.config.CaptionProjectionDim }
func (s *sd3) side(factor int64) int64 { return s.config.SampleSize * factor }

func (s *sd3) build(params nn.Params) { s.transformer = mmdit.NewTransformer(s.config, params) }

func (s *sd3) forget() { s.clips, s.t5 = nil, nil }

// targets are the groups of layers for low-rank updates, by how the layers' names end.
func (s *sd3) targets() map[string][]string {
	return map[string][]string{
		"attention":   {".to_q", ".to_k", ".to_v", ".to_out.0", ".add_q_proj", ".add_k_proj", ".add_v_proj", ".to_add_out"},
		"feedforward": {".ff.net.0.proj", ".ff.net.2", ".ff_context.net.0.proj", ".ff_context.net.2"},
		"time":        {"timestep_embedder.linear_1", "timestep_embedder.linear_2", "text_embedder.linear_1", "text_embedder.linear_2"},
	}
}

func (s *sd3) configure(p *Pipeline) error {
	text, file, err := p.files.read("transformer", "config.json")
	if err == nil {
		s.config, err = mmdit.ParseConfig(file, text)
	}
	return err
}

func (s *sd3) stages(timestep float64, _, _ int64, c []conditioning) []torch.Stage {
	var states, pooled []torch.Tensor
	for _, one := range c {
		states, pooled = append(states, one.states), append(pooled, one.pooled)
	}
	return s.transformer.Stages(timestep, torch.Stack(states, 0), torch.Stack(pooled, 0))
}

// encode is states [77+256,4096] and the CLIPs' summaries, joined, for every prompt.
func (s *sd3) encode(p *Pipeline, device torch.Device, prompts []string, lost func(prompt, words string)) ([]conditioning, error) {
	width := s.config.JointAttentionDim
	var halves, summaries [][]torch.Tensor // by prompt, then by encoder
	for range prompts {
		halves, summaries = append(halves, nil), append(summaries, nil)
	}
	for i, suffix := range []string{"", "_2"} {
		err := s.readWithCLIP(p, device, suffix, prompts, func(n int, tokens clip.Tokens, out clip.TextOutput) {
			if tokens.Lost != "" && lost != nil && i == 0 {
				lost(prompts[n], tokens.Lost)
			}
			halves[n] = append(halves[n], out.States[len(out.States)-2].Select(0, 0))
			summaries[n] = append(summaries[n], out.Pooled.Select(0, 0))
		})
		if err != nil {
			return nil, err
		}
	}
	long, err := s.readWithT5(p, device, prompts)
	if err != nil {
		return nil, err
	}
	all := make([]conditioning, len(prompts))
	for n := range prompts {
		joined := torch.Cat(halves[n], 1) // [77,768+1280]
		if joined.Size(1) > width || halves[n][0].Size(0) != halves[n][1].Size(0) {
			return nil, fmt.Errorf("%s: text encoders of width %d, the transformer's joint_attention_dim is %d", p.files.path, joined.Size(1), width)
		}
		joined = joined.Pad(0, 0, width-joined.Size(1))
		all[n] = conditioning{torch.Cat([]torch.Tensor{joined, long[n]}, 0), torch.Cat(summaries[n], 0)}
	}
	return all, nil
}

// texts are the CLIPs: nobody trains a T5.
func (s *sd3) texts() []string { return []string{"text_encoder", "text_encoder_2"} }

func (s *sd3) loadText(p *Pipeline, device torch.Device, part string) error {
	if s.clips[part] != nil {
		return nil
	}
	config, err := clip.LoadTextConfig(filepath.Join(p.files.path, part, "config.json"))
	if err != nil {
		return err
	}
	var encoder *clip.Text
	if err := p.build(part, device, nil, func(params nn.Params) { encoder = clip.NewText(config, params) }); err != nil {
		return err
	}
	if s.clips == nil {
		s.clips = map[string]*clip.Text{}
	}
	s.clips[part] = encoder
	return nil
}

// readWithCLIP hands what a CLIP makes of every prompt to found.
func (s *sd3) readWithCLIP(p *Pipeline, device torch.Device, suffix string, prompts []string, found func(n int, tokens clip.Tokens, out clip.TextOutput)) error {
	part := "text_encoder" + suffix
	words, err := clip.LoadTokenizer(filepath.Join(p.files.path, "tokenizer"+suffix))
	if err == nil {
		err = s.loadText(p, device, part)
	}
	if err != nil {
		return err
	}
	for n, prompt := range prompts {
		tokens := words.Encode(prompt)
		found(n, tokens, s.clips[part].Forward([][]int64{tokens.IDs}))
	}
	return nil
}

// readWithT5 is [256,4096] for every prompt, zeros without a T5.
func (s *sd3) readWithT5(p *Pipeline, device torch.Device, prompts []string) ([]torch.Tensor, error) {
	const part = t5Part
	states := make([]torch.Tensor, len(prompts))
	if !p.files.has(part) {
		for n := range states {
			states[n] = torch.Zeros(p.textType, device, t5Tokens, s.config.JointAttentionDim)
		}
		return states, nil
	}
	text, file, err := p.files.read(part, "config.json")
	if err != nil {
		return nil, err
	}
	config, err := t5.ParseConfig(file, text)
	if err != nil {
		return nil, err
	}
	if config.DModel != s.config.JointAttentionDim {
		return nil, fmt.Errorf("%s: d_model %d, the transformer's joint_attention_dim is %d", file, config.DModel, s.config.JointAttentionDim)
	}
	words, err := tokenizer.Load(filepath.Join(p.files.path, "tokenizer_3", "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	ignored := []string{"encoder.embed_tokens.weight"} // the same as shared.weight, where a file has both
	if s.t5 == nil {
		var encoder *t5.Encoder
		if err := p.build(part, device, ignored, func(params nn.Params) { encoder = t5.NewEncoder(config, params) }); err != nil {
			return nil, err
		}
		s.t5 = encoder
	}
	for n, prompt := range prompts {
		ids, _ := words.Encode(prompt, t5Tokens)
		for len(ids) < t5Tokens {
			ids = append(ids, 0) // padding, which the model was trained to see
		}
		states[n] = s.t5.Forward([][]int64{ids}).Select(0, 0)
	}
	return states, nil
}
