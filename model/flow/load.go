package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/model/backbone"
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

// vaePart is the autoencoder's, which stays in memory.
const vaePart = "vae"

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
func Load(path string, o backbone.LoadOptions) (*Pipeline, error) {
	class, err := className(path)
	if err != nil {
		return nil, err
	}
	family := families[class]
	if family == nil {
		return nil, fmt.Errorf("%s: a %s, want a StableDiffusion3Pipeline or a ZImagePipeline", path, class)
	}
	if o.VAE != "" || o.Config != "" || o.Prediction != "" || o.ZeroSNR != nil {
		return nil, fmt.Errorf("%s: a %s takes no other VAE, configuration or prediction", path, class)
	}
	if o.Scheduler != "" && o.Scheduler != schedulerName {
		return nil, fmt.Errorf("%s: a %s is drawn with the scheduler %s, not with %s", path, class, schedulerName, o.Scheduler)
	}
	if o, err = o.WithDefaults(torch.BFloat16); err != nil {
		return nil, err
	}
	p := &Pipeline{
		name: filepath.Base(filepath.Clean(path)), files: files{path, o.Variant}, family: family(), device: o.Device, dtype: o.DType,
		textType: o.DType, vaeType: o.DType, keepText: o.KeepTextEncoder,
		parts: parts{}, prompts: prompts{o.Prompts, map[string]conditioning{}},
	}
	if p.dtype == torch.Float16 { // which T5 and the 16 channels of the VAE overflow
		p.textType, p.vaeType = torch.BFloat16, torch.Float32
	}
	if err := errors.Join(p.loadSchedule(), p.family.configure(p), p.loadVAE()); err != nil {
		p.Close()
		return nil, fmt.Errorf("load model: %w", err)
	}
	return p, nil
}

// schedulerName is what sample.scheduler and --scheduler call flow-matching Euler.
const schedulerName = "euler"

func (p *Pipeline) loadSchedule() error {
	text, file, err := p.files.read("scheduler", "scheduler_config.json")
	if err == nil {
		p.schedule, err = ParseSchedule(file, text)
	}
	return err
}

// loadVAE builds the autoencoder, which is that of model/sd.
func (p *Pipeline) loadVAE() error {
	text, file, err := p.files.read(vaePart, "config.json")
	if err != nil {
		return err
	}
	config, err := sd.ParseVAEConfig(file, text)
	if err != nil {
		return err
	}
	return p.buildAs(vaePart, p.vaeType, p.device, nil, func(params nn.Params) { p.vae = sd.NewVAE(config, params) })
}

// files is a diffusers folder.
type files struct{ path, variant string }

// read is a file of a part, and what errors call it.
func (f files) read(part, name string) (text []byte, file string, err error) {
	file = filepath.Join(f.path, part, name)
	text, err = os.ReadFile(file)
	return text, file, err
}

// has reports whether the folder has a part.
func (f files) has(part string) bool {
	info, err := os.Stat(filepath.Join(f.path, part))
	return err == nil && info.IsDir()
}

// open gives the weights of a part, and what errors call them.
func (f files) open(part string) (file *weights.File, err error) {
	dir := filepath.Join(f.path, part)
	file, err = weights.OpenDir(dir, f.variant)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such folder, or no weights in it", dir)
	}
	return file, err
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

// build makes the transformer, or a text encoder on a device.
func (p *Pipeline) build(part string, device torch.Device, ignored []string, make func(nn.Params)) error {
	dtype := p.textType
	if part == network {
		dtype = p.dtype
	}
	return p.buildAs(part, dtype, device, ignored, make)
}

// buildAs makes one part, in the given data type, and reports everything in its weights that does not fit, but for
// what matches ignored.
func (p *Pipeline) buildAs(part string, dtype torch.DType, device torch.Device, ignored []string, make func(nn.Params)) error {
	file, err := p.files.open(part)
	if err != nil {
		return err
	}
	source := weights.NewSource(filepath.Join(p.files.path, part), file.Tensors)
	params := nn.FromWeights(source, dtype, device)
	p.parts[part] = params
	err = torch.Run(func() { make(params) })
	if err == nil {
		err = source.Done(append(ignored, weights.Leftovers...)...)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		p.parts.dropOne(part)
	}
	return err
}
