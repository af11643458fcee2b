package engine

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/train"
	"focusnfix/model/reward"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// The judges of the shipped model, by the names that a configuration gives them.
const (
	scenesJudge   = "scenes"
	scenesHeldOut = "scenes-held-out"
)

// sceneKinds are the judges of the shipped model: those of the folder if it has some, as what
// `focusnfix pretrain` writes does, else those that come with the program.
func sceneKinds(folder string) []reward.Kind {
	open := func(aspect string, heldOut bool, device torch.Device) (*scenes.Judge, error) {
		a, err := scenes.ParseAspect(aspect)
		if err != nil {
			return nil, err
		}
		from := folder
		if _, err := os.Stat(filepath.Join(folder, "judges")); err != nil {
			if from, err = scenes.Folder(); err != nil {
				return nil, err
			}
		}
		return scenes.LoadJudge(from, a, heldOut, torch.Float32, device)
	}
	return []reward.Kind{
		{
			Name: scenesJudge, Use: scenesJudge + " or scenes?words=WEIGHT, which also asks for each named thing by itself", Weights: "part of the program",
			Options: []string{"words"},
			Open: func(aspect string, options url.Values, device torch.Device) (reward.Reward, error) {
				judge, err := open(aspect, false, device)
				if err != nil || !options.Has("words") {
					return judge, err
				}
				weight, err := strconv.ParseFloat(options.Get("words"), 64)
				if judge.Aspect != scenes.Misalignment || err != nil || !(weight >= 0 && weight <= 100) {
					judge.Close()
					return nil, fmt.Errorf("words=%s: want 0 to 100, for misalignment", options.Get("words"))
				}
				return scenes.WordScore{Judge: judge, Weight: weight}, nil
			},
		},
		{
			Name: scenesHeldOut, Use: scenesHeldOut, Weights: "part of the program",
			Open: func(aspect string, _ url.Values, device torch.Device) (reward.Reward, error) {
				return open(aspect, true, device)
			},
		},
	}
}

// openRewards loads each aspect's reward and its held-out judge.
func (s *Session) openRewards(kinds []reward.Kind) error {
	var heldOut []eval.Judge
	for _, r := range s.Config.Reward {
		judge, err := s.openReward("model", r, r.Model, kinds)
		if err != nil {
			return err
		}
		s.Options.Aspects = append(s.Options.Aspects, train.Aspect{
			Name: r.Aspect, Model: r.Model + " " + r.Heatmap, Reward: judge, Weight: r.Weight, Guard: !r.Mask,
			Mask: core.MaskRule{Threshold: r.Threshold, Dilate: r.Dilate, MinArea: r.MinArea},
		})
		s.Judges = append(s.Judges, eval.Judge{Role: eval.Role{Aspect: r.Aspect}, Reward: judge})
		if r.HeldOut == "" {
			continue
		}
		if judge, err = s.openReward("held_out", r, r.HeldOut, kinds); err != nil {
			return err
		}
		heldOut = append(heldOut, eval.Judge{Role: eval.Role{Aspect: r.Aspect, HeldOut: true}, Reward: judge})
	}
	s.Judges = append(s.Judges, heldOut...)
	return nil
}

// openReward loads one judge of an aspect. The scenes judges are told by their kind which aspect is
// theirs: the configuration's, unless it says another as in "scenes:violence".
func (s *Session) openReward(key string, r core.Reward, spec string, kinds []reward.Kind) (reward.Reward, error) {
	if name, options, found := strings.Cut(spec, "?"); name == scenesJudge || name == scenesHeldOut {
		if spec = name + ":" + r.Aspect; found {
			spec += "?" + options
		}
	}
	kind, _, _ := strings.Cut(spec, ":")
	if r.Heatmap == "cam" && slices.Contains([]string{scenesJudge, scenesHeldOut, "torchscript"}, kind) {
		return nil, fmt.Errorf("reward.%s.heatmap: %q, but %s says itself where the fault is; want head or saliency", r.Aspect, r.Heatmap, kind)
	}
	judge, err := reward.Open(spec, s.Pipeline.Device(), kinds...)
	if err != nil {
		return nil, fmt.Errorf("reward.%s.%s: %w", r.Aspect, key, err)
	}
	s.loaded = append(s.loaded, judge)
	if r.Heatmap == "saliency" {
		return salient{judge}, nil
	}
	if kind, words, _ := strings.Cut(r.Heatmap, ":"); kind == "attention" {
		model, ok := s.Pipeline.(attender)
		if !ok {
			return nil, fmt.Errorf("reward.%s.heatmap: attention is watched in UNets, and %s has none; want head, cam or saliency", r.Aspect, s.Pipeline.About().Name)
		}
		return attentive{judge, model, splitWords(words), min(attentionLevels, s.Config.Sample.NumSteps)}, nil
	}
	return judge, nil
}

// attender is a model that tells where an image shows the words of a prompt.
type attender interface {
	AttentionMap(image torch.Tensor, prompt string, words []string, numSteps int) (torch.Tensor, error)
}

// attentionLevels is how many noise levels an attention map is averaged over, at most.
const attentionLevels = 10

// attentive finds a fault where the model's attention to words of the prompt is, as strong as the judge's own heatmap
// at its peak.
type attentive struct {
	reward.Reward
	model  attender
	words  []string // none: all that carry meaning
	levels int
}

// FaultProbability is the judge's.
func (a attentive) FaultProbability(score float64) float64 {
	return reward.FaultProbability(a.Reward, score)
}

// Heatmap is [B,1,H,W] in [0,1].
func (a attentive) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		probability := a.Reward.Heatmap(images, prompts).AMax(true, 1, 2, 3)
		maps := make([]torch.Tensor, len(prompts))
		for i, prompt := range prompts {
			var err error
			if maps[i], err = a.model.AttentionMap(images.Narrow(0, int64(i), 1), prompt, a.words, a.levels); err != nil {
				panic(&torch.Error{Op: "attention", Message: err.Error()})
			}
		}
		return torch.Cat(maps, 0).Mul(probability)
	})
}

// splitWords are words between commas.
func splitWords(list string) (words []string) {
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// salient finds a fault by the gradient of the score, as strong as the judge's own heatmap at its peak.
type salient struct{ reward.Reward }

// Heatmap is [B,1,H,W] in [0,1].
func (s salient) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		fault := func(images torch.Tensor) torch.Tensor { return s.Score(images, prompts).Neg() }
		probability := s.Reward.Heatmap(images, prompts).AMax(false, 1, 2, 3)
		blur := images.Size(-1)/32*2 + 1 // odd
		heat, err := reward.SmoothGrad{Samples: 8, Noise: 0.1, Blur: blur}.Heatmap(images, fault, probability)
		if err != nil {
			var failed *torch.Error
			if errors.As(err, &failed) {
				panic(failed)
			}
			panic(&torch.Error{Op: "saliency", Message: err.Error()})
		}
		return heat
	})
}
