package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
	"focusnfix/model/weights/pickle"
)

// checked is what `focusnfix check` found out.
type checked struct {
	Path   string            `json:"path"`
	What   string            `json:"what"`   // "a LoRA for SD 1"
	Usable bool              `json:"usable"` // as a model, a LoRA or a reward
	Use    string            `json:"use"`    // the flag or setting that takes it
	Model  *backbone.Facts   `json:"model,omitempty"`
	LoRA   *loraFacts        `json:"lora,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Odd    []string          `json:"odd"`
}

// loraFacts are what a LoRA file holds.
type loraFacts struct {
	Dialect string         `json:"dialect"`
	Methods map[string]int `json:"methods"` // modules by method
	Parts   map[string]int `json:"parts"`   // modules by part of the model
	Ranks   []int64        `json:"ranks"`
	Alphas  []float64      `json:"alphas"`
	DTypes  []string       `json:"dtypes"`
	Bytes   int64          `json:"bytes"`
}

func newCheck() *cobra.Command {
	var asJSON, quick bool
	var o backbone.LoadOptions
	c := &cobra.Command{
		Use:   "check FILE | FOLDER | REWARD",
		Short: "Tell what a file or reward is, and what is odd about it",
		Long: "Tell what a file or folder is, for which family, in which data types and sizes, what would be used of it and what " +
			"is odd: unknown keys, NaN, missing parts, methods that are not applied. A reward is named as in a configuration, " +
			"and is opened on the CPU. The exit code is 1 for what cannot be used.",
		Example: `  focusnfix check v1-5-pruned.safetensors
  focusnfix check lora.safetensors --json
  focusnfix check "q16:q16.safetensors?clip=clip-vit-large-patch14"`,
		Args: takes("FILE"), ValidArgsFunction: completeModels,
		RunE: func(c *cobra.Command, args []string) error {
			found, err := check(args[0], o, !quick)
			if asJSON {
				text, failed := json.MarshalIndent(found, "", "  ")
				if failed != nil {
					return failed
				}
				fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
			} else {
				found.print(c.OutOrStdout())
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&quick, "quick", false, "do not read all weights in search of NaN and infinity")
	f.StringVar(&o.Config, "config", "", configHelp)
	f.StringVar(&o.Variant, "variant", "", variantHelp)
	return c
}

var rewardSpec = regexp.MustCompile(`^[a-z][a-z0-9-]*:`)

// check looks at one thing. The error says why it cannot be used.
func check(path string, o backbone.LoadOptions, every bool) (*checked, error) {
	found := &checked{Path: path, Odd: []string{}}
	info, err := os.Stat(path)
	switch {
	case err != nil && rewardSpec.MatchString(path):
		return found, found.checkReward(path)
	case err != nil:
		return found, err
	case !info.IsDir() && weights.IsPickle(path):
		return found, found.checkPickle(path)
	case info.IsDir():
		found.What = "a folder"
		return found, found.checkModel(path, o, every)
	}
	f, err := weights.Open(path)
	if err != nil {
		return found, err
	}
	what := weights.Identify(f)
	found.What, found.Header = what.String(), f.Metadata
	switch {
	case what.What == weights.WhatLoRA:
		err = found.checkLoRA(f, every)
	case what.What == weights.WhatCheckpoint || weights.TransformerKind(f) != "":
		err = found.checkModel(path, o, every)
	default:
		err = found.checkOther(f, what, every)
	}
	return found, errors.Join(err, f.Close())
}

func (c *checked) checkModel(path string, o backbone.LoadOptions, every bool) error {
	facts, err := families.Inspect(path, o, every)
	if err != nil {
		return err
	}
	c.Model, c.Odd = &facts, append(c.Odd, facts.Odd...)
	c.What = fmt.Sprintf("a model of %s, %s", facts.Kind, facts.Layout)
	c.Use = "generate --model, train --set model.path="
	if facts.Layout == backbone.SingleLayout && facts.Scheduler == "" { // whatever a single file cannot say, a folder must
		c.Use += ", with --config FOLDER or --set model.config="
	}
	return c.verdict()
}

// verdict is an error for a model whose weights are broken.
func (c *checked) verdict() error {
	for _, odd := range c.Odd {
		if strings.Contains(odd, "holds NaN or infinity") {
			return errors.New(odd)
		}
	}
	c.Usable = true
	return nil
}

func (c *checked) checkLoRA(f *weights.File, every bool) error {
	lora, err := weights.ReadLoRA(f)
	if err != nil {
		return err
	}
	facts := &loraFacts{Dialect: string(lora.Dialect), Methods: map[string]int{}, Parts: map[string]int{}}
	for _, m := range lora.Modules {
		facts.Methods[m.Describe()]++
		facts.Parts[m.Component]++
		facts.Ranks = with(facts.Ranks, m.Rank())
		facts.Alphas = with(facts.Alphas, m.Alpha)
	}
	for _, t := range f.Tensors {
		facts.DTypes = with(facts.DTypes, string(t.DType))
		facts.Bytes += int64(len(t.Bytes))
	}
	c.LoRA, c.Use = facts, "generate --lora"
	c.look(f, every)
	return c.verdict()
}

func (c *checked) checkOther(f *weights.File, what weights.Identity, every bool) error {
	c.look(f, every)
	c.Use = map[string]string{
		weights.WhatVAE: "generate --vae", "the learned prompts of Q16": "a reward q16:FILE?clip=DIR",
		"an aesthetic predictor of LAION": "a reward aesthetic:FILE?clip=DIR", weights.WhatCLIP: "a reward clip:DIR, or hpsv2:FILE",
		"a safety checker of CompVis": "a reward safety:DIR", "a ViT image classifier": "a reward vit:DIR?label=LABEL",
	}[what.What]
	if c.Use == "" {
		return fmt.Errorf("%s: is %s, which has no use here", f.Path, what)
	}
	return c.verdict()
}

// look searches the tensors of a file for what is odd.
func (c *checked) look(f *weights.File, every bool) {
	for _, t := range f.Tensors {
		if every && !t.IsFinite() {
			c.Odd = append(c.Odd, t.Path+": "+t.Key+": holds NaN or infinity")
		}
	}
}

func (c *checked) checkPickle(path string) error {
	f, err := pickle.Open(path)
	if err != nil {
		return err
	}
	c.What = fmt.Sprintf("a Python pickle of %d tensors", len(f.Tensors))
	if f.Others > 0 {
		c.Odd = append(c.Odd, fmt.Sprintf("%d entries that are not tensors", f.Others))
	}
	c.Use = "focusnfix convert"
	return errors.Join(f.Close(), fmt.Errorf("%s: cannot be used as it is; `focusnfix convert` makes a safetensors file of it", path))
}

func (c *checked) checkReward(spec string) error {
	c.What, c.Use = "a reward", "reward.model, reward.held_out"
	if err := torch.Load(); err != nil {
		return err
	}
	r, err := reward.Open(spec, torch.CPU)
	if err != nil {
		return err
	}
	if closer, ok := r.(interface{ Close() }); ok {
		closer.Close()
	}
	c.Usable = true
	return nil
}

// with adds what is not in the sorted list yet.
func with[T int64 | float64 | string](list []T, v T) []T {
	i, ok := slices.BinarySearch(list, v)
	if ok {
		return list
	}
	return slices.Insert(list, i, v)
}

// headerShown are the keys of a header that say where a file comes from.
var headerShown = []string{
	"modelspec.title", "modelspec.author", "modelspec.license", "modelspec.architecture", "modelspec.prediction_type",
	"ss_output_name", "ss_base_model_version", "ss_sd_model_name", "ss_network_module", "focusnfix_run",
}

func (c *checked) print(w io.Writer) {
	if c.What == "" {
		return // the error says all
	}
	fmt.Fprintf(w, "%s: %s\n", core.Clean(c.Path), c.What)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(t, "  %s\t%s\n", name, core.Clean(fmt.Sprint(value))) }
	if m := c.Model; m != nil {
		row("pipeline", m.Pipeline)
		row("prediction", m.Prediction)
		if m.Scheduler != "" {
			row("scheduler", m.Scheduler)
			row("size", fmt.Sprintf("%dx%d", m.Pixels, m.Pixels))
		}
		for _, p := range m.Parts {
			row(p.Name, fmt.Sprintf("%d tensors, %.1f M parameters, %s, %s", p.Tensors, float64(p.Parameters)/1e6, strings.Join(p.DTypes, " "), byteCount(p.Bytes)))
		}
	}
	if l := c.LoRA; l != nil {
		row("names", l.Dialect)
		row("methods", counted(l.Methods))
		row("modules", counted(l.Parts))
		row("rank", joinNumbers(l.Ranks))
		row("alpha", joinNumbers(l.Alphas))
		row("weights", fmt.Sprintf("%s, %s", strings.Join(l.DTypes, " "), byteCount(l.Bytes)))
	}
	for _, key := range headerShown {
		if value := c.Header[key]; value != "" {
			row(key, value)
		}
	}
	if c.Use != "" {
		row("use", c.Use)
	}
	for _, odd := range c.Odd {
		row("odd", odd)
	}
	_ = t.Flush() // nobody is left to tell
}

// counted is "LoRA 128, LoHa 2".
func counted(counts map[string]int) string {
	var names []string
	for name := range counts {
		names = with(names, name)
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(names, ", ")
}

func joinNumbers[T int64 | float64](numbers []T) string {
	if len(numbers) > 6 {
		return fmt.Sprintf("%d values from %v to %v", len(numbers), numbers[0], numbers[len(numbers)-1])
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprint(n)
	}
	return strings.Join(texts, ", ")
}
