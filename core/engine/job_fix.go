package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/torch"
)

// DefaultFixSteps is how many updates a repair may take that does not say.
const DefaultFixSteps = 40

const (
	maxFixSteps = 1000
	maxDrawings = 64 // of one request

	fixPreview = run.Fixes + "/.preview.png" // the image of a repair under way, replaced after each update
	redrawn    = run.Fixes + "/.redrawn-%d.png"
)

// Fix trains a small LoRA on one image and a region of it, and keeps it in the run. The run's own weights stay as
// they are.
func (e *engine) Fix(ctx context.Context, r run.FixRequest) (core.FixResult, error) {
	return ask(ctx, e, "fix", func(ctx context.Context) (result core.FixResult, err error) {
		region, err := e.checkFix(&r)
		if err != nil {
			return result, err
		}
		judges := e.session
		if r.Fault != "" {
			if judges, err = e.session.inWords(&r); err != nil {
				return result, err
			}
		}
		err = e.withWeights(r.Checkpoint, func() (err error) { result, err = e.fix(ctx, r, region, judges); return err })
		return result, err
	})
}

// checkFix fills in a request and refuses what cannot be done.
func (e *engine) checkFix(r *run.FixRequest) (core.Region, error) {
	if err := e.complete(&r.Drawing); err != nil {
		return nil, err
	}
	if err := checkStart(&r.Start); err != nil {
		return nil, err
	}
	if r.Steps < 0 || r.Steps > maxFixSteps {
		return nil, fmt.Errorf("%d steps, want 1 to %d", r.Steps, maxFixSteps)
	}
	r.Steps = cmp.Or(r.Steps, DefaultFixSteps)
	return core.ParseRegion(r.Region)
}

func checkStart(start *string) error {
	if *start = cmp.Or(*start, "base"); *start != "base" && *start != "run" {
		return fmt.Errorf("start: %q, want base or run", *start)
	}
	return nil
}

// fix repairs in the open scope, with the judges of a session on the same model.
func (e *engine) fix(ctx context.Context, r run.FixRequest, region core.Region, judges *Session) (result core.FixResult, err error) {
	f, err := judges.FixOf(r, region, e.readMask)
	if err == nil {
		f.Stack, err = e.stack(r.Stack)
	}
	if err != nil {
		return result, err
	}
	canvas, err := e.canvas(ctx, r.Drawing, r.Start, r.Checkpoint)
	if err != nil {
		return result, err
	}
	temp, err := os.MkdirTemp("", "focusnfix-fix-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // a leftover harms nobody
	f.LoRA = filepath.Join(temp, "lora.safetensors")
	var frames [][]byte
	f.Progress = func(frame train.FixFrame) { frames = append(frames, e.showFix(frame, r.Steps)) }
	fixed, err := canvas.Fix(ctx, f)
	fixed.Region, fixed.Stack = r.Region, r.Stack
	if err != nil || fixed.Verdict == core.NoFault {
		return fixed.FixResult, err
	}
	return e.keepFix(ctx, fixed, f.LoRA, frames)
}

// FixOf is a repair of the session as the trainer wants it, without files. read reads the masks that the region names.
func (s *Session) FixOf(r run.FixRequest, region core.Region, read func(file string) (core.Mask, error)) (train.Fix, error) {
	f := train.Fix{Aspect: r.Aspect, Steps: r.Steps, Header: map[string]string{
		"focusnfix_fix": fmt.Sprintf("%s in %s of %q, seed %d", r.Aspect, r.Region, r.Prompt, r.Seed),
	}}
	rewards := s.Config.Reward
	i := slices.IndexFunc(rewards, func(known core.Reward) bool { return known.Aspect == r.Aspect })
	if i < 0 {
		return f, fmt.Errorf("no aspect %q in this run, want %s", r.Aspect, strings.Join(aspectsOf(s.Config), ", "))
	}
	f.Threshold = rewards[i].Threshold
	f.Reward = s.Options.Aspects[i].Reward
	for _, j := range s.Judges {
		if j.Aspect == r.Aspect {
			f.Judges = append(f.Judges, j)
		}
	}
	f.Region = func(heat core.Heatmap) (core.Mask, error) {
		return region.Mask(core.Size{Width: heat.Width, Height: heat.Height}, core.RegionFiles{Heat: heat, Read: read})
	}
	return f, nil
}

// stack is the LoRA files of kept fixes.
func (e *engine) stack(uses []core.FixUse) (all []train.Stacked, err error) {
	for _, use := range uses {
		name := path.Clean(use.Path)
		if path.Dir(name) != run.Fixes || math.IsNaN(use.Strength) || math.Abs(use.Strength) > 10 {
			return nil, fmt.Errorf("stack: %q at %g, want a folder in %s and a strength of at most 10", use.Path, use.Strength, run.Fixes)
		}
		file, err := e.Folder.Open(run.FixLoRA(name)) // which refuses links
		if err != nil {
			return nil, fmt.Errorf("stack: %w", err)
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		all = append(all, train.Stacked{LoRA: filepath.Join(e.Folder.Dir, run.FixLoRA(name)), Strength: use.Strength})
	}
	return all, nil
}

// readMask reads a mask of the run folder.
func (e *engine) readMask(name string) (m core.Mask, err error) {
	file, err := e.Folder.Open(name)
	if err != nil {
		return m, err
	}
	m, err = core.ReadMask(file)
	return m, errors.Join(err, file.Close())
}

// showFix lets others see a repair under way, and returns the frame as a PNG file. It does without where the image
// cannot be written.
func (e *engine) showFix(frame train.FixFrame, of int) []byte {
	data, err := encode(frame.Image)
	if err == nil {
		err = e.Folder.WriteFile(fixPreview, data)
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.status.Done, e.status.Of = frame.Step, of
	e.status.Frame = &run.Frame{Trained: frame.Trained, Outside: frame.Outside, Seconds: frame.Seconds}
	if !math.IsNaN(frame.HeldOut) {
		e.status.Frame.HeldOut = &frame.HeldOut
	}
	if err == nil {
		e.status.Preview = fixPreview
	}
	return data
}

// keepFix writes a fix to its folder and the log, unless ctx has ended: then nothing of it stays.
func (e *engine) keepFix(ctx context.Context, fixed train.Fixed, lora string, frames [][]byte) (core.FixResult, error) {
	pictures := map[string]image.Image{"before": fixed.Before, "after": fixed.After, "mask": fixed.Mask.Gray()}
	addHeatmaps(pictures, fixed.Heatmaps)
	how := core.Parameters{Drawing: fixed.Drawing, Sampler: fixed.Scheduler, Model: e.session.Pipeline.About().Name, Version: "focusnfix " + e.Version}
	kept, err := e.Folder.WriteFix(fixed.FixResult, func(dir string) error {
		if err := writePictures(dir, pictures, core.PNGText{Key: core.ParametersKey, Text: how.String()}); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(dir, "frames"), 0o755); err != nil {
			return err
		}
		for i, frame := range frames {
			if err := os.WriteFile(filepath.Join(dir, run.FixFrame("", i)), frame, 0o644); err != nil {
				return err
			}
		}
		data, err := os.ReadFile(lora)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, run.FixLoRA("")), data, 0o644)
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return fixed.FixResult, cmp.Or(ctx.Err(), err)
	}
	return *kept.Fix, e.append(core.Event{Kind: "fix", Fix: kept.Fix})
}

// canvas is an image as far as no fix changes it. The one before it is kept as long as it is asked for again.
func (e *engine) canvas(ctx context.Context, d core.Drawing, start, checkpoint string) (*train.Canvas, error) {
	as := canvasKey{d, start, checkpoint, 0}
	if start == "run" {
		as.step = e.trainer.Done()
	}
	if e.begun != nil && e.begunAs == as {
		return e.begun, nil
	}
	e.forgetCanvas()
	canvas, err := e.trainer.Canvas(ctx, d, start == "run", torch.Tensor{})
	if err != nil {
		return nil, err
	}
	e.begun, e.begunAs = canvas, as
	return canvas, nil
}

// canvasKey is what a canvas depends on.
type canvasKey struct {
	core.Drawing
	start, checkpoint string
	step              int // of the run's weights
}

func (e *engine) forgetCanvas() {
	if e.begun != nil {
		e.begun.Close()
		e.begun = nil
	}
}

// Redraw draws images with kept fixes.
func (e *engine) Redraw(ctx context.Context, r run.RedrawRequest) ([]string, error) {
	return ask(ctx, e, "redraw", func(ctx context.Context) (paths []string, err error) {
		if len(r.Drawings) == 0 || len(r.Drawings) > maxDrawings {
			return nil, fmt.Errorf("%d drawings, want 1 to %d", len(r.Drawings), maxDrawings)
		}
		if err := checkStart(&r.Start); err != nil {
			return nil, err
		}
		stack, err := e.stack(r.Stack)
		if err != nil {
			return nil, err
		}
		err = e.withWeights(r.Checkpoint, func() error {
			for i, d := range r.Drawings {
				name, err := e.redraw(ctx, i, d, r, stack)
				if err != nil {
					return err
				}
				paths = append(paths, name)
				e.busy("redraw", i+1, len(r.Drawings))
			}
			return nil
		})
		return paths, err
	})
}

// redraw draws image i of a request and returns its path.
func (e *engine) redraw(ctx context.Context, i int, d core.Drawing, r run.RedrawRequest, stack []train.Stacked) (string, error) {
	if err := e.complete(&d); err != nil {
		return "", err
	}
	canvas, err := e.canvas(ctx, d, r.Start, r.Checkpoint)
	if err != nil {
		return "", err
	}
	drawn, err := canvas.Draw(ctx, stack)
	if err != nil {
		return "", err
	}
	data, err := encode(drawn)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf(redrawn, i)
	return name, e.Folder.WriteFile(name, data)
}
