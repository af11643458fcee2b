package nntest

import (
	"slices"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// LoRA is what a reference script says of the low-rank updates whose gradients it saved.
type LoRA struct {
	Arch         string
	Rank, Alpha  float64
	Layers, Kept int // that have updates, and matrices whose gradient is not 0 (0: all)
}

// CheckGradients attaches an update of hashed float64 matrices to every layer that want picks, and compares output and the
// gradients of its mean square with the reference: lora.output, and grad.LAYER.lora_A.weight and lora_B.weight.
func (l LoRA) CheckGradients(t *testing.T, g *Golden, params nn.Params, want func(layer string) bool, forward func() torch.Tensor, tolerance float64) {
	t.Helper()
	fresh, err := nn.NewAdapter(params, int64(l.Rank), l.Alpha, 1, want)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var updates []*nn.LoRA
	for _, u := range fresh.LoRAs {
		matrix := func(side string, like torch.Tensor) torch.Tensor {
			name := u.Name + ".lora_" + side + ".weight"
			names = append(names, "grad."+name)
			return Uniform(name, like.Shape()...).To(torch.Float64).MulScalar(0.1)
		}
		updates = append(updates, &nn.LoRA{Name: u.Name, Alpha: u.Alpha, Scale: 1, Down: matrix("A", u.Down), Up: matrix("B", u.Up)})
	}
	fresh.Remove()
	adapter, err := nn.LoadAdapter(params, updates)
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Remove()
	adapter.SetTrainable(true)
	out := forward()
	g.Check(t, "lora.output", out, tolerance)
	_, matrices := adapter.Tensors()
	grads := torch.Grad([]torch.Tensor{out.Square().Mean()}, matrices, nil)
	if len(adapter.LoRAs) != l.Layers || len(grads) != len(names) {
		t.Fatalf("%d layers and %d gradients, want %d layers", len(adapter.LoRAs), len(grads), l.Layers)
	}
	checked := 0
	for i, name := range names {
		if slices.Contains(g.Names(), name) {
			g.Check(t, name, grads[i], tolerance)
			checked++
		} else if grads[i].Abs().Max().Item() != 0 {
			t.Errorf("%s: not 0, as peft's is", name)
		}
	}
	if l.Kept == 0 {
		l.Kept = len(names)
	}
	if checked != l.Kept {
		t.Errorf("%d gradients compared, want %d", checked, l.Kept)
	}
}
