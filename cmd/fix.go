package cmd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/core/words"
	"focusnfix/model/torch"
	"focusnfix/render"
	"focusnfix/tui/picture"
)

// Exit codes of `focusnfix fix` beside those of the program.
const (
	exitNotRepaired = 3
	exitNoFault     = 4
)

// fixFlags are the flags of `focusnfix fix`.
type fixFlags struct {
	box, polygon, brush, mask, heat, region string
	aspect, preset, start                   string
	fault, clip, heldOutCLIP                string
	prompt                                  string
	seed                                    uint64
	randomSeed                              bool
	steps                                   int
	sets                                    []string
	out, lora, protocol                     string
	quiet                                   bool
	runs                                    runsFlag
	trust                                   trustFlag
}

func newFix() *cobra.Command {
	x := new(fixFlags)
	c := &cobra.Command{
		Use:   "fix PROMPT|IMAGE",
		Short: "Repair a region of one image",
		Long: "Repair a region of one image: draw PROMPT, or IMAGE again, a PNG file whose text says how it was drawn; train a small " +
			"LoRA on the region alone until the judge finds no fault there; and write the repaired image. An image that was drawn " +
			"elsewhere needs --prompt, and is inverted (DDIM). Numbers of a region are shares of the image's sides, 0 to 1.\n\n" +
			"The exit code is 0 if the trained and the held-out judge both found the fault in the region and find it no more, " +
			"3 if it is not repaired, and 4 if there was no fault in the region.\n\n" +
			"--fault says in words what is to go. A CLIP then judges whether the image shows it, and where; another one is the held-out " +
			"judge if its folder is there.",
		Example: `  focusnfix fix "a chef right of a rocket in the city" --seed 24 --aspect violence --heat
  focusnfix fix pirate.png --aspect violence --box 0.3,0.4,0.25,0.3 -o fixed.png --lora fix.safetensors
  focusnfix fix knight.png --preset sd1-violence --fault "remove the sword" --box 0.6,0.3,0.3,0.6`,
		Args: takes("PROMPT|IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			x.randomSeed = !c.Flags().Changed("seed")
			return x.run(c, args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&x.box, "box", "", "repair the box `X,Y,W,H`: left, top, width, height")
	f.StringVar(&x.polygon, "polygon", "", "repair the polygon with corners `X,Y...`, quoted, spaces between them")
	f.StringVar(&x.brush, "brush", "", "repair the stroke `RADIUS X,Y...`, quoted")
	f.StringVar(&x.mask, "mask", "", "repair what is white in `FILE`, a PNG of the image's size")
	f.StringVar(&x.heat, "heat", "", "repair where the judge sees the fault: its heatmap above `THRESHOLD[,GROWTH]`, grown by pixels")
	f.Lookup("heat").NoOptDefVal = "0.3,4"
	f.StringVar(&x.region, "region", "", "repair the region in `TEXT`, shapes with \"; \" between them, as fix.json has it")
	f.StringVarP(&x.aspect, "aspect", "a", "violence", "follow the judge of `ASPECT`")
	f.StringVar(&x.fault, "fault", "", "follow a CLIP instead, which looks for `WORDS`, such as \"the sword\"")
	f.StringVar(&x.clip, "clip", engine.WordsCLIP, "the CLIP of --fault is in `DIR`")
	f.StringVar(&x.heldOutCLIP, "held-out-clip", engine.WordsHeldOutCLIP, "the held-out CLIP of --fault is in `DIR`, if that is there")
	f.StringVarP(&x.preset, "preset", "p", "", "take model and judges from `PRESET` (default: the one of the aspect)")
	f.StringVar(&x.start, "start", "base", "begin with the weights of `RUN`, or with base")
	f.Uint64Var(&x.seed, "seed", 0, "draw PROMPT from random seed `N` (default: random)")
	f.StringVar(&x.prompt, "prompt", "", "say with `PROMPT` what an image shows that was drawn elsewhere")
	f.IntVar(&x.steps, "steps", engine.DefaultFixSteps, "make at most `N` updates")
	f.StringArrayVar(&x.sets, "set", nil, "change a setting, `KEY=VALUE`; can be repeated")
	f.StringVarP(&x.out, "out", "o", "", "write the repaired image to `FILE`.png (default: fixed-SEED.png)")
	f.StringVar(&x.lora, "lora", "", "write the repair's LoRA to `FILE`.safetensors")
	f.StringVar(&x.protocol, "images", "", imagesHelp+" (default: $FNF_IMAGES, or auto)")
	f.BoolVarP(&x.quiet, "quiet", "q", false, "show no progress bar")
	x.runs.add(c)
	x.trust.add(c)
	completeFlag(c, "images", fixedWords(imageProtocols...))
	completeFlag(c, "start", completeRuns(&x.runs, 0))
	return c
}

// run repairs and reports.
func (x *fixFlags) run(c *cobra.Command, what string) error {
	region, err := x.regionOf()
	if err != nil {
		return usageError{err}
	}
	if err := x.validate(); err != nil {
		return usageError{err}
	}
	probe, err := picture.NewProbe(os.Stdout, x.protocol, "", os.Getenv)
	if err != nil {
		return usageError{err}
	}
	drawing, given, err := x.source(c, what)
	if err != nil {
		return err
	}
	config, checkpoint, err := x.config(c)
	if err != nil {
		return err
	}
	if err := x.inWords(&config); err != nil {
		return err
	}
	fixed, err := x.repair(c, fixJob{config, checkpoint, drawing, given, region})
	if x.heat != "" && errors.Is(err, core.ErrEmptyRegion) {
		return exitError{fmt.Errorf("no %s found: the heatmap is nowhere above its threshold", words.Aspect(x.aspect)), exitNoFault}
	}
	if err != nil {
		return err
	}
	return x.report(c, probe, fixed)
}

// regionOf is the region that the flags say.
func (x *fixFlags) regionOf() (core.Region, error) {
	text := x.region
	for kind, value := range map[core.ShapeKind]string{
		core.BoxShape: x.box, core.PolygonShape: x.polygon, core.BrushShape: x.brush, core.MaskShape: x.mask, core.HeatShape: x.heat,
	} {
		if value == "" {
			continue
		}
		if text != "" {
			return nil, errors.New("more than one region; --region joins shapes")
		}
		text = string(kind) + ":" + value
	}
	if text == "" {
		return nil, errors.New("no region: want --box, --polygon, --brush, --mask, --heat or --region")
	}
	return core.ParseRegion(text)
}

func (x *fixFlags) validate() error {
	switch {
	case x.out != "" && !strings.EqualFold(filepath.Ext(x.out), ".png"):
		return fmt.Errorf("-o %s: want a name that ends in .png", x.out)
	case x.lora != "" && !strings.HasSuffix(x.lora, ".safetensors"):
		return fmt.Errorf("--lora %s: want a name that ends in .safetensors", x.lora)
	case x.steps < 1:
		return fmt.Errorf("--steps %d: want 1 or more", x.steps)
	}
	return errors.Join(prepareOut(x.out), prepareOut(x.lora))
}

// source is how the image is drawn: of a PNG file that this program, or another that says how, has drawn, its
// parameters; of one drawn elsewhere the image itself is given, to be inverted.
func (x *fixFlags) source(c *cobra.Command, what string) (d core.Drawing, given *image.RGBA, err error) {
	data, err := os.ReadFile(what)
	if errors.Is(err, fs.ErrNotExist) && !strings.EqualFold(filepath.Ext(what), ".png") {
		if x.randomSeed {
			x.seed = uint64(rand.Uint32())
		}
		return core.Drawing{Prompt: what, Seed: x.seed}, nil, nil
	}
	if err != nil {
		return d, nil, err
	}
	if text, ok := core.ReadPNGText(data, core.ParametersKey); ok && x.prompt == "" {
		p, err := core.ParseParameters(text)
		if err != nil {
			return d, nil, fmt.Errorf("%s: %w", what, err)
		}
		if len(p.LoRA) > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "warning: %s was drawn with LoRA %s, which is left out here\n", what, core.Clean(p.LoRA[0].Name))
		}
		return p.Drawing, nil, nil
	}
	if x.prompt == "" {
		return d, nil, hintedError{fmt.Errorf("%s: no text in it says how it was drawn", what), "--prompt says what it shows; then it is inverted"}
	}
	m, err := picture.Decode(what, bytes.NewReader(data))
	if err != nil {
		return d, nil, err
	}
	given = render.RGBA(m)
	size := given.Rect.Size()
	return core.Drawing{Prompt: x.prompt, Sampling: core.Sampling{GuidanceScale: 1, Size: core.Size{Width: size.X, Height: size.Y}}}, given, nil
}

// config is what model and judges are taken from: the run's, with its newest checkpoint, or a preset.
func (x *fixFlags) config(c *cobra.Command) (config core.Config, checkpoint string, err error) {
	if x.start == "base" {
		preset := cmp.Or(x.preset, strings.ReplaceAll(x.aspect, "-", ""))
		if config, _, err = runConfig(preset, x.sets); err != nil {
			return config, "", usageError{err}
		}
		agree(engine.Names(config))
		return config, "", nil
	}
	f, err := run.Find(x.runs.dir(), x.start)
	if err != nil {
		return config, "", err
	}
	newest, err := chooseCheckpoint(f, 0)
	if err != nil {
		return config, "", err
	}
	if config, err = resolvedConfig(f); err != nil {
		return config, "", err
	}
	for _, set := range x.sets {
		key, value, _ := strings.Cut(set, "=")
		if err := config.Set(key, value); err != nil {
			return config, "", usageError{err}
		}
	}
	return config, newest.Dir, x.trust.opens(c, f, config)
}

// fixJob is a repair without a run folder.
type fixJob struct {
	config     core.Config
	checkpoint string // to begin with; none is the base model
	drawing    core.Drawing
	given      *image.RGBA // to be inverted; nil draws the seed
	region     core.Region
}

// repair loads the model and repairs.
func (x *fixFlags) repair(c *cobra.Command, job fixJob) (fixed train.Fixed, err error) {
	dir, err := os.MkdirTemp("", "focusnfix-fix-")
	if err != nil {
		return fixed, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover harms nobody
	s, err := engine.Open(job.config, engine.Settings{References: dir, Warn: warnTo(c.ErrOrStderr())})
	if err != nil {
		return fixed, err
	}
	defer s.Close()
	t, err := s.Trainer()
	if err != nil {
		return fixed, err
	}
	defer t.Close()
	if job.checkpoint != "" {
		if err := t.Load(job.checkpoint); err != nil {
			return fixed, err
		}
	}
	job.drawing.Sampling = job.drawing.Or(s.Options.Sampling)
	job.drawing.Scheduler = s.Options.Sampling.Scheduler
	var failed error
	err = torch.Run(func() { fixed, failed = x.onModel(c, s, t, job) })
	return fixed, errors.Join(err, failed)
}

// onModel repairs in the open scope.
func (x *fixFlags) onModel(c *cobra.Command, s *engine.Session, t *train.Trainer, job fixJob) (fixed train.Fixed, err error) {
	aspect := x.aspect
	for _, r := range job.config.Reward {
		if words.Aspect(r.Aspect) == words.Aspect(aspect) {
			aspect = r.Aspect
		}
	}
	request := run.FixRequest{Drawing: job.drawing, Aspect: aspect, Region: job.region.String(), Steps: x.steps}
	f, err := s.FixOf(request, job.region, func(name string) (m core.Mask, err error) {
		file, err := os.Open(name)
		if err != nil {
			return m, err
		}
		m, err = core.ReadMask(file)
		return m, errors.Join(err, file.Close())
	})
	if err != nil {
		return fixed, err
	}
	f.LoRA = x.lora
	bar := newProgress(c.ErrOrStderr(), "repair")
	if !x.quiet {
		f.Progress = func(frame train.FixFrame) { bar.showAs(frame.Step, x.steps, frameText(aspect, frame)) }
	}
	var noise torch.Tensor
	if job.given != nil {
		if noise, fixed.RedrawnPSNR, err = t.Invert(c.Context(), job.drawing, job.given); err != nil {
			return fixed, fmt.Errorf("invert: %w", err)
		}
		fmt.Fprintf(c.ErrOrStderr(), "inverted: drawn again as it was to %s\n", words.Decibels(fixed.RedrawnPSNR))
	}
	canvas, err := t.Canvas(c.Context(), job.drawing, job.checkpoint != "", noise)
	if err != nil {
		return fixed, err
	}
	defer canvas.Close()
	redrawn := fixed.RedrawnPSNR
	fixed, err = canvas.Fix(c.Context(), f)
	fixed.RedrawnPSNR, fixed.Region = redrawn, request.Region
	if !x.quiet && len(fixed.Trace) > 0 && fixed.Steps < x.steps {
		fmt.Fprintln(c.ErrOrStderr())
	}
	return fixed, err
}

func frameText(aspect string, f train.FixFrame) string {
	return fmt.Sprintf("%s %s %%, held-out %s %%, outside %s", words.Aspect(aspect), words.Percent(f.Trained), words.Percent(f.HeldOut), words.Decibels(f.Outside))
}

// report writes the image and says how it went. Its error carries the exit code.
func (x *fixFlags) report(c *cobra.Command, probe *picture.Probe, fixed train.Fixed) error {
	out := c.OutOrStdout()
	if fixed.Verdict == core.NoFault {
		hint := ""
		if fixed.Nearest != "" {
			hint = "the nearest is at --region " + fixed.Nearest
		}
		return exitError{hintedError{errors.New(words.Verdict(fixed.FixResult)), hint}, exitNoFault}
	}
	path := cmp.Or(x.out, fmt.Sprintf("fixed-%d.png", fixed.Seed))
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	how := core.Parameters{Drawing: fixed.Drawing, Sampler: fixed.Scheduler, Model: x.preset, Version: "focusnfix " + version}
	err = core.WritePNG(file, fixed.After, core.PNGText{Key: core.ParametersKey, Text: how.String()})
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s; inside %s, outside %s; %d updates, %.1f s\n", words.Verdict(fixed.FixResult), words.FixJudges(fixed.FixResult),
		words.Decibels(fixed.InsidePSNR), words.Decibels(fixed.OutsidePSNR), fixed.Steps, fixed.Seconds)
	if err := show(c, probe, path); err != nil {
		return err
	}
	if fixed.Verdict != core.Repaired {
		return exitError{hintedError{errors.New("not repaired"), "more --steps, or another region, may help"}, exitNotRepaired}
	}
	return nil
}

// exitError ends the program with a code of its own.
type exitError struct {
	error
	code int
}

// Unwrap returns the reason.
func (e exitError) Unwrap() error { return e.error }
