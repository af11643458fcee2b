package workshop

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// statePath is where the checkpoint of a stage lies.
func (p *pretraining) statePath(stage string) string {
	return filepath.Join(p.out, "state", stage+".safetensors")
}

// save writes everything that going on needs into one file, which is there whole or not at all.
func (s *student[N, B]) save() error {
	path := s.statePath(s.stage)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	var written error
	err := torch.Run(func() {
		tensors := s.optimizer.moments()
		tensors["master"], tensors["averaged"] = s.master, s.averaged
		var entries []weights.Entry
		for name, t := range tensors {
			entries = append(entries, nn.Entry(name, t))
		}
		written = weights.Write(path, map[string]string{
			"stage": s.stage, "recipe": strconv.Itoa(s.recipe.number), "seed": strconv.FormatUint(s.seed, 10), "step": strconv.Itoa(s.step),
			"steps": strconv.Itoa(s.optimizer.adam.Steps()), "elapsed": s.spent().String(),
		}, entries)
	})
	return errors.Join(err, written)
}

// restore reads the stage's checkpoint; without one there is nothing to do. One that is not asked for
// is an error: it would be overwritten.
func (s *student[N, B]) restore() error {
	path := s.statePath(s.stage)
	file, err := weights.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read only
	if !s.resume {
		return fmt.Errorf("%s is there already: go on with --resume, or choose another --out", path)
	}
	if got, want := file.Metadata["seed"], strconv.FormatUint(s.seed, 10); got != want {
		return fmt.Errorf("%s: seed %s, want %s: it is of another run", path, got, want)
	}
	if got, want := cmp.Or(file.Metadata["recipe"], strconv.Itoa(ShippedRecipe)), strconv.Itoa(s.recipe.number); got != want {
		return fmt.Errorf("%s: recipe %s, want %s: it is of another run", path, got, want)
	}
	source := weights.NewSource(path, file.Tensors)
	params := nn.FromWeights(source, torch.Float32, torch.CPU)
	defer params.Drop()
	err = torch.Run(func() {
		read := func(name string, size int64) torch.Tensor { return params.Param(name, nn.Zeros, size) }
		torch.NoGrad(func() {
			s.master.CopyFrom(read("master", s.size))
			s.averaged.CopyFrom(read("averaged", s.size))
			if s.dtype != torch.Float32 {
				s.work.CopyFrom(s.master)
			}
		})
		steps, _ := strconv.Atoi(file.Metadata["steps"])
		s.optimizer.restore(steps, read)
	})
	s.step, _ = strconv.Atoi(file.Metadata["step"])
	s.elapsed, _ = time.ParseDuration(file.Metadata["elapsed"])
	return errors.Join(err, source.Done())
}

// event appends one line of JSON to the run's events.
func (p *pretraining) event(stage string, step, of int, numbers map[string]any) {
	numbers["time"], numbers["stage"], numbers["step"], numbers["of"] = time.Now().UTC().Format(time.RFC3339), stage, step, of
	line, err := json.Marshal(numbers)
	if err == nil && p.events != nil {
		_, err = p.events.Write(append(line, '\n'))
	}
	p.eventErr = errors.Join(p.eventErr, err)
}
