package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// Draws reports whether path is a folder or single file of a model that this package draws with.
func Draws(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return err == nil && kindOf(path) != ""
	}
	class, err := className(path)
	return err == nil && families[class] != nil
}

// kindOf is that of the transformer in a single file.
func kindOf(path string) (kind weights.Kind) {
	if file, err := weights.Open(path); err == nil { // what is wrong with it, loading says
		kind = weights.TransformerKind(file)
		_ = file.Close() // read only
	}
	return kind
}

// pipelineOf is the pipeline of diffusers for a single file's kind.
var pipelineOf = map[weights.Kind]string{weights.SD3: "StableDiffusion3Pipeline", weights.ZImage: "ZImagePipeline"}

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

// Load opens a diffusers folder, or a single file beside one, o.Config, which has the configurations, the tokenizers and
// the parts that the file lacks. The VAE is loaded at once; text encoders and transformer follow when they are
// needed. The device is the first GPU, or the CPU, where o names none; the data type there bfloat16 or float32.
func Load(path string, o backbone.LoadOptions) (*Pipeline, error) {
	from, err := openFiles(path, o)
	if err != nil {
		return nil, err
	}
	family, err := familyOf(path, from, o)
	if err == nil {
		o, err = o.WithDefaults(torch.BFloat16)
	}
	if err != nil {
		return nil, errors.Join(err, from.close())
	}
	p := &Pipeline{
		name: strings.TrimSuffix(filepath.Base(filepath.Clean(path)), ".safetensors"), files: from, family: family, device: o.Device, dtype: o.DType,
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

// familyOf is that of the files, which must be able to do what is asked of them.
func familyOf(path string, from files, o backbone.LoadOptions) (family, error) {
	class, err := className(from.path)
	if err != nil {
		return nil, err
	}
	newFamily := families[class]
	if newFamily == nil {
		return nil, fmt.Errorf("%s: a %s, want a StableDiffusion3Pipeline or a ZImagePipeline", from.path, class)
	}
	if from.single != nil && class != pipelineOf[from.kind] {
		return nil, fmt.Errorf("%s: a %s, want the configuration of a %s for %s", from.path, class, from.kind, path)
	}
	if o.VAE != "" || o.Prediction != "" || o.ZeroSNR != nil {
		return nil, fmt.Errorf("%s: a %s takes no other VAE or prediction", path, class)
	}
	if o.Scheduler != "" && o.Scheduler != schedulerName {
		return nil, fmt.Errorf("%s: a %s is drawn with the scheduler %s, not with %s", path, class, schedulerName, o.Scheduler)
	}
	return newFamily(), nil
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

// files is a diffusers folder, and a single file whose parts count more than those of the folder.
type files struct {
	path, variant string
	single        *weights.File // nil is none
	kind          weights.Kind  // of the single file
	parts         map[string][]weights.Tensor
}

func openFiles(path string, o backbone.LoadOptions) (files, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return files{}, err
	case info.IsDir() && o.Config != "":
		return files{}, fmt.Errorf("%s: --config is for single files", path)
	case info.IsDir():
		return files{path: path, variant: o.Variant}, nil
	}
	file, err := weights.Open(path)
	if err != nil {
		return files{}, err
	}
	split, err := weights.SplitTransformer(file)
	switch {
	case err != nil:
	case len(split.Unknown) > 0:
		err = fmt.Errorf("%s: no use for %s", path, strings.Join(split.Unknown[:min(8, len(split.Unknown))], ", "))
	case o.Config == "":
		err = fmt.Errorf("%s: a single file of %s, want --config FOLDER, a diffusers folder of it, for its configuration, tokenizers and what the file lacks", path, split.Kind)
	}
	if err != nil {
		return files{}, errors.Join(err, file.Close())
	}
	return files{path: o.Config, variant: o.Variant, single: file, kind: split.Kind, parts: split.Parts}, nil
}

// close lets the single file go.
func (f files) close() error {
	if f.single == nil {
		return nil
	}
	return f.single.Close()
}

// read is a file of a part, and what errors call it.
func (f files) read(part, name string) (text []byte, file string, err error) {
	file = filepath.Join(f.path, part, name)
	text, err = os.ReadFile(file)
	return text, file, err
}

// has reports whether there is a part.
func (f files) has(part string) bool {
	if len(f.parts[part]) > 0 {
		return true
	}
	info, err := os.Stat(filepath.Join(f.path, part))
	return err == nil && info.IsDir()
}

// open gives the weights of a part, what errors call them, and how to close them.
func (f files) open(part string) (name string, tensors []weights.Tensor, done func() error, err error) {
	if own := f.parts[part]; len(own) > 0 {
		return f.single.Path + " (" + part + ")", own, func() error { return nil }, nil
	}
	dir := filepath.Join(f.path, part)
	file, err := weights.OpenDir(dir, f.variant)
	if _, missing := os.Stat(dir); errors.Is(missing, fs.ErrNotExist) {
		return "", nil, nil, fmt.Errorf("%s: no such folder", dir)
	}
	if err != nil {
		return "", nil, nil, err
	}
	return dir, weights.Rename(file.Tensors, weights.Canonical(part)), file.Close, nil
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
func (p *Pipeline) build(part string, device torch.Device, ignored []string, network func(nn.Params)) error {
	dtype := p.textType
	if part == transformer {
		dtype = p.dtype
	}
	return p.buildAs(part, dtype, device, ignored, network)
}

// buildAs makes one part, in the given data type, and reports everything in its weights that does not fit, but for
// what matches ignored.
func (p *Pipeline) buildAs(part string, dtype torch.DType, device torch.Device, ignored []string, network func(nn.Params)) error {
	name, tensors, done, err := p.files.open(part)
	if err != nil {
		return err
	}
	p.parts[part], err = nn.Build(name, tensors, dtype, device, append(ignored, weights.Leftovers...), network)
	if err = errors.Join(err, done()); err == nil {
		err = p.attachTo(part)
	}
	if err != nil {
		p.parts.dropOne(part)
	}
	return err
}
