package backbone

import (
	"errors"
	"fmt"

	"focusnfix/model/torch"
)

// LoadOptions say how a model is loaded. The zero value takes the first GPU, or the CPU, and the
// element type that suits it.
type LoadOptions struct {
	Device    torch.Device // "" is the first CUDA device, or the CPU where there is none
	DType     torch.DType  // 0 is float16, of transformers bfloat16, on a GPU, float32 on the CPU
	Variant   string       // of a folder's files: "fp16"; "" takes the plain ones if they are there
	Scheduler string       // one of sd.SchedulerNames; "" is what the folder says

	// Config is a diffusers folder that replaces the built-in configuration and tokenizer of a single
	// file. Its weights are read only for parts that the file lacks.
	Config string
	VAE    string // taken in place of the model's own: a folder, or a .safetensors file
	// Prediction replaces the scheduler's prediction_type, and what a single file says: "epsilon",
	// "v_prediction" or "sample".
	Prediction string
	// ZeroSNR, if set, says whether the last timestep is pure noise (arXiv 2305.08891).
	ZeroSNR *bool

	// KeepTextEncoder keeps the text encoders of transformers in memory after prompts are encoded; those of UNets
	// always stay.
	KeepTextEncoder bool
	// Prompts is a folder in which encoded prompts of transformers are kept; "" keeps them in memory only.
	Prompts string

	// Warn, if set, is called with one line for everything that is taken for granted.
	Warn func(line string)
}

// WithDefaults chooses device and element type, half where o names none on a GPU, and loads libtorch.
func (o LoadOptions) WithDefaults(half torch.DType) (LoadOptions, error) {
	if err := torch.Load(); err != nil {
		return o, err
	}
	if o.Device == "" {
		o.Device = torch.DefaultDevice()
	}
	if o.Device == "cuda" {
		o.Device = torch.CUDA(0)
	}
	if gpus := torch.CUDACount(); o.Device != torch.CPU && !isGPU(o.Device, gpus) {
		return o, fmt.Errorf("device %q: want cpu, or cuda:0 and up; this libtorch can use %d GPUs", o.Device, gpus)
	}
	if o.DType == 0 {
		o.DType = half
		if o.Device == torch.CPU {
			o.DType = torch.Float32
		}
	}
	if o.DType == torch.Float16 && o.Device == torch.CPU {
		return o, errors.New("float16 does not run on the CPU, want float32 or bfloat16")
	}
	if o.Device != torch.CPU {
		// float32 means float32: libtorch's convolutions would round it to TF32 by default. Beside half types it
		// is TF32, which is as precise as float16. Images have one size, so that trying kernels out pays.
		torch.Set(torch.TF32, o.DType != torch.Float32)
		torch.Set(torch.CuDNNBenchmark, true)
	}
	return o, nil
}

// isGPU reports whether d is one of the first n CUDA devices.
func isGPU(d torch.Device, n int) bool {
	for i := range n {
		if d == torch.CUDA(i) {
			return true
		}
	}
	return false
}
