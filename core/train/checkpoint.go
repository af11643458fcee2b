package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"focusnfix/model/nn"
	"focusnfix/model/sd"
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
	Random         []byte // state of the generator
}

const stateVersion = 1

// Save writes a checkpoint into an existing folder: LoRA weights, moments, random state and step. Load
// continues from it bit for bit. extra goes into the LoRA file's header.
func (t *Trainer) Save(dir string, extra map[string]string) error {
	if err := sd.SaveLoRA(filepath.Join(dir, loraFile), weights.PEFT, "unet", t.adapter, extra); err != nil {
		return err
	}
	var entries []weights.Entry
	s := state{Version: stateVersion, Step: t.step, OptimizerSteps: t.optimizer.Steps()}
	err := torch.Run(func() {
		names, params := t.adapter.Tensors()
		mean, square := t.optimizer.Moments()
		for i, name := range names {
			entries = append(entries, nn.Entry("mean."+name, mean[i]), nn.Entry("square."+name, square[i]), nn.Entry("param."+name, params[i]))
		}
		s.Random = t.random.State()
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
	return t.read(dir, func(mean, square, values []torch.Tensor) {
		t.put(values)
		t.optimizer.Restore(s.OptimizerSteps, mean, square)
		t.random.SetState(s.Random)
		t.step = s.Step
	})
}

// read gives what a checkpoint has for each parameter, exactly, in a scope of its own.
func (t *Trainer) read(dir string, use func(mean, square, values []torch.Tensor)) error {
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
		var mean, square, values []torch.Tensor
		for i, name := range names {
			shape := params[i].Shape()
			mean = append(mean, read.Param("mean."+name, nn.Zeros, shape...))
			square = append(square, read.Param("square."+name, nn.Zeros, shape...))
			values = append(values, read.Param("param."+name, nn.Zeros, shape...))
		}
		if failed = source.Done(); failed == nil {
			use(mean, square, values)
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

// borrow keeps the LoRA weights and the random state while f changes them, in the open scope.
func (t *Trainer) borrow(f func()) {
	var values []torch.Tensor
	torch.NoGrad(func() {
		for _, p := range t.params {
			values = append(values, p.Clone())
		}
	})
	random := t.random.State()
	defer func() {
		t.put(values)
		t.random.SetState(random)
	}()
	f()
}

// With calls f with the LoRA weights of another checkpoint of this training, in the open scope; those of
// now are back after it.
func (t *Trainer) With(dir string, f func() error) (err error) {
	t.borrow(func() {
		err = t.read(dir, func(_, _, values []torch.Tensor) { t.put(values) })
		if err == nil {
			err = f()
		}
	})
	return err
}
