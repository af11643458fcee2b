// Package core holds what every other part of Focus-N-Fix speaks of, in plain Go and without
// tensors: the configuration, images, heatmaps, masks and the events of a run.
//
// # The method
//
// Focus-N-Fix (arXiv 2501.06481) fine-tunes a text-to-image diffusion model so that it repairs only
// the faulty region of its images. For a prompt c and a starting noise x_T, let Î₀ be the image
// of the base model and Î that of the tuned one, from the same noise. A reward model finds the fault
// in Î₀; above a threshold, and widened a little, that is the mask M. The LoRA weights maximize
//
//	Σ_a w_a · r_a(Î, c)  −  regionWeight · ‖(1 − M) ⊙ (Î − Î₀)‖
//
// averaged over images, by back-propagating through the last K denoising steps (DRaFT-K,
// arXiv 2309.17400). Drawing an image afterwards is a plain forward pass.
//
// # Names
//
//	in the code      in the papers   meaning
//	latents          x_t             VAE-scaled latents, [B,4,H/8,W/8]
//	image            Î               image of the tuned model, RGB in [0,1]
//	pixels                           the same in [-1,1]
//	baseImage        Î₀              image of the untouched model, RGB in [0,1]
//	timestep         t               index 0..999 of the noise schedule
//	alphasCumprod    ᾱ_t             share of the signal left at t
//	guidanceScale    w               classifier-free guidance; 1 is none
//	eta              η               DDIM's: 0 deterministic, 1 as noisy as DDPM
//	heatmap                          fault score of a pixel, in [0,1]
//	mask             M               heatmap above its threshold; 1 is the faulty region
//	regionWeight                     weight of the outside-the-mask term; 0 is plain DRaFT
//	backpropSteps    K               denoising steps that gradients pass through
//	rank, loraAlpha  r, α            the LoRA update is loraAlpha/rank · B·A
//	step                             one optimizer update of training
//	numSteps                         denoising steps of one image
package core
