package engine

import (
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/reward"
	"focusnfix/model/scenes"
)

// FaultProbability is that of the judge whose score it is.
func (s salient) FaultProbability(score float64) float64 {
	return reward.FaultProbability(s.Reward, score)
}

// OtherJudges loads the held-out judges of aspects that are not trained, as far as there are some: those of
// the shipped model, where it is judged. With them an evaluation sees what training did to the rest.
func (s *Session) OtherJudges() ([]eval.Judge, error) {
	if !slices.ContainsFunc(s.Config.Reward, func(r core.Reward) bool { return r.HeldOut == scenesHeldOut }) {
		return nil, nil
	}
	folder, err := modelFolder(s.Config.Model.Path)
	if err != nil {
		return nil, err
	}
	var judges []eval.Judge
	for a := range scenes.Aspect(scenes.NumAspects) {
		if slices.ContainsFunc(s.Config.Reward, func(r core.Reward) bool { return r.Aspect == a.String() }) {
			continue
		}
		judge, err := reward.Open(scenesHeldOut+":"+a.String(), s.Pipeline.Device(), sceneKinds(folder)...)
		if err != nil {
			return nil, err
		}
		s.loaded = append(s.loaded, judge)
		judges = append(judges, eval.Judge{Role: eval.Role{Aspect: a.String(), HeldOut: true}, Reward: judge})
	}
	return judges, nil
}
