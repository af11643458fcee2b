package engine

import (
	"errors"
	"fmt"
	"os"

	"focusnfix/core"
	"focusnfix/core/train"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Need is the memory that a step of training takes of a GPU, in bytes.
type Need struct {
	Loading int64       `json:"loading"` // the most while networks are loaded; of transformers, while prompts are encoded
	Weights int64       `json:"weights"` // of all networks that stay, LoRA and its optimizer
	Phases  train.Peaks `json:"phases"`  // the most in each phase, Weights included
}

// Peak is the most that a run holds at once.
func (n Need) Peak() int64 {
	p := n.Phases
	return max(n.Loading, n.Weights, p.References, p.Sample, p.Decode, p.Reward, p.Backward)
}

// Measure walks through one step of training with shapes alone, without numbers: exact for what our tensors
// take, whatever the size of the model. This process must have been started with FNF_STAND_IN=shapes.
func Measure(c core.Config, kinds []reward.Kind) (n Need, err error) {
	if os.Getenv("FNF_STAND_IN") != "shapes" {
		return n, errors.New("no shapes to walk through: FNF_STAND_IN is not shapes")
	}
	c.Model.Device = string(torch.CUDA(0))
	c.Train.Accumulate = 1
	c.Sample.NumSteps = min(c.Sample.NumSteps, c.Train.BackpropSteps+1) // each takes what the others take
	dir, err := os.MkdirTemp("", "focusnfix-plan-")
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := Open(c, Settings{References: dir, Kinds: kinds})
	if err != nil {
		return n, err
	}
	defer s.Close()
	s.Options.Watch = s.Judges
	t, err := s.Trainer()
	if err != nil {
		return n, err
	}
	defer t.Close()
	memory, err := torch.CUDAMemory(0)
	if err != nil {
		return n, err
	}
	n.Weights, n.Loading = memory.Allocated, memory.PeakAllocated
	peaks := t.MeasurePeaks()
	if err := torch.ResetPeakMemory(0); err != nil {
		return n, err
	}
	if _, err := t.Step(); err != nil {
		return n, fmt.Errorf("walk through a step: %w", err)
	}
	memory, err = torch.CUDAMemory(0)
	n.Phases = *peaks
	n.Phases.Backward = max(n.Phases.Backward, memory.PeakAllocated) // with the update
	return n, err
}
