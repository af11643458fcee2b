package engine

import (
	"context"
	"fmt"
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
)

// maxEvaluated bounds what one request can keep the engine busy with.
const maxEvaluated = 10000

// Evaluate looks at held-out prompts with the weights of now.
func (e *engine) Evaluate(ctx context.Context, r run.EvaluateRequest) (core.Evaluation, error) {
	if r.Pictures < 0 || r.Pictures > maxEvaluated {
		return core.Evaluation{}, fmt.Errorf("%d images, want 0 to %d", r.Pictures, maxEvaluated)
	}
	return ask(ctx, e, "evaluate", func(ctx context.Context) (core.Evaluation, error) {
		pairs, count := e.session.HeldOutPairs(r.Pictures), e.counting("evaluate", ctx)
		done := 0
		all, err := e.evaluator.Evaluate(pairs, func(batch []eval.Image, _ eval.Batch) error {
			done += len(batch)
			return count(done, len(pairs))
		})
		if err != nil {
			return core.Evaluation{}, fmt.Errorf("evaluate: %w", err)
		}
		found := e.short(all)
		return *found, e.append(core.Event{Kind: "evaluation", Evaluation: found})
	})
}

// counting tells Status how far an evaluation is, and ends it with ctx.
func (e *engine) counting(what string, ctx context.Context) func(done, of int) error { //nolint:revive // ctx belongs to the function returned
	return func(done, of int) error {
		e.busy(what, done, of)
		return ctx.Err()
	}
}

// short is an evaluation as events have it.
func (e *engine) short(all []eval.Image) *core.Evaluation {
	return &core.Evaluation{
		Pictures: len(all), Aspects: e.scores(all), OutsidePSNR: eval.Summarize(all, 0, 0).PSNR, Statistics: eval.Moved(all),
	}
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
