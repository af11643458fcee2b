package engine

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/model/backbone"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// Generate draws a prompt with base and tuned model, asks every judge where the faults are, and keeps all
// of it in the run's prompts.
func (e *engine) Generate(ctx context.Context, r run.GenerateRequest) (core.PromptResult, error) {
	return ask(ctx, e, "generate", func(ctx context.Context) (core.PromptResult, error) {
		if err := e.complete(&r.Drawing); err != nil {
			return core.PromptResult{}, err
		}
		var result core.PromptResult
		err := e.withWeights(r.Checkpoint, func() (err error) { result, err = e.generate(ctx, r.Drawing); return err })
		return result, err
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

// withWeights does something in a scope of its own with the weights of a checkpoint, or with those of now.
func (e *engine) withWeights(checkpoint string, do func() error) error {
	dir := ""
	if checkpoint != "" {
		var err error
		if dir, err = e.checkpointDir(checkpoint); err != nil {
			return err
		}
	}
	var failed error
	err := torch.Run(func() {
		if failed = nil; dir == "" {
			failed = do()
			return
		}
		failed = e.trainer.With(dir, do)
	})
	return explain(errors.Join(err, failed), e.session.Config)
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
			result, err = e.savePrompt(r, base, tuned, started)
		}
	})
	return result, err
}

// draw is one image, [1,3,H,W]. Meanwhile others see it as preview, a file of the run's folder, where the run has a
// decoder for that.
func (e *engine) draw(ctx context.Context, r core.Drawing, preview string) (torch.Tensor, error) {
	request := backbone.Request{
		Wording: backbone.Wording{
			Prompts: []string{r.Prompt}, Negative: r.Negative, GuidanceScale: r.GuidanceScale, GuidanceRescale: r.GuidanceRescale,
			Width: int64(r.Size.Width), Height: int64(r.Size.Height),
		},
		Seeds: []uint64{r.Seed}, NumSteps: r.NumSteps, Eta: r.Eta,
	}
	if e.session.preview == nil {
		request.Progress = func(step, of int, _ torch.Tensor) { e.busy("generate", step, of) }
	} else {
		request.Estimate = func(step, of int, latents torch.Tensor) { e.show(preview, step, of, latents) }
	}
	latents, err := backbone.Sample(ctx, e.session.Pipeline, request)
	if err != nil {
		return torch.Tensor{}, err
	}
	return e.session.Pipeline.Decode(latents), nil
}

// show lets others see an image after a step, as the file preview. It does without where that cannot be written.
func (e *engine) show(preview string, step, of int, latents torch.Tensor) {
	torch.Scope(func() torch.Tensor {
		data, err := encode(backbone.Pictures(e.session.preview.Decode(latents))[0])
		if err == nil {
			err = e.Folder.WriteFile(preview, data)
		}
		e.busy("generate", step, of)
		if err == nil {
			e.mutex.Lock()
			defer e.mutex.Unlock()
			e.status.Preview = preview
		}
		return torch.Tensor{}
	})
}

// savePrompt judges a base and a tuned image, [1,3,H,W], and writes them to a folder of the run's
// prompts: base.png, tuned.png, mask.png, and for each judge heat-NAME.png of the base image and
// heat-NAME-tuned.png, where NAME is the aspect, or held-out-ASPECT.
func (e *engine) savePrompt(r core.Drawing, base, tuned torch.Tensor, started time.Time) (core.PromptResult, error) {
	judged, err := eval.Prompt(r.Pair(), base, tuned, e.session.Judges, e.trainer.References.Mask)
	if err != nil {
		return core.PromptResult{}, err
	}
	pictures := map[string]image.Image{"base": backbone.Pictures(base)[0], "tuned": backbone.Pictures(tuned)[0], "mask": judged.Mask.Gray()}
	addHeatmaps(pictures, judged.Heatmaps)
	result := core.PromptResult{
		Drawing: r,
		Aspects: e.scores([]eval.Image{judged.Image}), OutsidePSNR: judged.PSNR,
		Seconds: time.Since(started).Seconds(),
		Unknown: unknownWords(e.session.Config.Model.Path, r.Prompt),
	}
	kept, err := e.Folder.WritePrompt(result, func(dir string) error { return writePictures(dir, pictures) })
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
