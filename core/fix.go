package core

import (
	"image"
	"math"
)

// FixResult is the repair of one region of one image: an event of the run, and fix.json in its folder.
type FixResult struct {
	Path string `json:"path"` // its folder, relative to the run folder: fixes/0007; empty where nothing was repaired
	Drawing
	Image   string     `json:"image"`   // file that was inverted, of an image that was drawn elsewhere
	Region  string     `json:"region"`  // as ParseRegion reads it
	Aspect  string     `json:"aspect"`  // whose reward was followed
	Start   string     `json:"start"`   // weights that the image before was drawn with: base, or run
	Stack   []FixUse   `json:"stack"`   // earlier fixes that it was drawn with, too
	From    int        `json:"from"`    // denoising step, from 0, from which the fix acts
	Verdict string     `json:"verdict"` // see the verdicts
	Nearest string     `json:"nearest"` // region of the nearest fault, where this one has none
	Judges  []FixJudge `json:"judges"`  // the trained one first
	Trace   []FixStep  `json:"trace"`   // of the frames: frames/000.png and so on

	Sharpness    float64 `json:"sharpness"`     // of the region, before: see Sharpness
	SharpnessNow float64 `json:"sharpness_now"` // and after
	InsidePSNR   float64 `json:"inside_psnr"`   // after against before, in the region; dB
	OutsidePSNR  float64 `json:"outside_psnr"`  // outside it; dB
	RedrawnPSNR  float64 `json:"redrawn_psnr"`  // before against an image that was drawn elsewhere; dB
	Steps        int     `json:"steps"`         // updates of its LoRA

	Seconds        float64 `json:"seconds"`         // in all
	FirstSeconds   float64 `json:"first_seconds"`   // until the first frame
	PrepareSeconds float64 `json:"prepare_seconds"` // once: text embeddings, noise, early denoising steps, the image before
	DrawSeconds    float64 `json:"draw_seconds"`    // denoising steps and decoding
	JudgeSeconds   float64 `json:"judge_seconds"`   // rewards, heatmaps and statistics
	LearnSeconds   float64 `json:"learn_seconds"`   // gradients and updates
}

// Folder is where the repair lies, relative to the run folder.
func (r FixResult) Folder() string { return r.Path }

// FixUse is a kept fix and how strongly it acts.
type FixUse struct {
	Path     string  `json:"path"`     // folder of the fix: fixes/0007
	Strength float64 `json:"strength"` // 1 is as trained
}

// FixJudge is what one judge sees in the region.
type FixJudge struct {
	HeldOut bool    `json:"held_out"`
	Before  float64 `json:"before"` // maximum of its heatmap in the region, [0,1]
	After   float64 `json:"after"`
	Found   bool    `json:"found"` // a fault before
	Gone    bool    `json:"gone"`  // no fault now
	Moved   bool    `json:"moved"` // a fault now where there was none, outside the region
}

// FixStep is one frame of a repair.
type FixStep struct {
	Step    int     `json:"step"`
	Trained float64 `json:"trained"`      // maximum of the judges' heatmaps in the region
	HeldOut float64 `json:"held_out"`     //
	Outside float64 `json:"outside_psnr"` // dB
	Seconds float64 `json:"seconds"`      // since the repair began
}

// Verdicts of a fix.
const (
	Repaired    = "repaired"    // both judges found a fault in the region, neither finds one now, and it is as sharp as it was
	Unconfirmed = "unconfirmed" // no judge finds a fault now, but only one did before, or there is only one
	Visible     = "visible"     // a judge still finds the fault
	Moved       = "moved"       // a judge finds a fault outside the region that was not there
	Smeared     = "smeared"     // no judge finds a fault, but the region is blurred
	NoFault     = "no fault"    // no judge found a fault in the region: nothing was done
)

// smearShare is the share of a region's sharpness below which it counts as smeared. Ten regions that repairs healed kept
// 0.83 to 1.06 of theirs; smeared by a Gaussian of two pixels they kept 0.33 to 0.43 (TestSharpness).
const smearShare = 0.6

// Judge sets the verdict from what was measured.
func (r *FixResult) Judge() {
	found, gone, moved := 0, true, false
	for _, j := range r.Judges {
		if j.Found {
			found++
		}
		gone, moved = gone && j.Gone, moved || j.Moved
	}
	switch {
	case found == 0:
		r.Verdict = NoFault
	case !gone:
		r.Verdict = Visible
	case moved:
		r.Verdict = Moved
	case r.SharpnessNow < smearShare*r.Sharpness:
		r.Verdict = Smeared
	case found < 2:
		r.Verdict = Unconfirmed
	default:
		r.Verdict = Repaired
	}
}

// Sharpness is the mean size of the Laplacian of an image's luma over that of its gradient, inside a mask: what blurring
// takes from edges, however few there are. A plain sky in place of an object is as sharp as before; the object out of
// focus is not. It is 0 where all is even, and NaN of a mask without a pixel between others.
func Sharpness(m image.Image, mask Mask) float64 {
	luma, w := lumaOf(m), mask.Width
	curves, slopes, n := 0.0, 0.0, 0
	abs := func(v float32) float64 { return math.Abs(float64(v)) }
	for y := 1; y < mask.Height-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			if in := mask.Faulty; !(in[i] && in[i-1] && in[i+1] && in[i-w] && in[i+w]) {
				continue
			}
			curves += abs(4*luma[i] - luma[i-1] - luma[i+1] - luma[i-w] - luma[i+w])
			slopes += abs(luma[i+1]-luma[i-1]) + abs(luma[i+w]-luma[i-w])
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	const even = 1e-6 // mean slope
	if slopes < even*float64(n) {
		return 0
	}
	return curves / slopes
}

// lumaOf is an image's luma in [0,1], row by row (ITU-R BT.601).
func lumaOf(m image.Image) []float32 {
	b := m.Bounds()
	luma := make([]float32, 0, b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := m.At(x, y).RGBA()
			luma = append(luma, (0.299*float32(r)+0.587*float32(g)+0.114*float32(b))/math.MaxUint16)
		}
	}
	return luma
}
