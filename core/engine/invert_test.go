package engine

import (
	"image"
	"math"
	"testing"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// psnrOf is how close two images are, in dB.
func psnrOf(a, b *image.RGBA) float64 {
	sum := 0.0
	for i := range a.Pix {
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a.Pix))/sum)
}

// An image of the shipped model whose parameters are lost is drawn again from the noise that its inversion finds.
func TestInvert(t *testing.T) {
	torchtest.Need(t)
	s, err := Open(core.Default(), Settings{References: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	trainer, err := s.Trainer()
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	draw := func(d core.Drawing, noise torch.Tensor) *image.RGBA {
		canvas, err := trainer.Canvas(t.Context(), d, false, noise)
		if err != nil {
			t.Fatal(err)
		}
		defer canvas.Close()
		m, err := canvas.Draw(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	d := core.Drawing{Prompt: "a guard and a cactus in the desert", Seed: 4294967351, Sampling: s.Options.Sampling}
	lost := draw(d, torch.Tensor{})
	d.GuidanceScale = 1 // as `focusnfix fix` inverts: with guidance the steps do not converge
	torchtest.Run(t, func() {
		noise, psnr, err := trainer.Invert(t.Context(), d, lost)
		if err != nil || psnr < 36 {
			t.Fatalf("drawn again to %.1f dB, %v; want 36", psnr, err)
		}
		if got := psnrOf(draw(d, noise), lost); got < 36 {
			t.Errorf("the canvas draws it to %.1f dB, Invert says %.1f", got, psnr)
		}
		if of := psnrOf(draw(d, torch.Tensor{}), lost); of > 25 {
			t.Errorf("the seed alone, without guidance, draws it to %.1f dB: the test shows nothing", of)
		}
	})
}
