// Package reward judges images: how good they are in one aspect, and where they are faulty.
//
// A reward is differentiable down to the pixels, so that training can follow it. Its heatmap is found
// once, on the image of the base model, and needs no gradients. Heatmaps come from a network that
// predicts them, from a class map (Zhou et al., arXiv 1512.04150), or from the gradients of any score
// (GradCAM, SmoothGrad).
package reward

import "focusnfix/model/torch"

// Reward judges images in one aspect.
type Reward interface {
	// Score is [B], higher is better, for images [B,3,H,W] in [0,1] and as many prompts. Gradients
	// flow back to the images. It makes tensors in the open scope.
	Score(images torch.Tensor, prompts []string) torch.Tensor
	// Heatmap is [B,1,H,W] in [0,1], 1 where the image is faulty, without gradients.
	Heatmap(images torch.Tensor, prompts []string) torch.Tensor
	// Close frees the weights.
	Close()
}
