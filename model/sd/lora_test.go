package sd

import (
	"math"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

var allTargets = []string{"attention", "feedforward", "convolution", "time"}

func targets(t testing.TB, group string) func(string) bool {
	t.Helper()
	groups := []string{group}
	if group == "all" {
		groups = allTargets
	}
	want, err := LoRATargets(groups)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// hashedAdapter attaches updates to the target layers with the numbers that unet.py gives them.
func hashedAdapter(t testing.TB, params nn.Params, arch, group string, rank int64, alpha float64) *nn.Adapter {
	t.Helper()
	adapter, err := nn.NewAdapter(params, rank, alpha, 0, targets(t, group))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range adapter.LoRAs {
		u.Down.CopyFrom(nntest.Weight(arch+"."+u.Name+".lora_A.weight", u.Down.Shape()...).MulScalar(0.5))
		u.Up.CopyFrom(nntest.Weight(arch+"."+u.Name+".lora_B.weight", u.Up.Shape()...).MulScalar(0.5))
	}
	return adapter
}

// Outputs and gradients of peft's LoRA on diffusers' UNet, on each group of targets.
func TestUNetLoRAMatchesPEFT(t *testing.T) {
	golden, reference := readUNetGolden(t), nntest.OpenGolden(t, unetReference)
	names := strings.Join(reference.Names(), "\n")
	for _, c := range golden.LoRA {
		t.Run(c.Name, func(t *testing.T) {
			torchtest.Run(t, func() {
				cfg := golden.config(t, c.Arch)
				params := nntest.NewHashed("")
				defer params.Drop()
				u := NewUNet(cfg, params)
				adapter := hashedAdapter(t, params, c.Arch, c.Targets, c.Rank, c.Alpha)
				defer adapter.Remove()
				if len(adapter.LoRAs) != c.Layers {
					t.Errorf("%d layers, peft has %d", len(adapter.LoRAs), c.Layers)
				}
				adapter.SetTrainable(true)
				in := newUNetInputs(c.Arch, cfg, 2, 16, 16)
				out := in.run(u, 500)
				reference.Check(t, c.Name, out, unetTolerance)

				loss := out.Mul(nntest.Uniform(c.Name+".cotangent", out.Shape()...)).Sum()
				keys, tensors := adapter.Tensors()
				compared := 0
				for i, grad := range torch.Grad([]torch.Tensor{loss}, tensors, nil) {
					if name := c.Name + ".grad." + keys[i]; strings.Contains(names, name) {
						reference.Check(t, name, grad, 1e-4) // forward and backward, largest number 0.1 to 40
						compared++
					}
				}
				if compared < 10 {
					t.Errorf("%d gradients compared, want at least 10", compared)
				}
				adapter.SetTrainable(false)
				adapter.SetScale(0.5)
				reference.Check(t, c.Name+"_half", in.run(u, 500), unetTolerance)
				if err := adapter.Merge(); err != nil {
					t.Fatal(err)
				}
				reference.Check(t, c.Name+"_half", in.run(u, 500), unetTolerance)
			})
		})
	}
}

// A fresh adapter changes no bit of the output; its up matrices get a gradient at once, its down
// matrices one of exactly zero.
func TestFreshAdapter(t *testing.T) {
	golden := readUNetGolden(t)
	torchtest.Run(t, func() {
		cfg := golden.config(t, "small")
		params := nntest.NewHashed("")
		defer params.Drop()
		u := NewUNet(cfg, params)
		in := newUNetInputs("small", cfg, 1, 16, 16)
		plain := in.run(u, 500)
		adapter, err := nn.NewAdapter(params, 4, 4, 1, targets(t, "all"))
		if err != nil {
			t.Fatal(err)
		}
		defer adapter.Remove()
		adapter.SetTrainable(true)
		out := in.run(u, 500)
		if !out.Equal(plain) {
			t.Error("the output changed")
		}
		keys, tensors := adapter.Tensors()
		for i, grad := range torch.Grad([]torch.Tensor{out.Square().Sum()}, tensors, nil) {
			largest := grad.Abs().Max().Item()
			if isUp := i%2 == 1; math.IsNaN(largest) || math.IsInf(largest, 0) || (largest != 0) != isUp {
				t.Errorf("%s: largest gradient %g", keys[i], largest)
			}
		}
	})
}

func TestLoRATargetsRefusesUnknownGroups(t *testing.T) {
	_, err := LoRATargets([]string{"attention", "text"})
	if want := `lora targets: "text" is unknown to this model, want attention, convolution, feedforward, time`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
