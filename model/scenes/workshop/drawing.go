package workshop

import (
	"focusnfix/model/clip"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// How images are drawn while the model is made: as the shipped preset draws them.
const (
	drawSteps    = 10
	drawGuidance = 2.5
)

// drawing is everything that draws.
type drawing struct {
	painter   *painter
	vae       *sd.VAE
	tokenizer *clip.Tokenizer
	scheduler sd.SchedulerConfig
	device    torch.Device
	dtype     torch.DType
}

// draw takes latents [B,C,h,w] from step first of drawSteps to the image, [B,3,H,W] about [-1,1].
// Latents that are given noise to match begin in the middle: the image keeps its layout and is
// drawn anew. first 0 begins at pure noise.
func (d *drawing) draw(prompts []string, latents torch.Tensor, first int) (torch.Tensor, error) {
	scheduler, err := sd.NewScheduler(d.scheduler, drawSteps, 0)
	if err != nil {
		return torch.Tensor{}, err
	}
	return torch.Scope(func() torch.Tensor {
		ids := make([][]int64, 0, 2*len(prompts))
		for range prompts {
			ids = append(ids, d.tokenizer.Encode("").IDs)
		}
		for _, prompt := range prompts {
			ids = append(ids, d.tokenizer.Encode(prompt).IDs)
		}
		context := d.painter.text.Forward(ids).Last
		for i := first; i < scheduler.Len(); i++ {
			x := scheduler.ScaleInput(i, latents)
			x = torch.Cat([]torch.Tensor{x, x}, 0).To(d.dtype)
			halves := d.painter.unet.Forward(x, scheduler.Timesteps[i], context, torch.Tensor{}, torch.Tensor{}).To(torch.Float32).Chunk(2, 0)
			output := halves[0].Add(halves[1].Sub(halves[0]).MulScalar(drawGuidance))
			latents, _ = scheduler.Step(i, latents, output, nil, torch.Tensor{})
		}
		return d.vae.Decode(latents.To(d.dtype))
	}), nil
}

// redraw takes latents [B,C,h,w] of finished images back to step first and draws from there.
func (d *drawing) redraw(prompts []string, latents torch.Tensor, first int, chance *torch.Generator) (torch.Tensor, error) {
	scheduler, err := sd.NewScheduler(d.scheduler, drawSteps, 0)
	if err != nil {
		return torch.Tensor{}, err
	}
	timesteps := make([]int, len(prompts))
	for i := range timesteps {
		timesteps[i] = int(scheduler.Timesteps[first])
	}
	noise := chance.Randn(torch.Float32, latents.Shape()...)
	noisy := sd.NewNoiseSchedule(d.scheduler).AddNoise(latents, noise, timesteps)
	return d.draw(prompts, noisy, first)
}

// lookAtPainter draws a sheet of prompts, half of them with combinations that no scene had.
func (p *pretraining) lookAtPainter(net *painter, vae *sd.VAE, tokenizer *clip.Tokenizer) error {
	d := &drawing{net, vae, tokenizer, p.recipe.scheduler, p.device, p.dtype}
	const n = 32
	prompts := samplePrompts(n)
	chance, err := torch.NewGenerator(p.device, 7)
	if err != nil {
		return err
	}
	defer chance.Close()
	side := int64(scenes.Size) / p.recipe.vae.Factor()
	pictures, err := d.draw(prompts, chance.Randn(torch.Float32, n, p.recipe.vae.LatentChannels, side, side), 0)
	if err != nil {
		return err
	}
	return p.writeSheet("unet", pictures, 8)
}

// samplePrompts spreads n prompts over the grammar: training prompts and held-out ones in turn.
func samplePrompts(n int) []string {
	lists := [2][]scenes.Prompt{scenes.TrainingPrompts(), scenes.HeldOutPrompts()}
	var prompts []string
	for i := range n {
		list := lists[i%2]
		prompts = append(prompts, list[int(mix(uint64(i))%uint64(len(list)))].String())
	}
	return prompts
}
