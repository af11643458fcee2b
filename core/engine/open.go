package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/train"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/reward"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/presets"
)

// Session is all that a training of one configuration works with. One goroutine uses it.
type Session struct {
	Config   core.Config
	Pipeline backbone.Model
	Options  train.Options
	// Judges are the rewards that are trained on, as they are without augmentation, then the held-out ones.
	Judges  []eval.Judge
	HeldOut []string // prompts that are never trained on
	// PromptsHash is the fingerprint of a prompts file; empty of a list that comes with the program.
	PromptsHash string

	preview sd.Preview // nil shows nothing while images are drawn
	loaded  []reward.Reward
	worded  *Session // judges what was last said in words; see inWords
}

// Settings are what Open is told beside the configuration. The zero value is useful.
type Settings struct {
	References string            // folder of the references, which need not exist
	Warn       func(line string) // told what is taken for granted while loading; may be nil
	Kinds      []reward.Kind     // further rewards, beside those of model/reward and the scenes judges
}

// Open loads what a valid configuration names: the model, a judge for every aspect and those held out,
// and the prompts. Each name that is not known gives an error of one line. Close frees all.
func Open(c core.Config, o Settings) (*Session, error) {
	s := &Session{Config: c}
	if err := s.open(o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Check finds out, without loading anything, whether the model and prompts of a valid configuration are there.
func Check(c core.Config) error {
	if _, _, err := readPrompts(c.Train.Prompts); err != nil {
		return err
	}
	_, err := modelFolder(c.Model.Path)
	return err
}

func (s *Session) open(o Settings) (err error) {
	s.Options = trainOptions(s.Config)
	s.Options.ReferenceDir = o.References
	if s.Options.Prompts, s.HeldOut, err = readPrompts(s.Config.Train.Prompts); err != nil {
		return err
	}
	if !slices.Contains(presets.PromptLists(), s.Config.Train.Prompts) {
		s.PromptsHash = promptsHash(s.Options.Prompts, s.HeldOut)
	}
	folder, err := modelFolder(s.Config.Model.Path)
	if err != nil {
		return err
	}
	if s.Options.Model, err = fingerprint(folder); err != nil {
		return err
	}
	if err := s.loadModel(folder, o); err != nil {
		return err
	}
	if path := s.Config.Sample.Preview; path != "" {
		if s.preview, err = sd.OpenPreview(path, s.Pipeline); err != nil {
			return fmt.Errorf("sample.preview: %w", err)
		}
	}
	if s.Config.Sample.Size == (core.Size{}) {
		width, height := s.Pipeline.NaturalSize()
		s.Options.Sampling.Size = core.Size{Width: int(width), Height: int(height)}
	}
	return s.openRewards(append(slices.Clone(o.Kinds), sceneKinds(folder)...))
}

// Trainer attaches fresh LoRA weights to the model; close it before the session.
func (s *Session) Trainer() (*train.Trainer, error) {
	return train.New(s.Pipeline, s.Options)
}

// Evaluator draws and judges images with the model as it is, without LoRA weights of its own; close references
// before the session.
func (s *Session) Evaluator(judges []eval.Judge) (e *eval.Evaluator, references *train.References, err error) {
	o := s.Options
	if references, err = train.NewReferences(s.Pipeline, o.Sampling, o.Aspects, o.Model, o.ReferenceDir, o.Workers); err != nil {
		return nil, nil, err
	}
	return &eval.Evaluator{Source: references, Judges: judges, Batch: max(o.Batch, references.AtOnce())}, references, nil
}

// Close frees the model and the judges.
func (s *Session) Close() {
	s.forgetWords()
	closeAll(s.loaded)
	if s.preview != nil {
		s.preview.Close()
	}
	if s.Pipeline != nil {
		s.Pipeline.Close()
	}
}

// heldOutSeeds is how far the seeds of held-out images lie from those that are trained on.
const heldOutSeeds = 1 << 32

// HeldOutPairs are n images that are never trained on: each held-out prompt in turn, with a new seed
// every time that a prompt comes again. 0 is every prompt once.
func (s *Session) HeldOutPairs(n int) []core.Pair {
	if n <= 0 {
		n = len(s.HeldOut)
	}
	pairs := make([]core.Pair, n)
	for i := range pairs {
		pairs[i] = core.Pair{Prompt: s.HeldOut[i%len(s.HeldOut)], Seed: s.Options.Seed + heldOutSeeds + uint64(i)}
	}
	return pairs
}

// warmupSteps is how long the learning rate rises at the start.
const warmupSteps = 10

// trainOptions are the settings that need nothing to be loaded.
func trainOptions(c core.Config) train.Options {
	o := train.Options{
		Sampling: c.Sample,
		Gradient: train.Gradient(c.Train.Gradient), BackpropSteps: c.Train.BackpropSteps, NoisedCopies: c.Train.NoisedCopies,
		Objective: train.Objective{Region: train.Region{Weight: c.Region.Weight, Norm: train.RegionNorm(c.Region.Norm)}, Augment: c.Train.Augment},
		Rank:      int64(c.LoRA.Rank), Alpha: c.LoRA.Alpha, Targets: c.LoRA.Targets,
		LearningRate: c.Train.LearningRate, Cosine: c.Train.Schedule == "cosine", GradClip: c.Train.GradClip,
		Average: c.Train.EMA, FaultyShare: c.Train.FaultyShare, Workers: c.Train.Workers,
		WeightDecay: 0.01, // torch.optim.AdamW's
		Steps:       c.Train.Steps, Batch: c.Train.Batch, Accumulate: c.Train.Accumulate,
		SeedsPerPrompt: c.Train.SeedsPerPrompt, Seed: uint64(c.Train.Seed),
	}
	if c.Train.Schedule != "constant" {
		o.Warmup = warmupSteps
	}
	return o
}

// Prompts are those that a configuration trains on, and those held out.
func Prompts(c core.Config) (training, heldOut []string, err error) {
	return readPrompts(c.Train.Prompts)
}

// readPrompts finds a list that comes with the program, or reads a text file.
func readPrompts(name string) (training, heldOut []string, err error) {
	if slices.Contains(presets.PromptLists(), name) {
		return presets.Prompts(name)
	}
	training, heldOut, err = readPromptFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("train.prompts: %w", err)
	}
	if len(heldOut) == 0 {
		return nil, nil, fmt.Errorf("train.prompts: %s: no prompt after %q; leave the line out to keep every tenth prompt", name, "[held out]")
	}
	return training, heldOut, nil
}

// ReadPrompts are the prompts that images are compared on: the held-out ones of a list that comes with the program,
// or all that a text file has.
func ReadPrompts(name string) (prompts []string, err error) {
	if slices.Contains(presets.PromptLists(), name) {
		_, prompts, err = presets.Prompts(name)
		return prompts, err
	}
	training, heldOut, err := readPromptFile(name)
	if err != nil {
		return nil, err
	}
	for _, prompt := range slices.Concat(training, heldOut) {
		if !slices.Contains(prompts, prompt) { // a short list is both
			prompts = append(prompts, prompt)
		}
	}
	return prompts, nil
}

func readPromptFile(name string) (training, heldOut []string, err error) {
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("no file %q; want a text file or one of %s", name, strings.Join(presets.PromptLists(), ", "))
	case err != nil:
		return nil, nil, err
	}
	if training, heldOut, err = presets.ParsePrompts(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, prompt := range slices.Concat(training, heldOut) {
		if core.Clean(prompt) != prompt { // it is printed wherever the run is shown
			return nil, nil, fmt.Errorf("%s: %q has control characters; remove them", name, prompt)
		}
	}
	return training, heldOut, nil
}

// modelFolder is where a model lies: of the shipped one, the folder that it is unpacked to.
func modelFolder(path string) (string, error) {
	if path == scenes.BuiltinName {
		return scenes.Folder()
	}
	if strings.HasPrefix(path, "builtin:") {
		return "", fmt.Errorf("model.path: %q, want a folder, a .safetensors file or %q", path, scenes.BuiltinName)
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("model.path: %s is not there; `focusnfix pull REPO` downloads a model", path)
	}
	return path, err
}

// loadModel loads the model and encodes all prompts that the run will ask for, which are kept beside its references.
func (s *Session) loadModel(folder string, settings Settings) (err error) {
	c := s.Config
	o := backbone.LoadOptions{
		Scheduler: c.Sample.Scheduler, Config: c.Model.Config, KeepTextEncoder: c.Model.KeepTextEncoder, Warn: settings.Warn,
	}
	if settings.References != "" {
		o.Prompts = filepath.Join(settings.References, "prompts-"+s.Options.Model)
	}
	if c.Model.Prediction != "auto" {
		o.Prediction = c.Model.Prediction
	}
	if on := c.Model.ZeroSNR == "on"; on || c.Model.ZeroSNR == "off" {
		o.ZeroSNR = &on
	}
	if c.Model.Device != "auto" {
		o.Device = torch.Device(c.Model.Device)
	}
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Float16} {
		if d.String() == c.Model.DType {
			o.DType = d
		}
	}
	if s.Pipeline, err = families.Open(folder, o); err != nil {
		return err
	}
	return s.Pipeline.Prepare(slices.Concat(s.Options.Prompts, s.HeldOut, []string{""}), nil)
}
