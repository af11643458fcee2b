package workshop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// PretrainReport measures the model in o.Out and writes report.md and sheets there. Scenes are of the
// validation seed, which nothing learns from; faults and entities in drawn images are told by the
// held-out judges. images is how many are drawn and judged for each figure, 500 if 0.
func PretrainReport(ctx context.Context, o PretrainOptions, pictures int) error {
	if o.DType == 0 {
		o.DType = torch.Float32 // what ships is measured, not how it was learned
	}
	p, err := o.start()
	if err != nil {
		return err
	}
	return p.measure(ctx, choose(pictures, 500))
}

// measure writes the report of the model that there is.
func (p *pretraining) measure(ctx context.Context, pictures int) (err error) {
	r := &report{pretraining: p, pictures: pictures}
	if r.drawing, r.drop, err = p.loadDrawing(); err != nil {
		return err
	}
	defer r.drop()
	if r.painter == nil {
		return fmt.Errorf("%s: no unet in it yet: `focusnfix pretrain unet` makes one", p.folder())
	}
	defer r.closeJudges()
	for _, section := range []func(context.Context) error{r.loadJudges, r.autoencoder, r.judgeTables, r.drawings} {
		if err := section(ctx); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(p.out, "report.md"), []byte(r.text.String()), 0o666)
}

// report is one report under way.
type report struct {
	*pretraining
	*drawing
	drop     func()
	pictures int
	judges   [2][scenes.NumAspects]*scenes.Judge // trained, held out
	reader   string                              // how reliable it is
	text     strings.Builder
}

const judgedTogether = 32

func (r *report) line(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }

func (r *report) loadJudges(context.Context) error {
	for h := range r.judges {
		for a := range scenes.Aspect(scenes.NumAspects) {
			j, err := scenes.LoadJudge(r.folder(), a, h == 1, torch.Float32, r.pretraining.device)
			if err != nil {
				return err
			}
			r.judges[h][a] = j
		}
	}
	return nil
}

func (r *report) closeJudges() {
	for _, pair := range r.judges {
		for _, j := range pair {
			if j != nil {
				j.Close()
			}
		}
	}
}

// autoencoder measures how well scenes survive it.
func (r *report) autoencoder(ctx context.Context) error {
	generator, err := r.generator(SeedValidation, Spurious)
	if err != nil {
		return err
	}
	var values []float64
	buffer := make([]Scene, judgedTogether)
	for from := 0; from < r.pictures; from += judgedTogether {
		generator.Fill(buffer, from)
		err := torch.Run(func() {
			torch.NoGrad(func() {
				picture := packScenes(buffer).picture(r.pretraining.device, r.pretraining.dtype)
				decoded := r.vae.Decode(r.vae.Encode(picture).Mean)
				for i := range int64(len(buffer)) {
					values = append(values, psnr(picture.Narrow(0, i, 1), decoded.Narrow(0, i, 1)))
				}
			})
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	slices.Sort(values)
	r.line("# Autoencoder\n\n%d held-out scenes: PSNR %.2f dB in the mean, %.2f dB in the worst twentieth.\n",
		len(values), mean(values), values[len(values)/20])
	return nil
}

// verdict is what judges say of one image.
type verdict struct {
	probability [2][scenes.NumAspects]float64
	overlap     [2][scenes.NumAspects]float64 // with the true mask; meaningless in drawn images
	seen        []float64                     // by the held-out judge: probability of every entity
	place       int
}

// judge asks all judges about images [B,3,H,W] in [0,1]; truth, where given, has the true masks.
func (r *report) judge(pictures torch.Tensor, prompts []scenes.Prompt, truth []Scene) []verdict {
	verdicts := make([]verdict, len(prompts))
	texts := make([]string, len(prompts))
	for i, p := range prompts {
		texts[i] = p.String()
	}
	torch.Scope(func() torch.Tensor {
		for h := range r.judges {
			for a, j := range r.judges[h] {
				heat := j.Heatmap(pictures, texts).Floats()
				for i, score := range j.Score(pictures, texts).Doubles() {
					verdicts[i].probability[h][a] = j.FaultProbability(score)
					if truth != nil {
						verdicts[i].overlap[h][a] = intersectionOverUnion(heat[i*scenes.Size*scenes.Size:][:scenes.Size*scenes.Size], truth[i].Masks[a])
					}
				}
			}
		}
		reader := r.judges[1][scenes.Misalignment]
		seen := reader.Read(pictures, prompts)
		shares, places := seen.Words.Sigmoid().AMax(false, 2, 3).Doubles(), seen.Place.ArgMax(1).Ints()
		for i := range verdicts {
			verdicts[i].seen = shares[i*len(entities):][:len(entities)]
			verdicts[i].place = int(places[i])
		}
		return torch.Tensor{}
	})
	return verdicts
}

// sources are the three ways in which judges meet a scene.
var sources = []string{"scenes", "behind the autoencoder", "drawn anew by the UNet"}

// judgeTables measures both judges on held-out scenes.
func (r *report) judgeTables(ctx context.Context) error {
	r.line("# Judges\n\n%d held-out scenes with faults on everybody alike. IoU: heatmap above 0.5 against the mask, at 128 pixels,\nmean over faulty pictures. Unarmed: mean probability where the aspect's linked subjects have no fault.\n", r.pictures)
	r.line("| pictures | aspect | AUC | held-out AUC | accuracy | held-out | IoU | held-out | unarmed | held-out | error correlation |")
	r.line("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for source := range sources {
		list, verdicts, err := r.judgeScenesAs(ctx, source)
		if err != nil {
			return err
		}
		for a := range scenes.Aspect(scenes.NumAspects) {
			r.judgeRow(sources[source], a, list, verdicts)
		}
		if source == 0 {
			r.readerLine(list, verdicts)
		}
	}
	r.line("")
	return nil
}

// judgeScenesAs judges held-out scenes in one of the sources' ways.
func (r *report) judgeScenesAs(ctx context.Context, source int) ([]Scene, []verdict, error) {
	generator, err := r.generator(SeedValidation, Decorrelated)
	if err != nil {
		return nil, nil, err
	}
	list := make([]Scene, (r.pictures+judgedTogether-1)/judgedTogether*judgedTogether)
	generator.Fill(list, 0)
	var verdicts []verdict
	for from := 0; from < len(list); from += judgedTogether {
		part := list[from : from+judgedTogether]
		var failed error
		err := torch.Run(func() {
			torch.NoGrad(func() {
				batch := packScenes(part)
				picture := batch.picture(r.pretraining.device, torch.Float32)
				picture, failed = r.asSource(source, picture, batch.prompts, uint64(from))
				if failed == nil {
					verdicts = append(verdicts, r.judge(picture.AddScalar(1).DivScalar(2).Clamp(0, 1), batch.prompts, part)...)
				}
			})
		})
		if err := errors.Join(err, failed, ctx.Err()); err != nil {
			return nil, nil, err
		}
	}
	return list, verdicts, nil
}

func (r *report) asSource(source int, picture torch.Tensor, prompts []scenes.Prompt, seed uint64) (torch.Tensor, error) {
	if source == 0 {
		return picture, nil
	}
	dtype := r.pretraining.dtype
	latents := r.vae.Encode(picture.To(dtype)).Mean.To(torch.Float32)
	if source == 1 {
		return r.vae.Decode(latents.To(dtype)).To(torch.Float32), nil
	}
	chance, err := torch.NewGenerator(r.pretraining.device, mixSeeds(SeedValidation, seed))
	if err != nil {
		return torch.Tensor{}, err
	}
	defer chance.Close()
	var texts []string
	for _, p := range prompts {
		texts = append(texts, p.String())
	}
	redrawn, err := r.redraw(texts, latents, redrawFrom[1], chance)
	if err != nil {
		return torch.Tensor{}, err
	}
	return redrawn.To(torch.Float32), nil
}

// judgeRow is one row of the table.
func (r *report) judgeRow(source string, a scenes.Aspect, generator []Scene, verdicts []verdict) {
	var scores, overlaps, unarmed, errs [2][]float64
	var right [2][]bool
	var faulty []bool
	for i, v := range verdicts {
		s := &generator[i]
		faulty = append(faulty, s.Faulty[a])
		for h := range 2 {
			p := v.probability[h][a]
			scores[h] = append(scores[h], p)
			right[h] = append(right[h], (p > 0.5) == s.Faulty[a])
			truth := 0.0
			if s.Faulty[a] {
				truth = 1
				overlaps[h] = append(overlaps[h], v.overlap[h][a])
			} else if s.Prompt.Linked(a) {
				unarmed[h] = append(unarmed[h], p)
			}
			errs[h] = append(errs[h], math.Abs(truth-p))
		}
	}
	r.line("| %s | %s | %.4f | %.4f | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f | %.2f |", source, a,
		areaUnderCurve(scores[0], faulty), areaUnderCurve(scores[1], faulty), share(right[0]), share(right[1]),
		mean(overlaps[0]), mean(overlaps[1]), mean(unarmed[0]), mean(unarmed[1]), correlation(errs[0], errs[1]))
}

// readerLine tells how often the held-out alignment judge, which names what drawn images show, is
// right about true scenes.
func (r *report) readerLine(list []Scene, verdicts []verdict) {
	var names, places []bool
	for i, v := range verdicts {
		places = append(places, scenes.Places[v.place].Name == list[i].Prompt.Background)
		for _, e := range list[i].Entities {
			if !e.Missing() {
				names = append(names, slices.Contains(v.top(len(list[i].Entities)), scenes.EntityIndex(e.Drawn)))
			}
		}
	}
	r.reader = fmt.Sprintf("Of true scenes the reader names %.1f %% of the entities and %.1f %% of the backgrounds.", 100*share(names), 100*share(places))
}

// top gives the n entities that are seen most.
func (v verdict) top(n int) []int {
	order := make([]int, len(v.seen))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if v.seen[a] > v.seen[b] {
			return -1
		}
		return 1
	})
	return order[:n]
}
