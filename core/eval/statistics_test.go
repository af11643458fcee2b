package eval

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestSSIMMatchesScikitImage compares with scikit-image on the pixels whose window lies inside, which
// the mask leaves (testdata/ref/ssim.py).
func TestSSIMMatchesScikitImage(t *testing.T) {
	text, err := os.ReadFile("testdata/ref/ssim.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ SSIM float64 }
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	const side, border = 40, 5
	torchtest.Run(t, func() {
		ramp := torch.Arange(0, side, 1, torch.Float32, torch.CPU).DivScalar(side-1).Expand(1, 3, side, side)
		picture := func(name string) torch.Tensor {
			noise := nntest.Uniform(name, 3, side, side).AddScalar(1).DivScalar(2)
			return ramp.AddScaled(noise, 0.3).DivScalar(1.3)
		}
		mask := torch.Ones(torch.Float32, torch.CPU, 1, 1, side, side)
		mask.Narrow(2, border, side-2*border).Narrow(3, border, side-2*border).Zero()
		x, y := picture("ssim.x"), picture("ssim.y")
		if got := outsideSSIM(x, y, mask)[0]; math.Abs(got-want.SSIM) > 1e-4 {
			t.Errorf("SSIM %.6f, scikit-image has %.6f", got, want.SSIM)
		}
		if got := outsideSSIM(x, x, mask)[0]; math.Abs(got-1) > 1e-5 {
			t.Errorf("SSIM of equal pictures is %g", got)
		}
		if got := outsideSSIM(x, y, mask.OnesLike())[0]; got != 1 {
			t.Errorf("SSIM under a full mask is %g, want 1", got)
		}
	})
}

func TestOutsidePSNR(t *testing.T) {
	torchtest.Run(t, func() {
		base := torch.Full(0.5, torch.Float32, torch.CPU, 3, 3, 4, 4)
		mask := torch.Zeros(torch.Float32, torch.CPU, 3, 1, 4, 4)
		mask.Narrow(0, 2, 1).Fill(1)
		image := base.Clone()
		image.Narrow(0, 0, 1).Fill(0.6) // 0.1 off everywhere: 20 dB
		image.Narrow(0, 2, 1).Fill(0.9) // under a full mask
		got := PSNR(image, base, Outside(mask))
		if math.Abs(got[0]-20) > 1e-3 || got[1] != MaxPSNR || got[2] != MaxPSNR {
			t.Errorf("PSNR %v, want 20, %d, %d", got, MaxPSNR, MaxPSNR)
		}
	})
}

// TestStatistics on images whose numbers are known: black, and columns of two colors.
func TestStatistics(t *testing.T) {
	torchtest.Run(t, func() {
		images := torch.Zeros(torch.Float32, torch.CPU, 2, 3, 8, 8)
		columns := images.Narrow(0, 1, 1)
		for x := int64(0); x < 8; x += 2 {
			columns.Narrow(3, x, 1).Fill(1)
		}
		got := statisticsOf(images)
		if got[0] != (Statistics{Dark: 1}) {
			t.Errorf("black: %+v", got[0])
		}
		if s := got[1]; s.Dark != 0.5 || math.Abs(s.Edges-0.5) > 1e-6 || math.Abs(s.Entropy-1) > 1e-9 {
			t.Errorf("columns: %+v, want half dark, edges .5, entropy 1 bit", s)
		}
	})
}
