package flow

import (
	"slices"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// textLoRA is a LoRA file that updates a text encoder.
type textLoRA struct {
	part, path string
	strength   float64
	adapters   []*nn.Adapter // while the encoder is loaded
}

// AttachLoRA adds the updates of a LoRA file to the transformer, and to the text encoders that the file updates. Those
// stay for as long as the model is open, and prompts are encoded anew; their adapters are not among what is returned.
func (p *Pipeline) AttachLoRA(path string, strength float64) ([]*nn.Adapter, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all, err := backbone.LoRAParts(path)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, part := range p.family.texts() {
		if slices.Contains(all, part) {
			texts = append(texts, part)
		}
	}
	if err := p.addToTexts(path, strength, texts); err != nil {
		return nil, err
	}
	if len(texts) == len(all) && len(texts) > 0 {
		return nil, nil // nothing for the transformer
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	return backbone.AttachLoRA(map[string]nn.Params{transformer: p.parts[transformer]}, path, strength, texts...)
}

// addToTexts gives text encoders the updates of a file, loading each once to see whether they fit, and forgets prompts that
// were encoded without them.
func (p *Pipeline) addToTexts(path string, strength float64, texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	p.dropText()
	before := p.textLoRAs
	for _, part := range texts {
		p.textLoRAs = append(p.textLoRAs, textLoRA{part: part, path: path, strength: strength})
	}
	for _, part := range texts {
		if err := p.family.loadText(p, torch.CPU, part); err != nil {
			p.dropText()
			p.textLoRAs = before
			return err
		}
	}
	p.dropText()
	p.prompts.drop()
	p.prompts = prompts{known: map[string]conditioning{}} // what is kept on disk belongs to the encoders as they come
	return nil
}

// attachTo gives a part that was just built its updates.
func (p *Pipeline) attachTo(part string) (err error) {
	for i, l := range p.textLoRAs {
		if l.part != part {
			continue
		}
		others := slices.DeleteFunc(append([]string{transformer}, p.family.texts()...), func(other string) bool { return other == part })
		if p.textLoRAs[i].adapters, err = backbone.AttachLoRA(map[string]nn.Params{part: p.parts[part]}, l.path, l.strength, others...); err != nil {
			return err
		}
	}
	return nil
}

// detachTexts frees the updates of text encoders, which are about to go.
func (p *Pipeline) detachTexts() {
	for i := range p.textLoRAs {
		for _, a := range p.textLoRAs[i].adapters {
			a.Remove()
		}
		p.textLoRAs[i].adapters = nil
	}
}
