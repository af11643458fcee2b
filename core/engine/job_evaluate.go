package engine

import (
	"context"
	"fmt"
	"slices"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/torch"
)

// maxEvaluated bounds what one request can keep the engine busy with.
const maxEvaluated = 10000

// Evaluate looks at held-out prompts with the weights of now.
func (e *engine) Evaluate(ctx context.Context, r run.EvaluateRequest) (core.Evaluation, error) {
	if r.Pictures < 0 || r.Pictures > maxEvaluated {
		return core.Evaluation{}, fmt.Errorf("%d pictures, want 0 to %d", r.Pictures, maxEvaluated)
	}
	return ask(ctx, e, "evaluate", func(ctx context.Context) (core.Evaluation, error) {
		found, err := e.look(ctx, e.session.HeldOutPairs(r.Pictures), false)
		if err != nil {
			return core.Evaluation{}, err
		}
		return *found.short, e.append(core.Event{Kind: "evaluation", Evaluation: found.short})
	})
}

// looked is what an evaluation found.
type looked struct {
	base, now train.View // as the gate sees them
	short     *core.Evaluation
}

// look compares the tuned model with the base model on pairs. Their diversity is found only where all
// pictures may stay in memory for it.
func (e *engine) look(ctx context.Context, pairs []Pair, diversity bool) (found looked, err error) {
	var all []train.Evaluated
	var kept []train.Pictures
	defer func() {
		for _, p := range kept {
			torch.Drop(p.Base, p.Tuned)
		}
	}()
	err = e.evaluate(pairs, "evaluate", func(batch []train.Evaluated, pictures train.Pictures) error {
		all = append(all, batch...)
		if diversity {
			kept = append(kept, train.Pictures{Base: torch.Own(pictures.Base), Tuned: torch.Own(pictures.Tuned)})
		}
		return ctx.Err()
	})
	if err != nil {
		return found, err
	}
	if err := torch.Run(func() { found.base, found.now = train.Views(all, kept) }); err != nil {
		return found, err
	}
	found.short = &core.Evaluation{
		Pictures: len(all), Aspects: e.scores(all), OutsidePSNR: train.Summarize(all, 0, 0).PSNR, Statistics: found.now.Moved(found.base),
	}
	return found, nil
}

// checkpointDir finds a checkpoint that a request names by its path from the run folder.
func (e *engine) checkpointDir(path string) (string, error) {
	all, err := e.Folder.Checkpoints()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(c run.Checkpoint) bool { return e.fromFolder(c.Dir) == path })
	if i < 0 {
		return "", fmt.Errorf("no checkpoint %q in this run", path)
	}
	return all[i].Dir, nil
}
