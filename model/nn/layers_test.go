package nn_test

import (
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

const reference = "testdata/ref/layers.safetensors"

// layerTolerance: float32 sums of up to 54 products, in another order than PyTorch's.
const layerTolerance = 1e-6

func TestLayersMatchPyTorch(t *testing.T) {
	golden := nntest.OpenGolden(t, reference)
	at := func(name string) nn.Params { return nntest.NewHashed(name + ".") }
	layers := []struct {
		name  string
		layer interface {
			Forward(torch.Tensor) torch.Tensor
		}
		shape []int64
	}{
		{"linear", nn.NewLinear(12, 20, at("linear")), []int64{2, 5, 12}},
		{"linear_no_bias", nn.NewLinearNoBias(12, 20, at("linear_no_bias")), []int64{3, 12}},
		{"conv3x3", nn.NewConv2d(6, 10, 3, torch.Conv{Padding: 1}, at("conv3x3")), []int64{2, 6, 7, 5}},
		{"conv3x3_stride2", nn.NewConv2d(6, 10, 3, torch.Conv{Stride: 2, Padding: 1}, at("conv3x3_stride2")), []int64{2, 6, 7, 5}},
		{"conv1x1_no_bias", nn.NewConv2dNoBias(6, 10, 1, torch.Conv{}, at("conv1x1_no_bias")), []int64{2, 6, 7, 5}},
		{"group_norm", nn.NewGroupNorm(4, 16, 1e-6, at("group_norm")), []int64{2, 16, 5, 3}},
		{"layer_norm", nn.NewLayerNorm(24, 1e-5, at("layer_norm")), []int64{2, 3, 24}},
	}
	torchtest.Run(t, func() {
		for _, l := range layers {
			x := nntest.Uniform(l.name+".x", l.shape...).MulScalar(3)
			golden.Check(t, l.name, l.layer.Forward(x), layerTolerance)
		}
		table := nn.NewEmbedding(11, 6, at("embedding"))
		golden.Check(t, "embedding", table.Forward(torch.From([]int64{0, 10, 3, 7, 7, 1}, 2, 3)), 0)
	})
}

func TestAttentionMatchesPyTorch(t *testing.T) {
	golden := nntest.OpenGolden(t, reference)
	torchtest.Run(t, func() {
		q := nntest.Uniform("attention.q", 2, 3, 9, 8).MulScalar(2)
		k := nntest.Uniform("attention.k", 2, 3, 13, 8).MulScalar(2)
		v := nntest.Uniform("attention.v", 2, 3, 13, 8).MulScalar(2)
		mask := nntest.Uniform("attention.mask", 2, 1, 9, 13).MulScalar(4)
		none := torch.Tensor{}
		golden.Check(t, "attention", nn.Attention(q, k, v, none, false), layerTolerance)
		golden.Check(t, "attention_masked", nn.Attention(q, k, v, mask, false), layerTolerance)
		golden.Check(t, "attention_causal", nn.Attention(q, k.Narrow(2, 0, 9), v.Narrow(2, 0, 9), none, true), layerTolerance)
	})
}

// libtorch 1.13's GroupNorm is wrong by 56 to 84 % for bfloat16 in channels-last memory on the CPU;
// ours must stay within bfloat16's own rounding (8 bits of mantissa: 2⁻⁸ of the largest number).
func TestGroupNormOfHalfTypes(t *testing.T) {
	torchtest.Run(t, func() {
		norm := nn.NewGroupNorm(8, 64, 1e-5, nntest.NewHashed("norm."))
		half := nn.NewGroupNorm(8, 64, 1e-5, nn.NewParams(nntest.Hashed{Prefix: "norm.", DType: torch.BFloat16}))
		x := nntest.Uniform("x", 2, 64, 16, 16).MulScalar(3).AddScalar(1)
		want := norm.Forward(x)
		for name, x := range map[string]torch.Tensor{
			"contiguous": x.To(torch.BFloat16), "channels last": x.To(torch.BFloat16).ChannelsLast(),
		} {
			got := half.Forward(x)
			if got.DType() != torch.BFloat16 {
				t.Errorf("%s: element type %v, want bfloat16", name, got.DType())
			}
			if d := torchtest.MaxDiff(got, want) / want.Abs().Max().Item(); d > 1.0/128 {
				t.Errorf("%s: differs by %.3g of the largest number", name, d)
			}
		}
		layer := nn.NewLayerNorm(16, 1e-5, nn.NewParams(nntest.Hashed{Prefix: "layer.", DType: torch.BFloat16}))
		if got := layer.Forward(x.To(torch.BFloat16)).DType(); got != torch.BFloat16 {
			t.Errorf("layer norm: element type %v, want bfloat16", got)
		}
	})
}
