// Package train is the method: it teaches LoRA weights to repair the faulty region of a model's
// pictures and to leave the rest as it was (Focus-N-Fix, arXiv 2501.06481).
//
// One step of training, in the order of the files:
//
//	reference.go  once per prompt and seed: the base model's picture Î₀, a heatmap of its faults for
//	              each aspect, and the mask M
//	sample.go     the tuned model's picture Î from the same noise, recording gradients through the
//	              last K denoising steps (DRaFT-K, arXiv 2309.17400)
//	loss.go       rewards of Î, minus how far it is from Î₀ outside M
//	step.go       gradients of the LoRA weights, and their update
//	group.go      the same by several processes, each with its share of the pictures
//
// The objective, maximised per picture and averaged, is
//
//	J = Σ_a w_a · r_a(Î, c) − regionWeight · ‖(1 − M) ⊙ (Î − Î₀)‖
//
// With regionWeight = 0 this is plain DRaFT.
package train
