// Package eval says what a tuned model does to images: what judges see before and after, and how far an image
// is from the base model's outside the mask. It trains nothing. The gate of a run, the prompt test and
// `focusnfix eval` all measure here.
//
//	judge.go       a reward in the role of a judge, and its verdict on one image
//	measure.go     a batch of images measured against the base model's: PSNR, SSIM (ssim.go), statistics.go
//	evaluate.go    the one loop: draw, judge, measure
//	summary.go     many images in a few numbers
//	gate.go        alarms when judges or statistics leave the base model's range
//	set.go         a fixed set of base images, by which several tunings are compared
//	comparison.go  the result of that, as `focusnfix eval` prints and writes it
//
// Who draws is a Source: core/train has one, which keeps base images and masks on disk.
package eval
