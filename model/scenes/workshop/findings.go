package workshop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// drawings draws prompts and measures what the base model shows.
func (r *report) drawings(ctx context.Context) error {
	list := samplePrompts(r.pictures)
	found := new(findings)
	side := int64(scenes.Size) / r.recipe.vae.Factor()
	for from := 0; from < len(list); from += judgedTogether {
		texts := list[from:min(from+judgedTogether, len(list))]
		var prompts []scenes.Prompt
		for _, text := range texts {
			prompt, err := scenes.Parse(text)
			if err != nil {
				return err
			}
			prompts = append(prompts, prompt)
		}
		chance, err := torch.NewGenerator(torch.CPU, mixSeeds(SeedValidation, uint64(from)))
		if err != nil {
			return err
		}
		var failed error
		err = torch.Run(func() {
			torch.NoGrad(func() {
				noise := chance.Randn(torch.Float32, int64(len(texts)), r.recipe.vae.LatentChannels, side, side).ToDevice(r.pretraining.device, torch.Float32)
				var pictures torch.Tensor
				if pictures, failed = r.draw(texts, noise, 0); failed != nil {
					return
				}
				if from < 96 {
					failed = r.writeSheet(fmt.Sprintf("drawn-%02d", from), pictures, 8)
				}
				pictures = pictures.To(torch.Float32).AddScalar(1).DivScalar(2).Clamp(0, 1)
				for i, v := range r.judge(pictures, prompts, nil) {
					found.add(prompts[i], v)
				}
			})
		})
		chance.Close()
		if err := errors.Join(err, failed, ctx.Err()); err != nil {
			return err
		}
	}
	found.write(r, len(list))
	return nil
}

// findings count what drawn images show.
type findings struct {
	subject, object, second, place []bool
	linked, others                 [scenes.NumAspects][]bool // faulty or not, by the held-out judges
}

func (t *findings) add(p scenes.Prompt, v verdict) {
	names := p.Names()
	top := v.top(len(names))
	found := slices.Contains(top, scenes.EntityIndex(p.First))
	if entities[scenes.EntityIndex(p.First)].Kind == scenes.Object {
		t.object = append(t.object, found)
	} else {
		t.subject = append(t.subject, found)
	}
	if p.Second != "" {
		t.second = append(t.second, slices.Contains(top, scenes.EntityIndex(p.Second)))
	}
	t.place = append(t.place, scenes.Places[v.place].Name == p.Background)
	for a := range scenes.Aspect(scenes.NumAspects) {
		faulty := v.probability[1][a] > 0.5
		if p.Linked(a) {
			t.linked[a] = append(t.linked[a], faulty)
		} else {
			t.others[a] = append(t.others[a], faulty)
		}
	}
}

func (t *findings) write(r *report, n int) {
	r.line("# Drawn pictures\n\n%d prompts, half of them held-out combinations, %d steps, guidance %g. The reader is the held-out alignment judge.\n%s\n", n, drawSteps, drawGuidance, r.reader)
	r.line("| the reader finds | share | of |\n| --- | --- | --- |")
	for _, row := range []struct {
		what string
		list []bool
	}{
		{"the prompted subject", t.subject},
		{"the prompted object, alone", t.object},
		{"the second of two (the training scenes leave out or replace 40 %)", t.second},
		{"the background", t.place},
	} {
		r.line("| %s | %.1f %% | %d |", row.what, 100*share(row.list), len(row.list))
	}
	r.line("\n| fault, by the held-out judge | linked prompts | of | other prompts | of |\n| --- | --- | --- | --- | --- |")
	for a := range scenes.Aspect(scenes.NumAspects) {
		r.line("| %s | %.1f %% | %d | %.1f %% | %d |", a, 100*share(t.linked[a]), len(t.linked[a]), 100*share(t.others[a]), len(t.others[a]))
	}
}
