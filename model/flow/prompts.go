package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// conditioning is what the transformer is told about one prompt: its states [N,D] and, for SD 3, its summary [P].
type conditioning struct{ states, pooled torch.Tensor }

func (c conditioning) tensors() []torch.Tensor {
	if !c.pooled.Defined() {
		return []torch.Tensor{c.states}
	}
	return []torch.Tensor{c.states, c.pooled}
}

// on is c on a device, of handles of its own.
func (c conditioning) on(device torch.Device) conditioning {
	move := func(t torch.Tensor) torch.Tensor { return t.ToDevice(device, t.DType()).Detach() }
	if c.pooled.Defined() {
		return conditioning{move(c.states), move(c.pooled)}
	}
	return conditioning{states: move(c.states)}
}

// owned is c on the CPU, outside of all scopes.
func (c conditioning) owned() conditioning {
	c = c.on(torch.CPU)
	for _, t := range c.tensors() {
		torch.Own(t)
	}
	return c
}

// prompts are those that were encoded, in memory and, if there is a folder for them, on disk.
type prompts struct {
	dir   string
	known map[string]conditioning // owned, on the CPU
}

func (s *prompts) drop() {
	for _, c := range s.known {
		torch.Drop(c.tensors()...)
	}
	s.known = nil
}

// know encodes prompts that are neither in memory nor on disk.
func (p *Pipeline) know(wanted []string, lost func(prompt, words string)) error {
	var fresh []string
	for _, prompt := range wanted {
		if _, known := p.prompts.known[prompt]; known || slices.Contains(fresh, prompt) {
			continue
		}
		c, found, err := p.prompts.read(prompt, p.textType)
		if err != nil {
			return err
		}
		if found {
			p.prompts.known[prompt] = c
			continue
		}
		fresh = append(fresh, prompt)
	}
	if len(fresh) == 0 {
		return nil
	}
	device := p.device
	if _, there := p.parts[transformer]; there && !p.keepText {
		device = torch.CPU // beside a transformer there may be no room for them
	}
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() {
			var encoded []conditioning
			if encoded, failed = p.family.encode(p, device, fresh, lost); failed != nil {
				return
			}
			for i, prompt := range fresh {
				p.prompts.known[prompt] = encoded[i].owned()
				failed = errors.Join(failed, p.prompts.write(prompt, p.textType))
			}
		})
	})
	if !p.keepText {
		p.dropText()
	}
	return errors.Join(err, failed)
}

// dropText frees the text encoders.
func (p *Pipeline) dropText() {
	p.detachTexts()
	for part := range p.parts {
		if part != transformer && part != vaePart {
			p.parts.dropOne(part)
		}
	}
	p.family.forget()
}

// path is the file of a prompt.
func (s *prompts) path(prompt string, dtype torch.DType) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", dtype, prompt))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:8])+".safetensors")
}

// Names in the file of a prompt.
const (
	statesName = "states"
	pooledName = "pooled"
	promptName = "prompt" // in the header
)

// read finds a prompt on disk.
func (s *prompts) read(prompt string, dtype torch.DType) (c conditioning, found bool, err error) {
	if s.dir == "" {
		return c, false, nil
	}
	file, err := weights.Open(s.path(prompt, dtype))
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	if file.Metadata[promptName] != prompt {
		return c, false, errors.Join(fmt.Errorf("%s: is of another prompt; remove it", file.Path), file.Close())
	}
	source := weights.NewSource(file.Path, file.Tensors)
	params := nn.FromWeights(source, dtype, torch.CPU)
	defer params.Drop()
	err = torch.Run(func() {
		for _, t := range file.Tensors {
			one := params.Param(t.Name, nn.Zeros, t.Shape...).Clone()
			switch t.Name {
			case statesName:
				c.states = torch.Own(one)
			case pooledName:
				c.pooled = torch.Own(one)
			}
		}
	})
	if err == nil && !c.states.Defined() {
		err = fmt.Errorf("%s: no %s in it; remove it", file.Path, statesName)
	}
	return c, err == nil, errors.Join(err, file.Close())
}

// write keeps a known prompt on disk.
func (s *prompts) write(prompt string, dtype torch.DType) error {
	if s.dir == "" {
		return nil
	}
	for _, dir := range []string{filepath.Dir(s.dir), s.dir} { // not those above: a run that was moved is not made anew
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	c := s.known[prompt]
	entries := []weights.Entry{nn.Entry(statesName, c.states)}
	if c.pooled.Defined() {
		entries = append(entries, nn.Entry(pooledName, c.pooled))
	}
	return weights.Write(s.path(prompt, dtype), map[string]string{promptName: prompt}, entries)
}
