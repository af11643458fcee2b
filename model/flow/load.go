package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// families are the pipelines of diffusers that this package draws with.
var families = map[string]func() family{
	"StableDiffusion3Pipeline": func() family { return new(sd3) },
	"ZImagePipeline":           func() family { return new(zImage) },
}

// Draws reports whether path is a folder of a model that this package draws with.
func Draws(path string) bool {
	class, err := className(path)
	return err == nil && families[class] != nil
}

// className is that of a diffusers folder's pipeline.
func className(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(path, "model_index.json"))
	if err != nil {
		return "", err
	}
	var index struct {
		ClassName string `json:"_class_name"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return "", fmt.Errorf("%s: not a JSON object", filepath.Join(path, "model_index.json"))
	}
	return index.ClassName, nil
}

// Load opens a diffusers folder. The VAE is loaded at once; text encoders and transformer follow when they are
// needed. The device is the first GPU, or the CPU, where o names none; the data type there bfloat16 or float32.
func Load(path string, o sd.LoadOptions) (*Pipeline, error) {
	class, err := className(path)
	if err != nil {
		return nil, err
	}
	family := families[class]
	if family == nil {
		return nil, fmt.Errorf("%s: a %s, want a StableDiffusion3Pipeline or a ZImagePipeline", path, class)
	}
	if o.VAE != "" || o.Config != "" || o.Scheduler != "" || o.Prediction != "" {
		return nil, fmt.Errorf("%s: a %s takes no other VAE, configuration, scheduler or prediction", path, class)
	}
	if err := torch.Load(); err != nil {
		return nil, err
	}
	p := &Pipeline{
		Name: filepath.Base(filepath.Clean(path)), folder: folder{path, o.Variant}, family: family(), device: o.Device, dtype: o.DType,
		parts: parts{}, known: map[string]conditioning{},
	}
	if p.device == "" {
		p.device = torch.DefaultDevice()
	}
	if p.dtype == 0 {
		p.dtype = torch.BFloat16
		if p.device == torch.CPU {
			p.dtype = torch.Float32
		}
	}
	if p.vaeType = p.dtype; p.dtype == torch.Float16 {
		p.vaeType = torch.Float32 // 16 channels overflow float16
	}
	if err := errors.Join(p.loadSchedule(), p.family.configure(p), p.loadVAE()); err != nil {
		p.Close()
		return nil, fmt.Errorf("load model: %w", err)
	}
	return p, nil
}

func (p *Pipeline) loadSchedule() error {
	text, file, err := p.folder.read("scheduler", "scheduler_config.json")
	if err == nil {
		p.Schedule, err = ParseSchedule(file, text)
	}
	return err
}

// loadVAE builds the autoencoder of model/sd; its shift is added here.
func (p *Pipeline) loadVAE() error {
	text, file, err := p.folder.read("vae", "config.json")
	if err != nil {
		return err
	}
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &keys); err != nil {
		return fmt.Errorf("%s: not a JSON object", file)
	}
	if shift, ok := keys["shift_factor"]; ok && string(shift) != "null" {
		if err := json.Unmarshal(shift, &p.shift); err != nil {
			return fmt.Errorf("%s: shift_factor: %.40s, want a number", file, shift)
		}
	}
	delete(keys, "shift_factor")
	if text, err = json.Marshal(keys); err != nil {
		return err
	}
	config, err := sd.ParseVAEConfig(file, text)
	if err != nil {
		return err
	}
	return p.build("vae", p.vaeType, nil, func(params nn.Params) { p.vae = sd.NewVAE(config, params) })
}

// folder is a diffusers folder.
type folder struct{ path, variant string }

// read is a file of a part, and what errors call it.
func (f folder) read(part, name string) (text []byte, file string, err error) {
	file = filepath.Join(f.path, part, name)
	text, err = os.ReadFile(file)
	return text, file, err
}

// has reports whether the folder has a part.
func (f folder) has(part string) bool {
	info, err := os.Stat(filepath.Join(f.path, part))
	return err == nil && info.IsDir()
}

// parts are the weights that are loaded, by part.
type parts map[string]nn.Params

func (p parts) drop() {
	for part := range p {
		p.dropOne(part)
	}
}

func (p parts) dropOne(part string) {
	if params, ok := p[part]; ok {
		params.Drop()
		delete(p, part)
	}
}

// build makes one part, in the given data type, and reports everything in its weights that does not fit, but for what
// matches ignored.
func (p *Pipeline) build(part string, dtype torch.DType, ignored []string, network func(nn.Params)) error {
	dir := filepath.Join(p.folder.path, part)
	file, err := weights.OpenDir(dir, p.folder.variant)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no such folder, or no weights in it", dir)
	}
	if err != nil {
		return err
	}
	source := weights.NewSource(dir, file.Tensors)
	params := nn.FromWeights(source, dtype, p.device)
	p.parts[part] = params
	err = torch.Run(func() { network(params) })
	if err == nil {
		err = source.Done(append(ignored, weights.Leftovers...)...)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		p.parts.dropOne(part)
	}
	return err
}
