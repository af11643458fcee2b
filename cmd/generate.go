package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
	"focusnfix/tui/picture"
)

// generateFlags are the flags of `focusnfix generate`.
type generateFlags struct {
	model             modelFlags
	negative          string
	seed              uint64
	sampling          core.Sampling // its scheduler is the model's
	count             int
	batch, clipSkip   int
	size, out         string
	strength          float64 // of that run's LoRA weights
	ofRun             string  // whose newest checkpoint and model to draw with
	runs              runsFlag
	trust             trustFlag
	protocol          string // how images are shown in a terminal
	randomSeed, quiet bool
}

func newGenerate() *cobra.Command {
	g := new(generateFlags)
	c := &cobra.Command{
		Use:   "generate PROMPT",
		Short: "Draw images from a prompt",
		Long: "Draw images from a prompt and write them as PNG files, whose text says how they were drawn. In a terminal, " +
			"show them, too. With --run, draw with a run's model, settings and newest checkpoint. Known models: " + strings.Join(families.Names(), ", ") + ".",
		Example: `  focusnfix generate "a chef in the park"
  focusnfix generate "a chef in the park" --run 3aym --seed 7
  focusnfix generate "a chef" -m sdxl.safetensors --lora fix.safetensors:0.8 -n 4`,
		Args: takes("PROMPT"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			g.randomSeed = !c.Flags().Changed("seed")
			if err := g.suitRun(c); err != nil {
				return err
			}
			if err := g.suitConfig(); err != nil {
				return err
			}
			g.suitBuiltin(c.Flags().Changed)
			warnOfUnknownWords(c.ErrOrStderr(), g.model.path, args[0])
			return g.run(c, args[0])
		},
	}
	f := c.Flags()
	g.model.add(c)
	f.StringVar(&g.ofRun, "run", "", "draw with the model, settings and newest checkpoint of `RUN`; flags override its settings")
	f.Float64Var(&g.strength, "strength", 1, strengthHelp)
	g.runs.add(c)
	g.trust.add(c)
	f.StringVar(&g.negative, "negative", "", "keep `PROMPT` out of the images")
	f.Uint64Var(&g.seed, "seed", 0, "random seed `N` of the first image; increments by one (default: random)")
	f.IntVar(&g.sampling.NumSteps, "steps", 30, "denoise in `N` steps")
	f.Float64Var(&g.sampling.GuidanceScale, "guidance", 7.5, "classifier-free guidance of scale `W`; 1 is none")
	f.Float64Var(&g.sampling.Eta, "eta", 0, "noise `ETA` of DDIM: 0 is deterministic, 1 as noisy as DDPM")
	f.Float64Var(&g.sampling.GuidanceRescale, "guidance-rescale", 0, "restore the contrast of unguided images by the share `PHI`, 0 to 1; zero-SNR models like 0.7")
	f.IntVar(&g.clipSkip, "clip-skip", 0, "leave out the last `N` layers of the text encoder")
	f.StringVar(&g.size, "size", "", "draw `WxH` pixels (default: what the model was trained on)")
	f.IntVarP(&g.count, "count", "n", 1, "draw `N` images")
	f.IntVar(&g.batch, "batch", 1, "draw `N` images at once: faster on a GPU, and takes more memory")
	f.StringVarP(&g.out, "out", "o", "", "write `FILE`.png; of several images, FILE-SEED.png (default: SEED.png)")
	f.StringVar(&g.sampling.Preview, "preview", "", previewHelp)
	f.StringVar(&g.protocol, "images", "", imagesHelp+" (default: $FNF_IMAGES, or auto)")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "show no progress bar")
	completeFlag(c, "images", fixedWords(imageProtocols...))
	completeFlag(c, "run", completeRuns(&g.runs, 0))
	return c
}

// run draws the images, batch by batch, prints the name of each file and, in a terminal, shows it.
func (g *generateFlags) run(c *cobra.Command, prompt string) error {
	if err := g.validate(); err != nil {
		return err
	}
	probe, err := picture.NewProbe(os.Stdout, g.protocol, "", os.Getenv)
	if err != nil {
		return usageError{err}
	}
	if err := prepareOut(g.out); err != nil {
		return err
	}
	p, err := g.model.open(c.ErrOrStderr(), prompt, g.negative)
	if err != nil {
		return err
	}
	defer p.Close()
	if g.sampling.Size == (core.Size{}) {
		width, height := p.NaturalSize()
		g.sampling.Size = core.Size{Width: int(width), Height: int(height)}
	}
	previews, err := newPreviews(c.Context(), g.sampling.Preview, probe, p)
	if err != nil {
		return err
	}
	defer previews.close()
	bar := newProgress(c.ErrOrStderr(), "draw")
	for first := 0; first < g.count; first += g.batch {
		request := g.request(prompt, first, min(g.batch, g.count-first))
		request.Lost = g.model.warnOfLost(c.ErrOrStderr())
		if !g.quiet {
			rounds := (g.count + g.batch - 1) / g.batch
			request.Progress = func(step, of int, _ torch.Tensor) { bar.show(first/g.batch*of+step, rounds*of) }
		}
		request.Estimate = previews.watch()
		pictures, err := backbone.Generate(c.Context(), p, request)
		if err = errors.Join(err, previews.clear()); err != nil {
			return err
		}
		for i, picture := range pictures {
			path, err := g.save(p.About(), picture, request, i)
			if err != nil {
				return err
			}
			if err := show(c, probe, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepareOut makes the folder of a file that will be written, and tries to write there: hours of drawing
// should not end in an error about a folder.
func prepareOut(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && path != "" && info.IsDir() {
		return fmt.Errorf("-o %s: is a folder, want the name of a file", path)
	}
	probe, err := os.CreateTemp(dir, ".focusnfix-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// show prints the name of an image's file and, in a terminal, the image.
func show(c *cobra.Command, probe *picture.Probe, path string) error {
	fmt.Fprintln(c.OutOrStdout(), path)
	if c.OutOrStdout() != io.Writer(os.Stdout) || !picture.IsTerminal(os.Stdout) {
		return nil
	}
	return view(c.Context(), os.Stdout, probe, picture.Printer{}, []string{path})
}

// suitConfig draws with the model of config.toml in this folder, else with the shipped one, where no flag names one.
func (g *generateFlags) suitConfig() error {
	if g.model.path != "" {
		return nil
	}
	own, err := ownConfig()
	if err != nil {
		return err
	}
	c, err := core.Load(own, nil)
	if err != nil {
		return usageError{err}
	}
	g.sampling.Preview = cmp.Or(g.sampling.Preview, c.Sample.Preview)
	g.model.path = c.Model.Path
	g.model.config = cmp.Or(g.model.config, c.Model.Config)
	g.model.prediction = cmp.Or(g.model.prediction, unlessAuto(c.Model.Prediction))
	g.model.zeroSNR = cmp.Or(g.model.zeroSNR, zeroSNR(c))
	g.model.dtype = cmp.Or(g.model.dtype, unlessAuto(c.Model.DType))
	g.model.device = cmp.Or(g.model.device, unlessAuto(c.Model.Device))
	return nil
}

// suitBuiltin draws with the shipped model as it draws best, where the user has no wish.
func (g *generateFlags) suitBuiltin(chosen func(flag string) bool) {
	if g.model.path != scenes.BuiltinName || g.ofRun != "" {
		return
	}
	if !chosen("steps") {
		g.sampling.NumSteps = builtinSteps
	}
	if !chosen("guidance") {
		g.sampling.GuidanceScale = builtinGuidance
	}
}

// validate checks what can be checked before a model is loaded.
func (g *generateFlags) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if g.sampling.Size, err = core.ParseSize(g.size); err != nil {
		wrong("--size: %w", err)
	} else if err := g.sampling.Check(samplingFlag); err != nil {
		errs = append(errs, err)
	}
	if g.count < 1 || g.batch < 1 {
		wrong("-n %d --batch %d: want 1 or more", g.count, g.batch)
	}
	if g.out != "" && !strings.EqualFold(filepath.Ext(g.out), ".png") {
		wrong("-o %s: want a name that ends in .png", g.out)
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	if g.randomSeed {
		g.seed = uint64(rand.Uint32())
	}
	return nil
}

// samplingFlag is the flag of a key of the sampling.
func samplingFlag(key string) string {
	return map[string]string{"num_steps": "--steps", "guidance_scale": "--guidance", "guidance_rescale": "--guidance-rescale", "eta": "--eta", "size": "--size"}[key]
}

func (g *generateFlags) request(prompt string, first, n int) backbone.Request {
	r := backbone.Request{
		Wording: backbone.Wording{
			Negative: g.negative, GuidanceScale: g.sampling.GuidanceScale, GuidanceRescale: g.sampling.GuidanceRescale, ClipSkip: g.clipSkip,
			Width: int64(g.sampling.Size.Width), Height: int64(g.sampling.Size.Height),
		},
		NumSteps: g.sampling.NumSteps, Eta: g.sampling.Eta,
	}
	for i := range n {
		r.Prompts = append(r.Prompts, prompt)
		r.Seeds = append(r.Seeds, g.seed+uint64(first+i))
	}
	return r
}

// save writes image i of a request, with how it was drawn, and returns the name of its file.
func (g *generateFlags) save(p backbone.About, picture image.Image, r backbone.Request, i int) (string, error) {
	how := core.Parameters{
		Drawing: core.Drawing{Prompt: r.Prompts[i], Negative: r.Negative, Seed: r.Seeds[i], Sampling: g.sampling},
		Sampler: p.Sampler, Model: p.Name, ClipSkip: r.ClipSkip, Version: "focusnfix " + version,
	}
	for i, l := range g.model.loras {
		file, scale := splitLoRA(l)
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if g.ofRun != "" && i == 0 {
			name = g.ofRun
		}
		how.LoRA = append(how.LoRA, core.LoRAUse{Name: name, Scale: scale})
	}
	path := g.fileName(r.Seeds[i])
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	err = core.WritePNG(file, picture, core.PNGText{Key: core.ParametersKey, Text: how.String()})
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return path, nil
}

// fileName is where the image of a seed goes.
func (g *generateFlags) fileName(seed uint64) string {
	switch {
	case g.out == "":
		return fmt.Sprintf("%d.png", seed)
	case g.count == 1:
		return g.out
	}
	ending := filepath.Ext(g.out)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(g.out, ending), seed, ending)
}
