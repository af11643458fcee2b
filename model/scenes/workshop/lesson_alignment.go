package workshop

import (
	"context"

	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// learnAlignment learns one judge of missing and wrong entities.
func (p *pretraining) learnAlignment(ctx context.Context, k judgeKind) error {
	draw, err := p.judgeScenes(ctx, k)
	if err != nil {
		return err
	}
	l := newLesson[*scenes.WordNet, *sceneBatch](p, k.name)
	l.build = func(params nn.Params) *scenes.WordNet {
		return scenes.NewWordNet(k.kind, p.recipe.judge[k.kind], params)
	}
	l.decay, l.average = 0.02, 0.998
	l.draw = draw(l.batch)
	l.shown = []string{"score", "heat", "dice", "words", "place"}
	l.loss = func(net *scenes.WordNet, part *sceneBatch, chance *torch.Generator, _ float64) []torch.Tensor {
		picture := disturb(part.picture(p.device, torch.Float32), chance, &part.dice, 0.25).To(p.dtype)
		r := net.Forward(picture, scenes.Tell(part.prompts))
		coverage, faulty := part.heat(p.device, scenes.Misalignment, scenes.NumAspects)
		losses := judgeLoss(r.Misaligned.Unsqueeze(1), r.Heat, faulty, coverage)
		words, place := wordsLoss(r, part, p.device)
		losses[0] = losses[0].Add(words).AddScaled(place, placeWeight)
		return append(losses, words, place)
	}
	f, averaged, err := learn(ctx, p, l)
	if err != nil {
		return err
	}
	defer torch.Drop(averaged)
	return p.writeJudge(f, averaged, k)
}

// wordsLoss compares which entity every cell belongs to, and the background.
func wordsLoss(r scenes.Reading, part *sceneBatch, device torch.Device) (words, place torch.Tensor) {
	weight := torch.Full(heatBalance, torch.Float32, device, 1)
	words = r.Words.BCEWithLogits(part.where(device), weight).MulScalar(wordWeight)
	return words, r.Place.CrossEntropy(torch.From(part.places).ToDevice(device, torch.Int64))
}
