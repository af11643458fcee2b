package nn_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// saved writes a pair's parameters to a file and opens it.
func saved(t *testing.T, net pair, more ...weights.Entry) *weights.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pair.safetensors")
	if err := weights.Write(path, nil, append(net.params.Entries(), more...)); err != nil {
		t.Fatal(err)
	}
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return file
}

func TestFromWeightsReadsWhatEntriesWrote(t *testing.T) {
	torchtest.Run(t, func() {
		net := newPair(nntest.NewHashed(""))
		// three bytes of another type put every later tensor at an odd place in the file
		odd := weights.Entry{Name: "odd", DType: weights.U8, Shape: []int64{3}, Data: weights.FromBytes([]byte{1, 2, 3})}
		file := saved(t, net, odd)
		linear, conv := net.forward()
		for _, c := range []struct {
			dtype     torch.DType
			tolerance float64
		}{{torch.Float32, 0}, {torch.Float64, 1e-5}, {torch.BFloat16, 0.1}} {
			params := nn.FromWeights(weights.NewSource(file.Path, file.Tensors), c.dtype, torch.CPU)
			same := newPair(params)
			x, picture := net.inputs()
			gotLinear, gotConv := same.linear.Forward(x.To(c.dtype)), same.conv.Forward(picture.To(c.dtype))
			if d := max(torchtest.MaxDiff(gotLinear, linear), torchtest.MaxDiff(gotConv, conv)); d > c.tolerance {
				t.Errorf("%v: differs by %g, want at most %g", c.dtype, d, c.tolerance)
			}
			params.Drop()
		}
	})
}

func TestFromWeightsReportsMisfits(t *testing.T) {
	torchtest.Run(t, func() {
		file := saved(t, newPair(nntest.NewHashed("")))
		src := weights.NewSource("pair.safetensors", file.Tensors)
		params := nn.FromWeights(src, torch.Float32, torch.CPU)
		nn.NewLinear(16, 20, params.Sub("linear"))     // has 12 inputs in the file
		nn.NewLayerNorm(8, 1e-5, params.Sub("norm"))   // is not in the file
		wide := nn.NewLinear(4, 4, params.Sub("wide")) // is not either, and still makes a layer
		if got := wide.Forward(nntest.Uniform("x", 2, 4)).Abs().Max().Item(); got != 0 {
			t.Errorf("a missing layer gives %g, want 0", got)
		}
		got := src.Done().Error()
		for _, want := range []string{"linear.weight: shape [20,12], want [20,16]", "missing norm.weight, norm.bias, wide.weight, wide.bias", "no use for conv.bias, conv.weight"} {
			if !strings.Contains(got, want) {
				t.Errorf("error %q does not say %q", got, want)
			}
		}
	})
}

func TestParamsKeepTheBooks(t *testing.T) {
	torchtest.Run(t, func() {
		params := nntest.NewHashed("")
		body := params.Sub("body")
		nn.NewLinear(4, 6, body.Sub("blocks").At(0).Sub("to_q"))
		nn.NewConv2d(2, 3, 1, torch.Conv{}, body.Sub("conv"))
		nn.NewLayerNorm(4, 1e-5, body.Sub("norm"))
		var names []string
		for name, tensor := range body.All() {
			names = append(names, name+tensor.String())
		}
		want := []string{
			"blocks.0.to_q.weightfloat32[6,4]", "blocks.0.to_q.biasfloat32[6]", "conv.weightfloat32[3,2,1,1]",
			"conv.biasfloat32[3]", "norm.weightfloat32[4]", "norm.biasfloat32[4]",
		}
		if !slices.Equal(names, want) {
			t.Errorf("parameters %q, want %q", names, want)
		}
		if got := slices.Collect(body.Layers()); !slices.Equal(got, []string{"blocks.0.to_q", "conv"}) {
			t.Errorf("layers %q", got)
		}
		if body.Param("conv.bias", nn.Zeros, 3) != params.Param("body.conv.bias", nn.Zeros, 3) {
			t.Error("the same name gave two tensors")
		}
		if err := torch.Run(func() { body.Param("conv.bias", nn.Zeros, 4) }); err == nil {
			t.Error("the same name was given in another shape")
		}
	})
}

// The bounds of the uniform distributions are those of PyTorch's reset_parameters.
func TestRandomStartsAsPyTorch(t *testing.T) {
	torchtest.Need(t)
	params, err := nn.Random(7, torch.Float32, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		linear := nn.NewLinear(100, 2000, params.Sub("linear"))
		conv := nn.NewConv2d(16, 64, 3, torch.Conv{}, params.Sub("conv"))
		table := nn.NewEmbedding(500, 64, params.Sub("table"))
		for name, c := range map[string]struct {
			t     torch.Tensor
			bound float64
		}{
			"linear.weight": {linear.Weight, 0.1}, "linear.bias": {linear.Bias, 0.1},
			"conv.weight": {conv.Weight, 1.0 / 12}, "conv.bias": {conv.Bias, 1.0 / 12},
		} {
			if most := c.t.Abs().Max().Item(); most > c.bound || most < 0.9*c.bound {
				t.Errorf("%s: largest number %g, want just below %g", name, most, c.bound)
			}
			if mean := c.t.Mean().Item(); mean > c.bound/2 || mean < -c.bound/2 {
				t.Errorf("%s: mean %g, want about 0", name, mean)
			}
		}
		if std := table.Weight.Flatten(0).Var(1, 0).Sqrt().Item(); std < 0.019 || std > 0.021 {
			t.Errorf("embedding: standard deviation %g, want 0.02", std)
		}
		again, err := nn.Random(7, torch.Float32, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		if !nn.NewLinear(100, 2000, again.Sub("linear")).Weight.Equal(linear.Weight) {
			t.Error("the same seed gave other numbers")
		}
		again.Drop()
	})
	params.Drop()
}

// Making, running and dropping a network with an adapter leaves no tensor behind.
func TestNothingIsLeftBehind(t *testing.T) {
	torchtest.Need(t)
	before := torch.Live()
	params, err := nn.Random(1, torch.Float32, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		net := newPair(params)
		adapter, err := nn.NewAdapter(params, 2, 2, 1, func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.Merge(); err != nil {
			t.Fatal(err)
		}
		net.forward()
		adapter.Remove()
		params.Drop()
	})
	if after := torch.Live(); after != before {
		t.Errorf("%d tensors alive, %d before", after, before)
	}
}
