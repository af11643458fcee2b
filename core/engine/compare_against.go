package engine

import (
	"fmt"
	"math"

	"focusnfix/core/run"
)

// FindDraft finds the newest run of a preset that trained without the region term, which is plain DRaFT,
// and has a checkpoint.
func FindDraft(runs, preset string) (run.Folder, error) {
	list, err := run.List(runs)
	if err != nil {
		return run.Folder{}, err
	}
	for _, r := range list {
		if r.Err != nil || r.Info.Preset != preset || r.State == run.Running || r.State == run.Paused {
			continue
		}
		config, err := r.Config()
		if err != nil || config.Region.Weight != 0 {
			continue
		}
		if checkpoints, err := r.Checkpoints(); err == nil && len(checkpoints) > 0 {
			return r.Folder, nil
		}
	}
	return run.Folder{}, fmt.Errorf("%s: no finished run of preset %s with region.weight 0, which is plain DRaFT", runs, preset)
}

// choose finds the checkpoint that repairs as large a share of the first images as ours does; of several
// the one whose mean reward is nearest, and then the earliest.
func (x *comparing) choose(f run.Folder) (run.Checkpoint, error) {
	all, err := f.Checkpoints()
	if err != nil {
		return run.Checkpoint{}, err
	}
	n := min(trialPictures, len(x.set.Pairs))
	want, wantReward, err := x.trial(x.Checkpoint, n, "")
	if err != nil {
		return run.Checkpoint{}, err
	}
	best, nearest, nearestReward := run.Checkpoint{}, math.Inf(1), math.Inf(1)
	for i, c := range all {
		share, reward, err := x.trial(c, n, fmt.Sprintf("%s: checkpoint %d of %d", f.Name(), i+1, len(all)))
		if err != nil {
			return best, err
		}
		distance, rewardDistance := math.Abs(share-want), math.Abs(reward-wantReward)
		if distance < nearest || distance == nearest && rewardDistance < nearestReward {
			best, nearest, nearestReward = c, distance, rewardDistance
		}
	}
	if best.Dir == "" {
		return best, fmt.Errorf("%s: no checkpoint yet", f.Name())
	}
	return best, nil
}

// trial is the share of faulty images among the first n that a checkpoint repairs, and the mean change for the
// better by the judges of the trained aspects.
func (x *comparing) trial(c run.Checkpoint, n int, what string) (share, reward float64, err error) {
	drawn, err := x.draw(c, n, what)
	if err != nil {
		return 0, 0, err
	}
	share, reward = x.set.Share(drawn.Images, tie)
	return share, reward, nil
}
