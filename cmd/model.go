package cmd

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// modelFlags choose a model and how it is loaded.
type modelFlags struct {
	path, config, vae, variant, scheduler, prediction, dtype, device string
	zeroSNR                                                          *bool // nil is what the model says
	loras                                                            []string
	convertPickles                                                   bool
	lost                                                             map[string]bool // prompts that were warned of
}

// What flags of several commands do.
const (
	deviceHelp     = "compute on `DEVICE`: cpu, cuda or cuda:N (default: the first GPU, or the CPU)"
	dtypeHelp      = "compute in `TYPE`: float32, bfloat16 or float16"
	variantHelp    = "use the folder's files of variant `NAME`, such as fp16"
	configHelp     = "take a single file's configuration, and parts that it lacks, from the diffusers folder `DIR`"
	vaeHelp        = "use the VAE in `PATH`, a folder or .safetensors file, instead of the model's own"
	predictionHelp = "the UNet predicts `TYPE`: epsilon, v_prediction or sample (default: what the model says)"
	zeroSNRHelp    = "the noise ends at zero signal: rescaled betas and trailing timesteps; --zero-snr=false ends it before (default: what the model says)"
)

func (m *modelFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&m.path, "model", "m", "", "draw with `MODEL`: a diffusers folder, .safetensors file or "+scenes.BuiltinName+" (default: the one in config.toml, or "+scenes.BuiltinName+")")
	f.StringVar(&m.config, "config", "", configHelp)
	f.StringVar(&m.vae, "vae", "", vaeHelp)
	f.StringVar(&m.variant, "variant", "", variantHelp)
	f.StringVar(&m.prediction, "prediction", "", predictionHelp)
	f.StringVar(&m.scheduler, "scheduler", "", "draw with `SCHEDULER`: "+strings.Join(sd.SchedulerNames(), ", ")+" (default: what the model says)")
	f.BoolFunc("zero-snr", zeroSNRHelp, optionalBool(&m.zeroSNR))
	f.StringVar(&m.dtype, "dtype", "", dtypeHelp+" (default: float16 on a GPU, float32 on the CPU)")
	f.StringVar(&m.device, "device", "", deviceHelp)
	f.BoolVar(&m.convertPickles, "convert-pickles", false, "convert PyTorch checkpoints (.ckpt, .pt, .bin) among the files once, into the cache, without executing them")
	f.StringArrayVar(&m.loras, "lora", nil, "apply the LoRA in `FILE[:STRENGTH]`; can be repeated")
	completeFlag(c, "model", completeModels)
	completeFlag(c, "scheduler", fixedWords(sd.SchedulerNames()...))
	completeFlag(c, "dtype", fixedWords("float32", "bfloat16", "float16"))
	completeFlag(c, "prediction", fixedWords("epsilon", "v_prediction", "sample"))
}

// open loads the model, whatever its family, encodes prompts that are going to be asked for, and attaches its LoRA
// files. Warnings go to w.
func (m *modelFlags) open(w io.Writer, prompts ...string) (backbone.Model, error) {
	options, err := m.options()
	if err != nil {
		return nil, err
	}
	options.Warn = warnTo(w)
	path, err := modelPath(m.path)
	if err != nil {
		return nil, err
	}
	if path, err = m.unpickled(w, path); err != nil {
		return nil, err
	}
	if options.VAE, err = m.unpickled(w, options.VAE); err != nil {
		return nil, err
	}
	p, err := families.Open(path, options)
	if err != nil {
		return nil, err
	}
	if err := p.Prepare(prompts, m.warnOfLost(w)); err != nil {
		p.Close()
		return nil, err
	}
	for _, l := range m.loras {
		file, scale := splitLoRA(l)
		if file, err = m.unpickled(w, file); err != nil {
			p.Close()
			return nil, err
		}
		if _, err := p.AttachLoRA(file, scale); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// warnOfLost warns once of each prompt that the model does not see whole.
func (m *modelFlags) warnOfLost(w io.Writer) func(prompt, words string) {
	if m.lost == nil {
		m.lost = map[string]bool{}
	}
	return func(prompt, words string) {
		if !m.lost[prompt] {
			fmt.Fprintf(w, "warning: the prompt is too long for the model; it does not see: %s\n", words)
		}
		m.lost[prompt] = true
	}
}

func warnTo(w io.Writer) func(string) {
	return func(line string) { fmt.Fprintf(w, "warning: %s\n", core.Clean(line)) }
}

func (m *modelFlags) options() (backbone.LoadOptions, error) {
	o := backbone.LoadOptions{
		Device: torch.Device(m.device), Variant: m.variant, Scheduler: m.scheduler, Config: m.config, VAE: m.vae, Prediction: m.prediction, ZeroSNR: m.zeroSNR,
	}
	if m.scheduler != "" && !slices.Contains(sd.SchedulerNames(), m.scheduler) {
		return o, usageError{fmt.Errorf("--scheduler %s: want one of %s", m.scheduler, strings.Join(sd.SchedulerNames(), ", "))}
	}
	if err := checkPrediction(m.prediction); err != nil {
		return o, err
	}
	for _, l := range m.loras {
		if file, scale := splitLoRA(l); math.IsNaN(scale) || math.IsInf(scale, 0) {
			return o, usageError{fmt.Errorf("--lora %s: strength %g of %s, want a number", l, scale, file)}
		}
	}
	if m.dtype != "" {
		dtype, err := parseDType(m.dtype)
		if err != nil {
			return o, err
		}
		o.DType = dtype
	}
	return o, nil
}

// optionalBool is a flag that says true, false or nothing.
func optionalBool(to **bool) func(string) error {
	return func(text string) error {
		on, err := strconv.ParseBool(text)
		*to = &on
		return err
	}
}

func checkPrediction(name string) error {
	if slices.Contains([]string{"", "epsilon", "v_prediction", "sample"}, name) {
		return nil
	}
	return usageError{fmt.Errorf("--prediction %s: want epsilon, v_prediction or sample", name)}
}

func parseDType(name string) (torch.DType, error) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Float16} {
		if d.String() == name {
			return d, nil
		}
	}
	return 0, usageError{fmt.Errorf("--dtype %s: want float32, bfloat16 or float16", name)}
}

// splitLoRA takes FILE:SCALE apart; without a scale it is 1.
func splitLoRA(s string) (file string, scale float64) {
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		if scale, err := strconv.ParseFloat(s[i+1:], 64); err == nil {
			return s[:i], scale
		}
	}
	return s, 1
}
