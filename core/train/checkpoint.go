package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Files of a checkpoint folder. The LoRA file is one that diffusers and peft load.
const (
	loraFile      = "lora.safetensors"
	optimizerFile = "optimizer.safetensors"
	stateFile     = "state.json"
)

// LoRAFile is the file of LoRA weights in a checkpoint's folder; diffusers and peft load it as it is.
func LoRAFile(checkpoint string) string { return filepath.Join(checkpoint, loraFile) }

// state is what a checkpoint holds beside tensors.
type state struct {
	Version        int
	Step           int
	OptimizerSteps int
	AverageSteps   int        `json:",omitempty"`
	Scale          *lossScale `json:",omitempty"`
	Cursor         cursor     // in the pool; absent in old checkpoints, whose images came in their order
}

const stateVersion = 1

// Save writes a checkpoint into an existing folder: the LoRA weights that are judged, and what Load needs to
// continue bit for bit: weights, their average, moments, step and place in the pool. All random numbers follow from
// the seed and these. extra goes into the LoRA file's header.
func (t *Trainer) Save(dir string, extra map[string]string) error {
	err := run(func() (err error) {
		t.Averaged(func() {
			err = backbone.SaveLoRA(filepath.Join(dir, loraFile), weights.PEFT, t.pipeline.About().Network, t.adapter, extra)
		})
		return err
	})
	if err != nil {
		return err
	}
	var entries []weights.Entry
	s := state{Version: stateVersion, Step: t.step, OptimizerSteps: t.optimizer.Steps(), AverageSteps: t.ema.steps, Cursor: t.cursor}
	if t.sampler.scale != scaleFor(t.pipeline.DType()) {
		s.Scale = &t.sampler.scale
	}
	err = torch.Run(func() {
		names, params := t.adapter.Tensors()
		mean, square := t.optimizer.Moments()
		for i, name := range names {
			entries = append(entries, nn.Entry("mean."+name, mean[i]), nn.Entry("square."+name, square[i]), nn.Entry("param."+name, params[i]))
			if t.ema.decay != 0 {
				entries = append(entries, nn.Entry("average."+name, t.ema.values[i]))
			}
		}
	})
	if err != nil {
		return err
	}
	if err := weights.Write(filepath.Join(dir, optimizerFile), nil, entries); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, stateFile), text, 0o644)
}

// Load continues from a checkpoint of a training with the same options. Rank 0 of a group loads, and
// gives the others what it has.
func (t *Trainer) Load(dir string) error {
	if err := t.load(dir); err != nil || t.group == nil {
		return err
	}
	if err := t.lead(orderState); err != nil {
		return err
	}
	return t.shareState()
}

func (t *Trainer) load(dir string) error {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%s: version %d, want %d: it was written by another version of the program", path, s.Version, stateVersion)
	}
	return t.read(dir, func(read saved) {
		t.put(read.params)
		t.optimizer.Restore(s.OptimizerSteps, read.mean, read.square)
		t.ema.restore(s.AverageSteps, read.average)
		if t.sampler.scale = scaleFor(t.pipeline.DType()); s.Scale != nil && t.sampler.scale.on() {
			t.sampler.scale = *s.Scale
		}
		t.step, t.cursor, t.plan.step = s.Step, s.Cursor, -1
		if _, world := t.world(); s.Cursor == (cursor{}) {
			t.cursor.Next = s.Step * t.Batch * t.Accumulate * world
		}
	})
}

// saved is what a checkpoint has for each parameter.
type saved struct{ mean, square, params, average []torch.Tensor }

// read gives what a checkpoint has for each parameter, exactly, in a scope of its own.
func (t *Trainer) read(dir string, use func(saved)) error {
	file, err := weights.Open(filepath.Join(dir, optimizerFile))
	if err != nil {
		return err
	}
	source := weights.NewSource(file.Path, file.Tensors)
	read := nn.FromWeights(source, torch.Float32, torch.CPU)
	defer read.Drop()
	var failed error
	err = torch.Run(func() {
		names, params := t.adapter.Tensors()
		var s saved
		for i, name := range names {
			one := func(what string) torch.Tensor { return read.Param(what+"."+name, nn.Zeros, params[i].Shape()...) }
			s.mean, s.square, s.params = append(s.mean, one("mean")), append(s.square, one("square")), append(s.params, one("param"))
			if t.ema.decay != 0 {
				s.average = append(s.average, one("average"))
			}
		}
		if failed = source.Done(); failed == nil {
			use(s)
		}
	})
	return errors.Join(err, failed, file.Close())
}

// put gives the LoRA weights other values.
func (t *Trainer) put(values []torch.Tensor) {
	torch.NoGrad(func() {
		for i, p := range t.params {
			p.CopyFrom(values[i])
		}
	})
}

// lend keeps the LoRA weights while f has others there, in the open scope.
func (t *Trainer) lend(f func()) {
	was := t.lent
	t.lent = true
	defer func() { t.lent = was }()
	t.borrow(f)
}

// borrow keeps the LoRA weights while f changes them, in the open scope.
func (t *Trainer) borrow(f func()) {
	var values []torch.Tensor
	torch.NoGrad(func() {
		for _, p := range t.params {
			values = append(values, p.Clone())
		}
	})
	defer t.put(values)
	f()
}

// With calls f with the LoRA weights of another checkpoint of this training as it exported them, in the open scope;
// those of now are back after it.
func (t *Trainer) With(dir string, f func() error) (err error) {
	t.lend(func() {
		err = t.read(dir, func(read saved) {
			if t.put(read.params); t.ema.decay != 0 {
				t.put(read.average)
			}
		})
		if err == nil {
			err = f()
		}
	})
	return err
}
