package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/sd"
	"focusnfix/model/weights"
)

// dtypeNames are the element types that weights can be written in.
var dtypeNames = map[string]weights.DType{"": "", "float32": weights.F32, "bfloat16": weights.BF16, "float16": weights.F16}

// loraDialects are the names of --lora-format.
var loraDialects = []weights.Dialect{weights.PEFT, weights.Diffusers, weights.Kohya, weights.ComfyUI}

func newConvert() *cobra.Command {
	var out, dtype, dialect string
	var shard float64
	var o sd.ConvertOptions
	c := &cobra.Command{
		Use:   "convert MODEL -o OUT",
		Short: "Convert models, LoRA files and PyTorch checkpoints",
		Long: "Convert a diffusers folder to a single file or back, change the data type of its weights, rewrite a LoRA file " +
			"with other tensor names, or make a safetensors file of a PyTorch checkpoint (.ckpt, .pt, .pth, .bin) or of pickled " +
			"numpy arrays (.p). A checkpoint is a Python program; it is read without executing anything in it.",
		Example: `  focusnfix convert stable-diffusion-v1-5 -o sd15.safetensors --dtype float16
  focusnfix convert sdxl.safetensors -o my-sdxl
  focusnfix convert pytorch_lora_weights.safetensors --lora-format kohya -o lora.safetensors
  focusnfix convert v1-5-pruned.ckpt -o v1-5-pruned.safetensors`,
		Args: takes("MODEL"), ValidArgsFunction: completeModels,
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usageError{errors.New("-o is missing: want a folder, or a file that ends in .safetensors")}
			}
			known := false
			if o.DType, known = dtypeNames[dtype]; !known {
				return usageError{fmt.Errorf("--dtype %s: want float32, bfloat16 or float16", dtype)}
			}
			if weights.IsPickle(args[0]) {
				return convertPickle(c, args[0], out, dialect, o.DType)
			}
			if dialect != "" {
				return convertLoRA(args[0], out, weights.Dialect(dialect), o.DType)
			}
			if !(shard > 0) {
				return usageError{fmt.Errorf("--shard %g: want more than 0 GB", shard)}
			}
			if err := checkPrediction(o.Prediction); err != nil {
				return err
			}
			o.ShardBytes, o.Warn = uint64(shard*1e9), warnTo(c.ErrOrStderr())
			return families.Convert(args[0], out, o)
		},
	}
	f := c.Flags()
	f.StringVarP(&out, "out", "o", "", "write to `OUT`: a folder, or a file that ends in .safetensors")
	f.StringVar(&dtype, "dtype", "", "store weights in `TYPE`: float32, bfloat16 or float16 (default: unchanged)")
	f.StringVar(&o.Config, "config", "", configHelp)
	f.StringVar(&o.VAE, "vae", "", vaeHelp)
	f.StringVar(&o.Prediction, "prediction", "", predictionHelp)
	f.BoolFunc("zero-snr", zeroSNRHelp, optionalBool(&o.ZeroSNR))
	f.StringVar(&o.Variant, "variant", "", variantHelp)
	f.Float64Var(&shard, "shard", 10, "split files of a folder at `N` GB")
	f.StringVar(&dialect, "lora-format", "", "rewrite a LoRA file with the tensor names of `FORMAT`: peft, diffusers, kohya, or of transformers comfyui")
	return c
}

// convertPickle makes a safetensors file of a PyTorch checkpoint.
func convertPickle(c *cobra.Command, from, to, dialect string, dtype weights.DType) error {
	if dialect != "" || !strings.HasSuffix(to, ".safetensors") {
		return usageError{fmt.Errorf("%s: is a Python pickle; convert it to a name that ends in .safetensors first, then that file", from)}
	}
	s, err := weights.ConvertPickle(from, to, dtype)
	if err != nil {
		return err
	}
	left := ""
	if s.Others > 0 {
		left = fmt.Sprintf("; %d entries that are not tensors left out", s.Others)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %d tensors, %s%s\n", to, s.Tensors, byteCount(s.Bytes), left)
	return nil
}

func convertLoRA(from, to string, dialect weights.Dialect, dtype weights.DType) error {
	if !slices.Contains(loraDialects, dialect) {
		return usageError{fmt.Errorf("--lora-format %s: want peft, diffusers, kohya or comfyui", dialect)}
	}
	if !strings.HasSuffix(to, ".safetensors") {
		return usageError{fmt.Errorf("-o %s: want a name that ends in .safetensors", to)}
	}
	return backbone.ConvertLoRA(from, to, dialect, dtype)
}
