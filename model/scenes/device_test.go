package scenes

import (
	"math"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestDeviceDrawsAsCPU draws with the shipped model on the tests' device in every element type and compares
// with the CPU in float32: the same pixels but for one part of 255, and in half types to the peak
// signal-to-noise ratio that their rounding leaves after a few denoising steps.
func TestDeviceDrawsAsCPU(t *testing.T) {
	torchtest.Need(t)
	if torchtest.Device() == torch.CPU {
		t.Skip("FNF_TEST_DEVICE names no other device")
	}
	folder, err := Folder()
	if err != nil {
		t.Fatal(err)
	}
	draw := func(device torch.Device, dtype torch.DType) []uint8 {
		p, err := sd.Load(folder, backbone.LoadOptions{Device: device, DType: dtype})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		images, err := backbone.Generate(t.Context(), p, backbone.Request{
			Wording: backbone.Wording{Prompts: []string{"a chef in the park"}, GuidanceScale: 3, Width: Size, Height: Size},
			Seeds:   []uint64{3}, NumSteps: 5,
		})
		if err != nil {
			t.Fatal(err)
		}
		return images[0].Pix
	}
	want := draw(torch.CPU, torch.Float32)
	for dtype, least := range map[torch.DType]float64{torch.Float32: 55, torch.Float16: 55, torch.BFloat16: 45} {
		worst, squares := 0, 0.0
		for i, p := range draw(torchtest.Device(), dtype) {
			d := int(p) - int(want[i])
			worst, squares = max(worst, d, -d), squares+float64(d*d)
		}
		psnr := -10 * math.Log10(max(squares, 1)/float64(len(want))/255/255)
		t.Logf("%v: %.1f dB, largest difference %d of 255", dtype, psnr, worst)
		if psnr < least || dtype == torch.Float32 && worst > 1 {
			t.Errorf("%v: %.1f dB and a difference of %d, want at least %g dB", dtype, psnr, worst, least)
		}
	}
}
