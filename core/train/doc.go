// Package train is the method: it teaches LoRA weights to repair the faulty region of a model's images and to
// leave the rest as it was (Focus-N-Fix, arXiv 2501.06481).
//
// The files, in the order of one step of training:
//
//	step.go       the step, top to bottom: draw, decode, reward, region term, gradients, clip, update
//	pool.go       which prompts and seeds it trains on
//	part.go       an image of the step, or on a GPU a batch; workers.go shares them among the cores
//	reference.go  once per prompt and seed: the base model's image Î₀, a heatmap of its faults for each aspect,
//	              and the mask M; store.go keeps them on disk
//	sample.go     the tuned model's image Î from the same noise, recording gradients through the last K denoising
//	              steps (DRaFT-K, arXiv 2309.17400); sparse.go: or straight to some steps out of all
//	loss.go       rewards of Î, and how far it is from Î₀ outside M
//	average.go    the moving average of the weights, which is judged and exported
//	result.go     what a step measures beside it
//
// and around it:
//
//	trainer.go    settings, and what a training holds
//	group.go      the same step by several processes, each with its share of the images
//	checkpoint.go what a checkpoint has, and going on from it bit for bit
//	canvas.go     one image as far as no fix changes it, and the image from there on with fixes
//	fix.go        a repair: the same step on a single image, with a region that a person draws and a LoRA of its own
//
// The objective, maximized per image and averaged, is
//
//	J = Σ_a w_a · r_a(Î, c) − regionWeight · ‖(1 − M) ⊙ (Î − Î₀)‖
//
// With regionWeight = 0 this is plain DRaFT. What a tuned model does to images is measured by core/eval.
package train
