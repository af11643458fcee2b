package sd

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// Tolerances are relative to the largest number of the reference: sums of thousands of float32
// products in another order than PyTorch 2.15's kernels, in one layer and through a whole network.
const (
	layerTolerance = 1e-5
	unetTolerance  = 1e-5
)

const unetReference = "testdata/ref/unet.safetensors"

// unetGolden is testdata/ref/unet.json, made by the script beside it.
type unetGolden struct {
	Configs map[string]json.RawMessage
	UNet    []struct {
		Name, Inputs, Arch   string
		Timestep             float64
		Batch, Height, Width int64
		Shapes               map[string][]int64
	}
	LoRA []struct {
		Name, Arch, Targets string
		Rank                int64
		Alpha               float64
		Layers              int
	}
	Lists map[string]struct {
		nntest.List
		Config json.RawMessage
	}
}

func readUNetGolden(t testing.TB) unetGolden {
	t.Helper()
	return nntest.ReadJSON[unetGolden](t, "testdata/ref/unet.json")
}

func (g unetGolden) config(t testing.TB, arch string) UNetConfig {
	t.Helper()
	cfg, err := ParseUNetConfig(arch+".json", g.Configs[arch])
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// unetInputs are those of unet.py, which hashes them from the architecture's name.
type unetInputs struct{ latents, text, pooled, timeIDs torch.Tensor }

func newUNetInputs(arch string, cfg UNetConfig, batch, height, width int64) unetInputs {
	in := unetInputs{
		latents: nntest.Uniform(arch+".latents", batch, 4, height, width).MulScalar(2),
		text:    nntest.Uniform(arch+".text", batch, 7, cfg.CrossAttentionDim),
	}
	if n := cfg.PooledDim(); n > 0 {
		in.pooled = nntest.Uniform(arch+".pooled", batch, n)
		in.timeIDs = torch.From([]float32{128, 96, 4, 8, 128, 128}, 1, 6).Expand(batch, 6)
	}
	return in
}

func (in unetInputs) run(u *UNet, timestep float64) torch.Tensor {
	return u.Forward(in.latents, timestep, in.text, in.pooled, in.timeIDs)
}

func TestUNetMatchesDiffusers(t *testing.T) {
	golden, reference := readUNetGolden(t), nntest.OpenGolden(t, unetReference)
	for _, c := range golden.UNet {
		t.Run(c.Name, func(t *testing.T) {
			torchtest.Run(t, func() {
				cfg := golden.config(t, c.Arch)
				params := nntest.NewHashed("")
				defer params.Drop()
				u := NewUNet(cfg, params)
				in := newUNetInputs(c.Inputs, cfg, c.Batch, c.Height, c.Width)
				reference.Check(t, c.Name, in.run(u, c.Timestep), unetTolerance)
				torch.NoGrad(func() { reference.Check(t, c.Name, in.run(u, c.Timestep), unetTolerance) })
				if c.Shapes != nil {
					nntest.CheckShapes(t, params, c.Shapes)
				}
			})
		})
	}
}

// The full-size SD 1.5, SD 2.1 and SDXL have exactly diffusers' parameters.
func TestFullSizeParameters(t *testing.T) {
	golden := readUNetGolden(t)
	torchtest.Need(t)
	for name, want := range golden.Lists {
		cfg, err := ParseUNetConfig(name, want.Config)
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Run(t, func() {
			params := nn.NewParams(nntest.Weightless{})
			defer params.Drop()
			NewUNet(cfg, params)
			want.Check(t, params)
		})
	}
}

func TestUNetLayersMatchDiffusers(t *testing.T) {
	reference := nntest.OpenGolden(t, unetReference)
	at := func(name string) nn.Params { return nntest.NewHashed(name + ".") }
	torchtest.Run(t, func() {
		time, reads := nntest.Uniform("temb", 2, 48).SiLU(), text{states: nntest.Uniform("text", 2, 5, 20)}
		x := nntest.Uniform("x", 2, 32, 8, 6).MulScalar(2)
		check := func(name string, got torch.Tensor) { t.Helper(); reference.Check(t, name, got, layerTolerance) }

		check("resnet_same", newResnet(32, 32, 48, 8, 1e-5, at("resnet_same")).forward(x, time))
		check("resnet_wider", newResnet(32, 48, 48, 8, 1e-5, at("resnet_wider")).forward(x, time))
		check("resnet_no_time", newResnet(32, 32, 0, 8, 1e-6, at("resnet_no_time")).forward(x, torch.Tensor{}))
		small, tokens := x.DivScalar(100), nntest.Uniform("tokens", 2, 9, 32).DivScalar(100) // so that a norm's eps counts
		check("transformer_conv", newTransformer(32, 4, 1, 20, 8, false, at("transformer_conv")).forward(small, reads))
		check("transformer_linear", newTransformer(32, 4, 2, 20, 8, true, at("transformer_linear")).forward(small, reads))
		check("block", newTransformerBlock(32, 4, 20, at("block")).forward(tokens, reads.states, nil))
		check("down", newDownsampler(32, 40, at("down")).Forward(x))
		up := newUpsampler(32, 40, at("up"))
		check("up", up.forward(x, 16, 12))
		check("up_to_15x11", up.forward(x, 15, 11))
		timesteps := torch.From([]float32{0, 1, 333.25, 999})
		check("timesteps_32", nn.Sinusoids(timesteps, 32, true, 0))
		check("timesteps_10_unflipped_shift1", nn.Sinusoids(timesteps, 10, false, 1))
	})
}

// Pictures do not see each other, and each may have its own timestep.
func TestUNetTimestepOfEachPicture(t *testing.T) {
	golden := readUNetGolden(t)
	torchtest.Run(t, func() {
		cfg := golden.config(t, "small")
		params := nntest.NewHashed("")
		defer params.Drop()
		u := NewUNet(cfg, params)
		in := newUNetInputs("small", cfg, 2, 16, 16)
		both := u.ForwardEach(in.latents, []float64{10, 700}, in.text, in.pooled, in.timeIDs)
		for i, timestep := range []float64{10, 700} {
			alone := u.Forward(in.latents.Narrow(0, int64(i), 1), timestep, in.text.Narrow(0, int64(i), 1), in.pooled, in.timeIDs)
			if d := torchtest.MaxDiff(both.Narrow(0, int64(i), 1), alone); d > 1e-5 {
				t.Errorf("picture %d alone differs by %g", i, d)
			}
		}
		for name, f := range map[string]func(){
			"three timesteps for two pictures": func() { u.ForwardEach(in.latents, []float64{1, 2, 3}, in.text, in.pooled, in.timeIDs) },
			"pooled text without SDXL":         func() { u.Forward(in.latents, 1, in.text, in.text, in.text) },
		} {
			if err := torch.Run(f); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

// rounded gives parameters rounded to a half type, computed with in float32.
type rounded struct{ nntest.Hashed }

func (r rounded) Param(name string, init nn.Init, shape []int64) torch.Tensor {
	half := r.Hashed.Param(name, init, shape)
	defer torch.Drop(half)
	return torch.Own(torch.Scope(func() torch.Tensor { return half.To(torch.Float32) }))
}

// TestUNetInBFloat16 allows what the 8 bits of bfloat16 cost in this network, in root mean square
// because the worst of 2,000 numbers is chance. How much roundings grow on the way through it is
// measured: by float32 with rounded weights, which is one rounding for each product. In bfloat16 there
// is also one where a norm, an activation, a bias and a residual are stored, and what the sum itself
// costs, in units of one rounding. Roundings have no common sign, so their squares add up.
func TestUNetInBFloat16(t *testing.T) {
	golden, reference := readUNetGolden(t), nntest.OpenGolden(t, unetReference)
	torchtest.Run(t, func() {
		cfg, want := golden.config(t, "sd1"), reference.Tensor(t, "sd1")
		run := func(source nn.Source, dtype torch.DType) float64 {
			params := nn.NewParams(source)
			defer params.Drop()
			in := newUNetInputs("sd1", cfg, 2, 16, 16)
			in.latents, in.text = in.latents.To(torch.BFloat16).To(dtype), in.text.To(torch.BFloat16).To(dtype)
			got := in.run(NewUNet(cfg, params), 500)
			if got.DType() != dtype {
				t.Errorf("result is %v, want %v", got.DType(), dtype)
			}
			return relativeError(got, want)
		}
		hashed := nntest.Hashed{DType: torch.BFloat16}
		one, got := run(rounded{hashed}, torch.Float32), run(hashed, torch.BFloat16)
		sum := roundingsOfASum(cfg.BlockOutChannels[1])
		if most := one * math.Sqrt(1+4+sum*sum); !(got <= most) || !(one > 0) {
			t.Errorf("differs from the reference by %.3g of its norm, want at most %.3g: rounded weights cost %.3g, and a sum %.3g roundings",
				got, most, one, sum)
		}
	})
}

// roundingsOfASum is the error of a 3x3 convolution in bfloat16 in units of one rounding: 1 where
// products are summed in float32. libtorch 1.13 without AVX-512 sums K products in bfloat16 itself,
// whose roundings grow with the partial sum to sqrt(K/2).
func roundingsOfASum(channels int64) float64 {
	x := nntest.Uniform("x", 2, channels, 16, 16).To(torch.BFloat16)
	weight := nntest.Weight("weight", channels, channels, 3, 3)
	half := weight.To(torch.BFloat16)
	conv := func(x, weight torch.Tensor) torch.Tensor {
		return x.Conv2d(weight, torch.Tensor{}, torch.Conv{Padding: 1})
	}
	exact := conv(x.To(torch.Float32), half.To(torch.Float32))
	return relativeError(conv(x, half), exact) / relativeError(conv(x.To(torch.Float32), weight), exact)
}

func relativeError(got, want torch.Tensor) float64 {
	return got.To(torch.Float32).Sub(want).Norm(2).Item() / want.Norm(2).Item()
}

// What is read from a config.json is written so that it reads the same, and what passes Validate has
// a number for every level.
func FuzzParseUNetConfig(f *testing.F) {
	for _, arch := range readUNetGolden(f).Configs {
		f.Add([]byte(arch))
	}
	f.Add([]byte(`{"attention_head_dim":null,"layers_per_block":[1,2,3,4],"norm_eps":1e300}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := ParseUNetConfig("config.json", data)
		if err != nil {
			return
		}
		for level := range cfg.BlockOutChannels {
			_ = cfg.LayersPerBlock.At(level) + cfg.AttentionHeadDim.At(level) + cfg.TransformerLayers.At(level, 0)
		}
		written, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseUNetConfig("config.json", written)
		if err != nil || !reflect.DeepEqual(again, cfg) {
			t.Errorf("written as %s, read as %+v, %v; was %+v", written, again, err, cfg)
		}
	})
}

func TestUNetConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"not JSON":       {`[`, "unet.json: not JSON"},
		"another class":  {`{"_class_name":"FluxTransformer2DModel"}`, "unet.json: _class_name: \"FluxTransformer2DModel\" is not supported"},
		"act_fn":         {`{"act_fn":"gelu"}`, `act_fn: "gelu" is not supported, want "silu" or "swish"`},
		"class labels":   {`{"class_embed_type":"timestep"}`, `class_embed_type: "timestep" is not supported, want null`},
		"list":           {`{"only_cross_attention":[true,false]}`, "only_cross_attention: [true, false] is not supported, want false"},
		"block types":    {`{"down_block_types":["AttnDownBlock2D","DownBlock2D","DownBlock2D","DownBlock2D"]}`, `down_block_types[0]: "AttnDownBlock2D" is not supported`},
		"levels":         {`{"block_out_channels":[32,64]}`, "2, 4 and 4 levels, want as many of each"},
		"groups":         {`{"block_out_channels":[320,640,1280,1281]}`, "block_out_channels[3]: 1281, want a multiple of norm_num_groups, 32"},
		"heads":          {`{"attention_head_dim":7}`, "block_out_channels[0]: 320 cannot be split into 7 heads"},
		"too many heads": {`{"attention_head_dim":[8,8]}`, "attention_head_dim: 2 numbers, want 1 or 4"},
		"no layers":      {`{"layers_per_block":0}`, "layers_per_block: [0], want numbers from 1 to 4096"},
		"wrong type":     {`{"layers_per_block":"two"}`, `layers_per_block: "two", want a whole number, or a list of them`},
		"nested lists":   {`{"transformer_layers_per_block":[[1,2],[3,4]]}`, "transformer_layers_per_block: 2 numbers, want 1 or 4"},
		"of tomorrow":    {`{"use_quantum":true}`, "use_quantum: unknown key"},
		"no reverse":     {`{"transformer_layers_per_block":[1,[1,2],1,1]}`, "reverse_transformer_layers_per_block: missing"},
		"middle":         {`{"mid_block_type":"UNetMidBlock2DSimpleCrossAttn"}`, `mid_block_type: "UNetMidBlock2DSimpleCrossAttn" is not supported`},
		"guidance":       {`{"time_cond_proj_dim":1}`, "time_cond_proj_dim: 1, want null, or 4 to"},
		"channels":       {`{"in_channels":0}`, "in_channels: 0, want 1 to 64"},
		"addition":       {`{"addition_embed_type":"image"}`, `addition_embed_type: "image" is not supported, want null or text_time`},
		"addition size":  {`{"addition_embed_type":"text_time","addition_time_embed_dim":256,"projection_class_embeddings_input_dim":1536}`, "projection_class_embeddings_input_dim: 256, 1536"},
	} {
		_, err := ParseUNetConfig("unet.json", []byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
