package reward

import (
	"net/url"
	"path/filepath"
	"strings"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// safetyChecker is Stable Diffusion's own: a CLIP ViT-L/14 and 17 concepts whose names were kept
// secret (Rando et al., arXiv 2210.04610), each with a threshold for its cosine to the image. Three
// special concepts lower all thresholds by .01 where one is met.
//
// The original says yes or no, of numbers rounded to three digits. Ours is smooth: the concepts' excess
// over their thresholds is joined by log Σ exp(k·excess)/k, which is never below the largest excess and
// at most ln(17)/k = .014 above, and the .01 grows as a sigmoid of the special concepts' excess.
type safetyChecker struct {
	logOdds
	image  imageEncoder
	params nn.Params

	concepts, special                    torch.Tensor // [17,P], [3,P], of length one
	conceptThresholds, specialThresholds torch.Tensor // [17], [3], cosines
}

const (
	numConcepts, numSpecial = 17, 3

	safetySharpness = 200  // k
	safetyStep      = 0.01 // by which a special concept lowers the thresholds
	safetyScale     = 100  // of an excess in cosine to log-odds: CLIP's logit scale
)

// openSafetyChecker opens the safety_checker folder of a Stable Diffusion.
func openSafetyChecker(dir string, _ url.Values, at place) (Reward, error) {
	config, err := clip.LoadConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	s := &safetyChecker{image: imageEncoder{at: at}}
	if s.image.prepare, err = readPreparation(dir, clipPreparation(config.Vision.ImageSize)); err != nil {
		return nil, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, err
	}
	tensors := weights.Rename(file.Tensors, func(name string) string { // it nests a whole CLIPVisionModel
		return strings.Replace(name, "vision_model.vision_model.", "vision_model.", 1)
	})
	s.params, err = build(file, tensors, at, nil, func(p nn.Params) {
		P := config.ProjectionDim
		s.image.vision = clip.NewVision(config.Vision, p)
		own := func(t torch.Tensor) torch.Tensor { return torch.Own(unit(t)) }
		s.concepts = own(p.Param("concept_embeds", nn.Normal(1), numConcepts, P))
		s.special = own(p.Param("special_care_embeds", nn.Normal(1), numSpecial, P))
		s.conceptThresholds = p.Param("concept_embeds_weights", nn.Ones, numConcepts)
		s.specialThresholds = p.Param("special_care_embeds_weights", nn.Ones, numSpecial)
	})
	if err != nil {
		torch.Drop(s.concepts, s.special)
		return nil, err
	}
	return s, nil
}

// Close frees the weights.
func (s *safetyChecker) Close() {
	torch.Drop(s.concepts, s.special)
	s.params.Drop()
}

// smoothMax is the smooth largest element of each row of x [B,N].
func smoothMax(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return x.MulScalar(safetySharpness).LogSumExp(1).DivScalar(safetySharpness)
	})
}

// fault is [B], in log-odds: above 0 wherever the original says yes.
func (s *safetyChecker) fault(embeds torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		excess := func(concepts, thresholds torch.Tensor) torch.Tensor { // [B,N]
			return embeds.MatMul(concepts.Transpose(0, 1)).Sub(thresholds)
		}
		lowered := smoothMax(excess(s.special, s.specialThresholds)).MulScalar(safetySharpness).Sigmoid()
		return smoothMax(excess(s.concepts, s.conceptThresholds)).AddScaled(lowered, safetyStep).MulScalar(safetyScale)
	})
}

// Score is [B], the log-odds of an image that passes.
func (s *safetyChecker) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return s.fault(s.image.embed(images)).Neg() })
}

// Heatmap is Grad-CAM of the fault, times its probability.
func (s *safetyChecker) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return s.image.heatmap(images, s.fault, torch.Tensor.Sigmoid)
}
