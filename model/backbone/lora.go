package backbone

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// AttachLoRA reads a LoRA file of any dialect and adds its updates, at the given strength, to the parts of a model
// by name. It returns one adapter for every part that the file updates. Parts named in others may have updates, too, which
// are left to them.
func AttachLoRA(parts map[string]nn.Params, path string, scale float64, others ...string) ([]*nn.Adapter, error) {
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return nil, fmt.Errorf("%s: strength %g, want a number", path, scale)
	}
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	lora, err := weights.ReadLoRA(file)
	shapes := weightShapes(parts)
	if err == nil {
		lora.Modules = slices.DeleteFunc(lora.Modules, func(m weights.LoRAModule) bool { return slices.Contains(others, m.Component) })
		err = lora.Check(func(part, layer string) ([]int64, bool) {
			shape, ok := shapes[part+"."+layer]
			return shape, ok
		})
	}
	var adapters []*nn.Adapter
	if err == nil {
		adapters, err = attach(parts, lora, scale, shapes)
	}
	return adapters, errors.Join(err, file.Close())
}

// LoRAParts lists the parts of a model that a LoRA file updates.
func LoRAParts(path string) (parts []string, err error) {
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	lora, err := weights.ReadLoRA(file)
	if err == nil {
		for _, m := range lora.Modules {
			if !slices.Contains(parts, m.Component) {
				parts = append(parts, m.Component)
			}
		}
	}
	slices.Sort(parts)
	return parts, errors.Join(err, file.Close())
}

// weightShapes are those of all parts' weights, by part and layer.
func weightShapes(parts map[string]nn.Params) map[string][]int64 {
	shapes := map[string][]int64{}
	for part, params := range parts {
		for name, t := range params.All() {
			if layer, ok := strings.CutSuffix(name, ".weight"); ok {
				shapes[part+"."+layer] = t.Shape()
			}
		}
	}
	return shapes
}

func attach(parts map[string]nn.Params, lora *weights.LoRA, scale float64, shapes map[string][]int64) (adapters []*nn.Adapter, err error) {
	read := nn.FromWeights(weights.NewSource(lora.Path, factors(lora)), torch.Float32, torch.CPU)
	defer read.Drop()
	failed := torch.Run(func() {
		loras, shifts := map[string][]*nn.LoRA{}, map[string][]*nn.Shift{}
		for _, m := range lora.Modules {
			u := update{m, read.Sub(m.Name()), shapes[m.Name()]}
			if low, ok := u.lowRank(scale); ok {
				loras[m.Component] = append(loras[m.Component], low)
			}
			if full, ok := u.shift(scale, parts[m.Component]); ok {
				shifts[m.Component] = append(shifts[m.Component], full)
			}
		}
		for _, part := range slices.Sorted(maps.Keys(parts)) {
			if len(loras[part])+len(shifts[part]) == 0 || err != nil {
				continue
			}
			var adapter *nn.Adapter
			if adapter, err = nn.LoadAdapter(parts[part], loras[part], shifts[part]...); err == nil {
				adapters = append(adapters, adapter)
			}
		}
	})
	return adapters, errors.Join(failed, err)
}

// SaveLoRA writes an adapter in a dialect: updates of the network, which LoRA files call part, and of text encoders.
// extra goes into the file's header.
func SaveLoRA(path string, dialect weights.Dialect, part string, adapter *nn.Adapter, extra map[string]string) error {
	var modules []weights.LoRAModule
	err := torch.Run(func() {
		for _, u := range adapter.LoRAs {
			component, layer := splitPart(u.Name, part)
			modules = append(modules, weights.LoRAModule{
				Component: component, Path: layer, Alpha: u.Alpha, Down: float32Tensor(u.Down), Up: float32Tensor(u.Up),
			})
		}
	})
	if err != nil {
		return err
	}
	return weights.WriteLoRA(path, dialect, modules, extra)
}

func float32Tensor(t torch.Tensor) weights.Tensor {
	bytes := t.Detach().ToDevice(torch.CPU, torch.Float32).Contiguous().Bytes()
	return weights.Tensor{DType: weights.F32, Shape: t.Shape(), Bytes: bytes}
}

// ConvertLoRA rewrites a LoRA file in another dialect, and in another element type unless dtype is "". What the
// header says about training and the model (ss_*, modelspec.*) stays. to must not be there.
func ConvertLoRA(from, to string, dialect weights.Dialect, dtype weights.DType) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: is there already", to)
	}
	file, err := weights.Open(from)
	if err != nil {
		return err
	}
	lora, err := weights.ReadLoRA(file)
	if err == nil {
		lora.Path = to
		err = weights.RewriteLoRA(to, dialect, lora, dtype)
	}
	return errors.Join(err, file.Close())
}
