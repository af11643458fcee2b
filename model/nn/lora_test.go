package nn_test

import (
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// pair is a network of one linear layer and one convolution.
type pair struct {
	params nn.Params
	linear *nn.Linear
	conv   *nn.Conv2d
}

func newPair(params nn.Params) pair {
	return pair{
		params, nn.NewLinear(12, 20, params.Sub("linear")),
		nn.NewConv2d(6, 10, 3, torch.Conv{Stride: 2, Padding: 1}, params.Sub("conv")),
	}
}

// pairLoRAs are the updates of testdata/ref/layers.py: rank 3, alpha 6, hashed.
func pairLoRAs() []*nn.LoRA {
	return []*nn.LoRA{
		{Name: "linear", Alpha: 6, Scale: 1, Down: nntest.Weight("lora.linear.lora_A.weight", 3, 12), Up: nntest.Weight("lora.linear.lora_B.weight", 20, 3)},
		{Name: "conv", Alpha: 6, Scale: 1, Down: nntest.Weight("lora.conv.lora_A.weight", 3, 6, 3, 3), Up: nntest.Weight("lora.conv.lora_B.weight", 10, 3, 1, 1)},
	}
}

func loadPair(t *testing.T, params nn.Params) (pair, *nn.Adapter) {
	t.Helper()
	net := newPair(params)
	adapter, err := nn.LoadAdapter(params, pairLoRAs())
	if err != nil {
		t.Fatal(err)
	}
	return net, adapter
}

// inputs of both layers, with gradients recorded.
func (p pair) inputs() (linear, conv torch.Tensor) {
	return nntest.Uniform("lora.linear.x", 2, 5, 12).MulScalar(3).Leaf(), nntest.Uniform("lora.conv.x", 2, 6, 7, 5).MulScalar(3).Leaf()
}

func (p pair) forward() (linear, conv torch.Tensor) {
	x, picture := p.inputs()
	return p.linear.Forward(x), p.conv.Forward(picture)
}

func TestLoRAMatchesPEFT(t *testing.T) {
	golden := nntest.OpenGolden(t, reference)
	torchtest.Run(t, func() {
		net, adapter := loadPair(t, nntest.NewHashed("lora."))
		adapter.SetTrainable(true)
		x, picture := net.inputs()
		check := func(name string, i int, x, y torch.Tensor) {
			golden.Check(t, "lora_"+name, y, layerTolerance)
			loss := y.Mul(nntest.Uniform("lora."+name+".cotangent", y.Shape()...)).Sum()
			u := adapter.LoRAs[i]
			grads := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{x, u.Down, u.Up}, nil)
			golden.Check(t, "grad.lora."+name+".x", grads[0], layerTolerance)
			golden.Check(t, "grad.lora."+name+".lora_A.weight", grads[1], layerTolerance)
			golden.Check(t, "grad.lora."+name+".lora_B.weight", grads[2], layerTolerance)
		}
		check("linear", 0, x, net.linear.Forward(x))
		check("conv", 1, picture, net.conv.Forward(picture))
	})
}

// TestLoRAOverHalfTypes: over layers of a half type an update is computed in it, to its precision, while its
// matrices and their gradients stay float32; rounding the matrices once changes nothing.
func TestLoRAOverHalfTypes(t *testing.T) {
	const bfloat16Tolerance = 3 * 1.0 / (1 << 8) // of the largest number: input, matrices and result are rounded
	torchtest.Run(t, func() {
		wide, _ := loadPair(t, nntest.NewHashed("lora."))
		half, adapter := loadPair(t, nn.NewParams(nntest.Hashed{Prefix: "lora.", DType: torch.BFloat16}))
		adapter.SetTrainable(true)
		linear, conv := half.inputs()
		inputs := [][2]torch.Tensor{{linear, wide.linear.Forward(linear)}, {conv, wide.conv.Forward(conv)}}
		forward := func(i int) torch.Tensor {
			x := inputs[i][0].To(torch.BFloat16)
			if i == 0 {
				return half.linear.Forward(x)
			}
			return half.conv.Forward(x)
		}
		for i, u := range adapter.LoRAs {
			y, want := forward(i), inputs[i][1]
			scale := want.Abs().Max().Item()
			if d := torchtest.MaxDiff(y.To(torch.Float32), want) / scale; y.DType() != torch.BFloat16 || !(d <= bfloat16Tolerance) {
				t.Errorf("%s: %v differs by %.3g of the largest number, want at most %.3g", u.Name, y, d, bfloat16Tolerance)
			}
			for _, g := range torch.Grad([]torch.Tensor{y.To(torch.Float32).Square().Sum()}, []torch.Tensor{u.Down, u.Up}, nil) {
				if g.DType() != torch.Float32 || g.Norm(2).Item() == 0 {
					t.Errorf("%s: gradient %v", u.Name, g)
				}
			}
			torch.NoGrad(func() {
				adapter.Cast(func() {
					if got := forward(i); !got.Equal(y.Detach()) {
						t.Errorf("%s: cast once gives another result", u.Name)
					}
				})
			})
		}
	})
}

func TestMergeAndUnmerge(t *testing.T) {
	golden := nntest.OpenGolden(t, reference)
	torchtest.Run(t, func() {
		net, adapter := loadPair(t, nntest.NewHashed("lora."))
		before := []torch.Tensor{net.linear.Weight, net.conv.Weight}
		if err := adapter.Merge(); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "lora_linear_merged_weight", net.linear.Weight, layerTolerance)
		golden.Check(t, "lora_conv_merged_weight", net.conv.Weight, layerTolerance)
		linear, conv := net.forward()
		golden.Check(t, "lora_linear", linear, layerTolerance) // and not twice
		golden.Check(t, "lora_conv", conv, layerTolerance)
		if err := adapter.Merge(); err == nil || !strings.Contains(err.Error(), "merged into it already") {
			t.Errorf("merged a second time: %v", err)
		}
		adapter.Unmerge()
		if net.linear.Weight != before[0] || net.conv.Weight != before[1] {
			t.Error("the weights from before are not back")
		}
	})
}

// An adapter that is fresh, off or removed leaves every bit of the network's result.
func TestIdleAdapterChangesNothing(t *testing.T) {
	torchtest.Run(t, func() {
		params := nntest.NewHashed("lora.")
		net := newPair(params)
		linear, conv := net.forward()
		same := func(when string) {
			t.Helper()
			if l, c := net.forward(); !l.Equal(linear) || !c.Equal(conv) {
				t.Errorf("%s: the result changed", when)
			}
		}
		fresh, err := nn.NewAdapter(params, 4, 4, 1, func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		same("fresh")
		if down := fresh.LoRAs[0].Down; down.Abs().Max().Item() == 0 {
			t.Error("the down matrix starts at 0, so no gradient would ever reach the up matrix")
		}
		fresh.Remove()
		loaded, err := nn.LoadAdapter(params, pairLoRAs())
		if err != nil {
			t.Fatal(err)
		}
		if l, _ := net.forward(); l.Equal(linear) {
			t.Error("loaded: the result did not change")
		}
		full, _ := net.forward()
		loaded.SetScale(0.5)
		half, _ := net.forward()
		if d := torchtest.MaxDiff(half, full.Add(linear).MulScalar(0.5)); d > 1e-5 {
			t.Errorf("scale 0.5: differs from the mean of off and on by %g", d)
		}
		loaded.SetScale(0)
		same("scale 0")
		loaded.SetScale(1)
		if err := loaded.Merge(); err != nil {
			t.Fatal(err)
		}
		loaded.Remove()
		same("merged and removed")
	})
}

// A float32 update over a bfloat16 base keeps the base's element type and learns in its own.
func TestLoRAOverHalfBase(t *testing.T) {
	torchtest.Run(t, func() {
		params := nn.NewParams(nntest.Hashed{Prefix: "lora.", DType: torch.BFloat16})
		net, adapter := loadPair(t, params)
		adapter.SetTrainable(true)
		x, _ := net.inputs()
		y := net.linear.Forward(x.To(torch.BFloat16))
		if y.DType() != torch.BFloat16 {
			t.Errorf("result is %v, want bfloat16", y.DType())
		}
		grad := torch.Grad([]torch.Tensor{y.To(torch.Float32).Sum()}, []torch.Tensor{adapter.LoRAs[0].Down}, nil)[0]
		if grad.DType() != torch.Float32 || grad.Abs().Max().Item() == 0 {
			t.Errorf("gradient is %v with largest %v, want float32 and not 0", grad.DType(), grad.Abs().Max().Item())
		}
		if err := adapter.Merge(); err != nil {
			t.Fatal(err)
		}
		if net.linear.Weight.DType() != torch.BFloat16 {
			t.Errorf("merged weight is %v, want bfloat16", net.linear.Weight.DType())
		}
	})
}

func TestAdapterRefusesOtherModels(t *testing.T) {
	torchtest.Run(t, func() {
		params := nntest.NewHashed("lora.")
		newPair(params)
		loras := pairLoRAs()
		loras[1].Name = "mid_block.conv"
		_, missing := nn.LoadAdapter(params, loras)
		loras = pairLoRAs()
		loras[0].Down = nntest.Weight("wide", 3, 768)
		_, shape := nn.LoadAdapter(params, loras)
		_, empty := nn.LoadAdapter(params, nil)
		_, nothing := nn.NewAdapter(params, 4, 4, 1, func(string) bool { return false })
		_, rank := nn.NewAdapter(params, 0, 4, 1, func(string) bool { return true })
		for want, err := range map[string]error{
			"lora: 1 of 2 updates are for layers that the model lacks (mid_block.conv); is it for another model?": missing,
			"lora: linear: down matrix [3,768], want [3,12]; is it for another model?":                            shape,
			"lora: no update for this network in it":                                                              empty,
			"lora: the targets pick no layer of the network":                                                      nothing,
			"lora: rank 0, want at least 1":                                                                       rank,
		} {
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		x := nntest.Uniform("x", 2, 12)
		plain := newPair(nntest.NewHashed("lora.")).linear.Forward(x)
		if got := newPair(params).linear.Forward(x); !got.Equal(plain) {
			t.Error("a refused adapter left something behind")
		}
	})
}

func TestLoRAGradients(t *testing.T) {
	torchtest.Run(t, func() {
		params := nn.NewParams(nntest.Hashed{Prefix: "lora.", DType: torch.Float64})
		net := newPair(params)
		adapter, err := nn.LoadAdapter(params, pairLoRAs())
		if err != nil {
			t.Fatal(err)
		}
		double := func(t torch.Tensor) torch.Tensor { return t.To(torch.Float64) }
		for i, u := range adapter.LoRAs {
			x := double(nntest.Uniform("x", 3, 12))
			forward := net.linear.Forward
			if i == 1 {
				x, forward = double(nntest.Uniform("x", 1, 6, 4, 3)), net.conv.Forward
			}
			torchtest.CheckGrad(t, 1e-7, func(xs []torch.Tensor) torch.Tensor {
				u.Down, u.Up = xs[1], xs[2]
				return forward(xs[0]).Sin().Sum()
			}, x, double(u.Down), double(u.Up))
		}
	})
}
