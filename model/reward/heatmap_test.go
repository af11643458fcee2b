package reward

import (
	"math"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestGradCAM: with features that are zero but for one channel and cell, and a fault that grows with
// that channel, the map is that cell.
func TestGradCAM(t *testing.T) {
	torchtest.Run(t, func() {
		values := make([]float32, 2*3*4*4)
		values[0*48+1*16+2*4+3] = 5 // image 0, channel 1, row 2, column 3
		values[1*48+2*16+0*4+0] = 7 // image 1, channel 2, row 0, column 0
		features := torch.From(values, 2, 3, 4, 4)
		fault := func(f torch.Tensor) torch.Tensor { // channel 1 is the fault, channel 2 speaks against it
			m := f.Mean(2, 3)
			return m.Select(1, 1).Sub(m.Select(1, 2))
		}
		var heat torch.Tensor
		torch.NoGrad(func() { heat = GradCAM(features, fault, torch.From([]float32{0.5, 1}, 2), 4, 4) })
		want := make([]float64, 2*16)
		want[2*4+3] = 0.5
		closeTo(t, "map", heat.Doubles(), want, 1e-6)
	})
}

// TestSmoothGrad: the saliency of a score that reads one corner lies in that corner.
func TestSmoothGrad(t *testing.T) {
	torchtest.Run(t, func() {
		images := torch.Full(0.5, torch.Float32, torchtest.Device(), 1, 3, 16, 16)
		fault := func(x torch.Tensor) torch.Tensor { return x.Narrow(2, 0, 4).Narrow(3, 0, 4).Square().Sum(1, 2, 3) }
		heat, err := SmoothGrad{Samples: 4, Noise: 0.05, Blur: 3, Seed: 1}.Heatmap(images, fault, torchtest.Place(torch.From([]float32{0.8})))
		if err != nil {
			t.Fatal(err)
		}
		inside := heat.Narrow(2, 0, 3).Narrow(3, 0, 3).Min().Item()
		outside := heat.Narrow(2, 6, 10).Max().Item()
		if peak := heat.Max().Item(); math.Abs(peak-0.8) > 1e-6 || inside < 0.4 || outside != 0 {
			t.Errorf("peak %g, least inside %g, most outside %g; want .8, at least .4, 0", peak, inside, outside)
		}
	})
}

// meanBrightness is a reward whose value and gradient are known.
type meanBrightness struct{}

func (meanBrightness) Score(images torch.Tensor, _ []string) torch.Tensor {
	return images.Mean(1, 2, 3)
}

func (meanBrightness) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return images.NewZeros(images.Size(0), 1, images.Size(2), images.Size(3))
}
func (meanBrightness) Close() {}

// TestAugmentation: each call sees another image of the same size, gradients reach the pixels, and a
// generator's state brings the same images back.
func TestAugmentation(t *testing.T) {
	torchtest.Run(t, func() {
		g, err := torch.NewGenerator(torch.CPU, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		a := NewAugmentation(meanBrightness{}, g)
		x := torch.Arange(0, 2*3*20*30, 1, torch.Float32, torchtest.Device()).DivScalar(2*3*20*30-1).Reshape(2, 3, 20, 30).Leaf()
		state := g.State()
		first := a.change(x)
		if first.String() != x.String() {
			t.Errorf("changed picture %v, want %v", first, x)
		}
		second := a.change(x)
		if first.Equal(second) {
			t.Error("two calls saw the same picture")
		}
		g.SetState(state)
		if !first.Equal(a.change(x)) {
			t.Error("the same state gave another picture")
		}
		grad := torch.Grad([]torch.Tensor{a.Score(x, nil).Sum()}, []torch.Tensor{x}, nil)[0]
		if got := grad.Sum(1, 2, 3).Doubles(); math.Abs(got[0]-1) > 1e-4 || math.Abs(got[1]-1) > 1e-4 {
			t.Errorf("gradients sum to %v, want 1 for each picture", got)
		}
	})
}
