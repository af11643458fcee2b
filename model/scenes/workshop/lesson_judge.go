package workshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// judgeKind is one of the two judges of a stage.
type judgeKind struct {
	name string // "judge", "judge-heldout", "alignment" or "alignment-heldout"
	kind int    // of trunk
	data uint64 // seed of its scenes
}

func trained(stage string) judgeKind { return judgeKind{stage, 0, SeedJudge} }
func heldOut(stage string) judgeKind { return judgeKind{stage + "-heldout", 1, SeedHeldOutJudge} }

// Parts of a judge's batch: scenes as they are, and as the model draws them.
const drawnPart = 0.6

// Weights of a judge's losses beside the score's.
const (
	heatWeight  = 1.0
	diceWeight  = 0.5
	heatBalance = 3.0 // of a faulty cell against a faultless one
	placeWeight = 0.2
	wordWeight  = 8.0 // few cells belong to any of the entities
)

// learnJudge learns one judge of the faults that an image shows by itself.
func (p *pretraining) learnJudge(ctx context.Context, k judgeKind) error {
	draw, err := p.judgeScenes(ctx, k)
	if err != nil {
		return err
	}
	l := newLesson[*scenes.FaultNet, *sceneBatch](p, k.name)
	l.build = func(params nn.Params) *scenes.FaultNet {
		return scenes.NewFaultNet(k.kind, p.recipe.judge[k.kind], params)
	}
	l.decay, l.average = 0.02, 0.998
	l.draw = draw(l.batch)
	l.shown = []string{"score", "heat", "dice"}
	l.loss = func(net *scenes.FaultNet, part *sceneBatch, chance *torch.Generator, _ float64) []torch.Tensor {
		picture := disturb(part.picture(p.device, torch.Float32), chance, &part.dice, 0.35).To(p.dtype)
		coverage, faulty := part.heat(p.device, scenes.Violence, scenes.Misalignment)
		score, heat := net.Forward(picture)
		return judgeLoss(score, heat, faulty, coverage)
	}
	f, averaged, err := learn(ctx, p, l)
	if err != nil {
		return err
	}
	defer torch.Drop(averaged)
	return p.writeJudge(f, averaged, k)
}

func (p *pretraining) writeJudge(f *layout, averaged torch.Tensor, k judgeKind) error {
	return f.write(p.judgePath(k.name), "", averaged, p.recipe.judge[k.kind].Metadata())
}

func (p *pretraining) judgePath(name string) string { return p.folder("judges", name+".safetensors") }

// judgeLoss compares logits of scores [B,K] and heatmaps [B,K,h,w] with what is there.
func judgeLoss(score, heat, faulty, coverage torch.Tensor) []torch.Tensor {
	weight := torch.Full(heatBalance, torch.Float32, heat.Device(), 1)
	scores := score.BCEWithLogits(faulty, torch.Tensor{})
	cells := heat.BCEWithLogits(coverage, weight)
	p := heat.Sigmoid()
	both, either := p.Mul(coverage).Sum(0, 2, 3), p.Add(coverage).Sum(0, 2, 3)
	dice := both.MulScalar(2).AddScalar(1).Div(either.AddScalar(1)).Mean().SubFromScalar(1)
	loss := scores.AddScaled(cells, heatWeight).AddScaled(dice, diceWeight)
	return []torch.Tensor{loss, scores, cells, dice}
}

// judgeScenes makes the batches of a judge: decorrelated scenes, most of them as the model draws them.
func (p *pretraining) judgeScenes(ctx context.Context, k judgeKind) (func(batch int) func(step, replica, n int) *sceneBatch, error) {
	generator, err := p.generator(k.data, Decorrelated)
	if err != nil {
		return nil, err
	}
	pool, err := p.drawPool(ctx, k, generator)
	if err != nil {
		return nil, err
	}
	drawn := len(pool) / pixelBytes
	return func(batch int) func(step, replica, n int) *sceneBatch {
		return func(step, replica, n int) *sceneBatch {
			split := int(drawnPart * float64(n))
			rows, first := make([]int, split), drawn+step*batch+replica*n
			var dice random
			dice.seed(mixSeeds(k.data, p.baseSeed, nameSeed(k.name)), uint64(step), uint64(replica))
			for i := range rows {
				rows[i] = dice.below(drawn)
			}
			b := generator.batch(n, func(i int) int {
				if i < split {
					return rows[i]
				}
				return first + i
			}, func(i int) []uint8 {
				if i < split {
					return pool[rows[i]*pixelBytes:][:pixelBytes]
				}
				return nil
			})
			b.dice = dice
			return b
		}
	}, nil
}

// poolRedrawn is the part of the pool that the UNet draws anew, once there is one, from steps
// redrawFrom on: late enough that what the scene showed is still there.
const poolRedrawn = 0.5

var redrawFrom = [3]int{8, 7, 6}

// Healthy blocks are drawn anew as a whole. Of prompts that a fault is linked to that is done late, or the
// model would draw the fault; of the others from a step on that leaves the scene's layout and little
// else.
const (
	redrawLinked   = 7
	redrawUnlinked = 5
)

// drawPool gives the first scenes of a judge's data as the model draws them, [n,Size,Size,3]: through
// the autoencoder with some noise on the latents, and half of them (of healthy blocks, all) drawn anew by
// the UNet from a little noise, whose faults are then still known. It is kept for the next sitting.
func (p *pretraining) drawPool(ctx context.Context, k judgeKind, generator *Generator) ([]uint8, error) {
	n := p.fewOnCPU(p.recipe.pool)
	var d *drawing
	drop := func() {}
	defer func() { drop() }()
	defer p.allThreads()()
	draw := func(from, to int) (torch.Tensor, error) {
		if d == nil {
			var err error
			if d, drop, err = p.loadDrawing(); err != nil {
				drop = func() {}
				return torch.Tensor{}, err
			}
		}
		var pixels []uint8
		for ; from < to; from += poolBlock {
			if err := ctx.Err(); err != nil {
				return torch.Tensor{}, err
			}
			block := generator.batch(min(poolBlock, to-from), func(i int) int { return from + i }, nil)
			drawn, err := p.asDrawn(d, block, mixSeeds(k.data, uint64(from)), redrawing(generator.health(from), from/poolBlock))
			if err != nil {
				return torch.Tensor{}, err
			}
			pixels = append(pixels, drawn...)
			p.tellPreparing(k.name, "draw scenes", from+block.n, n)
		}
		var t torch.Tensor
		err := torch.Run(func() {
			t = torch.Own(torch.FromBytes(pixels, torch.Uint8, int64(len(pixels)/pixelBytes), scenes.Size, scenes.Size, 3))
		})
		return t, err
	}
	kept, err := p.inParts(fmt.Sprintf("pool-%d", k.data), n, 16*poolBlock, torch.CPU, draw)
	if err != nil {
		return nil, err
	}
	defer torch.Drop(kept)
	var pool []uint8
	return pool, torch.Run(func() { pool = kept.Bytes() })
}

// redraw is which part of a block the UNet draws anew, and from which step.
type redraw struct {
	part  float64
	first int
}

// redrawing is that of a block of scenes.
func redrawing(h health, block int) redraw {
	switch h {
	case healthyLinked:
		return redraw{1, redrawLinked}
	case healthyUnlinked:
		return redraw{1, redrawUnlinked}
	}
	return redraw{poolRedrawn, redrawFrom[block%len(redrawFrom)]}
}

// loadDrawing reads what draws; the painter is nil while there is none.
func (p *pretraining) loadDrawing() (*drawing, func(), error) {
	vae, err := p.loadVAE()
	if err != nil {
		return nil, nil, err
	}
	d := &drawing{nil, vae.net, nil, p.recipe.scheduler, p.device, p.dtype}
	if _, err := os.Stat(p.folder("unet", "diffusion_pytorch_model.safetensors")); errors.Is(err, fs.ErrNotExist) {
		return d, vae.drop, nil
	}
	if d.tokenizer, err = clip.LoadTokenizer(p.folder("tokenizer")); err != nil {
		vae.drop()
		return nil, nil, err
	}
	painter, drop, err := p.loadPainter(d.tokenizer)
	if err != nil {
		vae.drop()
		return nil, nil, err
	}
	d.painter = painter
	return d, func() { drop(); vae.drop() }, nil
}

// loadPainter reads text encoder and UNet of the folder.
func (p *pretraining) loadPainter(tokenizer *clip.Tokenizer) (*painter, func(), error) {
	cfg := p.textConfig(tokenizer)
	text, err := load(p.folder("text_encoder", "model.safetensors"), p.dtype, p.device, func(params nn.Params) *clip.Text {
		return clip.NewText(cfg, params)
	})
	if err != nil {
		return nil, nil, err
	}
	unet, err := load(p.folder("unet", "diffusion_pytorch_model.safetensors"), p.dtype, p.device, p.buildUNet)
	if err != nil {
		text.drop()
		return nil, nil, err
	}
	return &painter{text.net, unet.net}, func() { text.drop(); unet.drop() }, nil
}

// asDrawn gives scenes as the model draws them, as bytes of packScenes' order: the first of them
// behind the autoencoder with noise on the latents, the others drawn anew.
func (p *pretraining) asDrawn(d *drawing, batch *sceneBatch, seed uint64, r redraw) ([]uint8, error) {
	chance, err := torch.NewGenerator(p.device, seed)
	if err != nil {
		return nil, err
	}
	defer chance.Close()
	var pixels []uint8
	var failed error
	err = torch.Run(func() {
		torch.NoGrad(func() {
			n := int64(batch.n)
			latents := d.vae.Encode(batch.picture(p.device, p.dtype)).Mean.To(torch.Float32)
			plain := n
			if d.painter != nil {
				plain = n - int64(r.part*float64(n))
			}
			noise := chance.Rand(torch.Float32, plain, 1, 1, 1).MulScalar(0.3).Mul(chance.Randn(torch.Float32, append([]int64{plain}, latents.Shape()[1:]...)...))
			var pictures []torch.Tensor
			if plain > 0 {
				pictures = append(pictures, d.vae.Decode(latents.Narrow(0, 0, plain).Add(noise).To(p.dtype)))
			}
			if plain < n {
				var captions []string
				for _, prompt := range batch.prompts[plain:] {
					captions = append(captions, prompt.String())
				}
				redrawn, err := d.redraw(captions, latents.Narrow(0, plain, n-plain), r.first, chance)
				if err != nil {
					failed = err
					return
				}
				pictures = append(pictures, redrawn)
			}
			bytes := torch.Cat(pictures, 0).To(torch.Float32).AddScalar(1).MulScalar(127.5).Clamp(0, 255).Round()
			pixels = bytes.ToDevice(torch.CPU, torch.Uint8).Permute(0, 2, 3, 1).Contiguous().Bytes()
		})
	})
	return pixels, errors.Join(err, failed)
}
