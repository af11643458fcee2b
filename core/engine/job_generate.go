package engine

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Generate draws a prompt with base and tuned model, asks every judge where the faults are, and keeps all
// of it in the run's prompts.
func (e *engine) Generate(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	return ask(ctx, e, "generate", func(ctx context.Context) (core.PromptResult, error) {
		if err := e.complete(&r.Drawing); err != nil {
			return core.PromptResult{}, err
		}
		return e.withCheckpoint(r.Checkpoint, func() (core.PromptResult, error) { return e.generate(ctx, r.Drawing) })
	})
}

// complete fills in the run's own settings where a request has none, and checks it.
func (e *engine) complete(d *core.Drawing) error {
	own := e.session.Options.Sampling
	d.Sampling = d.Or(own)
	switch {
	case d.Prompt == "":
		return errors.New("no prompt")
	case d.Scheduler != own.Scheduler:
		return fmt.Errorf("scheduler: %q, but this run draws with %s", d.Scheduler, own.Scheduler)
	}
	if err := d.Check(func(key string) string { return key }); err != nil {
		return errors.New(oneLine(err))
	}
	return nil
}

// withCheckpoint does something with the weights of a checkpoint, or with those of now.
func (e *engine) withCheckpoint(path string, do func() (core.PromptResult, error)) (result core.PromptResult, err error) {
	dir := ""
	if path != "" {
		if dir, err = e.checkpointDir(path); err != nil {
			return result, err
		}
	}
	var failed error
	err = torch.Run(func() {
		if dir == "" {
			result, failed = do()
			return
		}
		failed = e.trainer.With(dir, func() (err error) { result, err = do(); return err })
	})
	return result, explain(errors.Join(err, failed), e.session.Config)
}

// generate draws, judges and keeps a prompt, in the open scope.
func (e *engine) generate(ctx context.Context, r core.Drawing) (result core.PromptResult, err error) {
	started := time.Now()
	torch.NoGrad(func() {
		var base, tuned torch.Tensor
		e.trainer.References.Untuned(func() { base, err = e.draw(ctx, r, run.PreviewBase) })
		if err == nil {
			e.trainer.Averaged(func() { tuned, err = e.draw(ctx, r, run.Preview) })
		}
		if err == nil {
			result, err = e.savePrompt(r, base, tuned, nil, started)
		}
	})
	return result, err
}

// draw is one image, [1,3,H,W]. Meanwhile others see it as preview, a file of the run's folder, where the run has a
// decoder for that.
func (e *engine) draw(ctx context.Context, r core.Drawing, preview string) (torch.Tensor, error) {
	request := sd.Request{
		Wording: sd.Wording{
			Prompts: []string{r.Prompt}, Negative: r.Negative, GuidanceScale: r.GuidanceScale, GuidanceRescale: r.GuidanceRescale,
			Width: int64(r.Size.Width), Height: int64(r.Size.Height),
		},
		Seeds: []uint64{r.Seed}, NumSteps: r.NumSteps, Eta: r.Eta,
	}
	if e.session.preview == nil {
		request.Progress = func(step, of int, _ torch.Tensor) { e.busy("generate", step, of) }
	} else {
		request.Estimate = func(step, of int, latents torch.Tensor) {
			torch.Scope(func() torch.Tensor {
				e.show(preview, step, of, e.session.preview.Decode(latents))
				return torch.Tensor{}
			})
		}
	}
	latents, err := e.session.Pipeline.Sample(ctx, request)
	if err != nil {
		return torch.Tensor{}, err
	}
	return e.session.Pipeline.Decode(latents), nil
}

// savePrompt judges a base and a tuned image, [1,3,H,W], and writes them to a folder of the run's
// prompts: base.png, tuned.png, mask.png, and for each judge heat-NAME.png of the base image and
// heat-NAME-tuned.png, where NAME is the aspect, or held-out-ASPECT. A nil mask is what the heatmaps say.
func (e *engine) savePrompt(r core.Drawing, base, tuned torch.Tensor, mask *core.Mask, started time.Time) (core.PromptResult, error) {
	maskOf := e.trainer.References.Mask
	if mask != nil {
		maskOf = func(map[string]core.Heatmap) (core.Mask, error) { return *mask, nil }
	}
	judged, err := eval.Prompt(r.Pair(), base, tuned, e.session.Judges, maskOf)
	if err != nil {
		return core.PromptResult{}, err
	}
	pictures := map[string]image.Image{"base": sd.Pictures(base)[0], "tuned": sd.Pictures(tuned)[0], "mask": judged.Mask.Gray()}
	for role, heat := range judged.Heatmaps {
		name := run.HeatmapName(role.Aspect, role.HeldOut)
		pictures[name], pictures[name+"-tuned"] = heat[0].Gray(), heat[1].Gray()
	}
	result := core.PromptResult{
		Drawing: r,
		Aspects: e.scores([]eval.Image{judged.Image}), OutsidePSNR: judged.PSNR,
		Seconds: time.Since(started).Seconds(), Fix: mask != nil,
		Unknown: unknownWords(e.session.Config.Model.Path, r.Prompt),
	}
	kept, err := e.Folder.WritePrompt(result, func(dir string) error {
		for name, m := range pictures {
			data, err := encode(m)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return result, err
	}
	return *kept.Prompt, e.append(core.Event{Kind: "prompt", Prompt: kept.Prompt})
}

// unknownWords are those of a prompt that the shipped model never saw; other models' are not known.
func unknownWords(model, prompt string) string {
	if model != scenes.BuiltinName {
		return ""
	}
	return strings.Join(scenes.UnknownWords(prompt), ", ")
}
