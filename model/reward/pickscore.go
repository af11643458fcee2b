package reward

import "net/url"

// pickScoreLevel is near the mean of PickScore over images of Stable Diffusion.
const pickScoreLevel = 21

// openPickScore opens PickScore (Kirstain et al., arXiv 2305.01569): a CLIP ViT-H/14 that learned
// which of two images people pick. Its score is the CLIP score of that CLIP.
func openPickScore(dir string, options url.Values, at place) (Reward, error) {
	return newCLIPScore(dir, options, at, pickScoreLevel)
}
