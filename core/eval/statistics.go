package eval

import (
	"math"
	"slices"

	"focusnfix/model/torch"
)

// Statistics are what a hacked reward changes in images first, as users of reward back-propagation report: dark
// images, flat ones, images of few colors.
type Statistics struct {
	Dark    float64 // share of pixels with a luma below 0.1
	Edges   float64 // mean difference of luma between neighbors, in [0,1]
	Entropy float64 // of the histogram of 512 colors, bits
}

// statisticsOf measures each image of [B,3,H,W] in [0,1].
func statisticsOf(images torch.Tensor) []Statistics {
	all := make([]Statistics, images.Size(0))
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			luma := luma(images)
			dark := luma.LtScalar(0.1).To(torch.Float32).Mean(1, 2, 3).Doubles()
			dx := luma.Narrow(3, 1, luma.Size(3)-1).Sub(luma.Narrow(3, 0, luma.Size(3)-1)).Abs().Mean(1, 2, 3)
			dy := luma.Narrow(2, 1, luma.Size(2)-1).Sub(luma.Narrow(2, 0, luma.Size(2)-1)).Abs().Mean(1, 2, 3)
			edges := dx.Add(dy).DivScalar(2).Doubles()
			for i := range all {
				all[i] = Statistics{dark[i], edges[i], colorEntropy(images.Select(0, int64(i)))}
			}
			return torch.Tensor{}
		})
	})
	return all
}

// luma is [B,1,H,W] for images [B,3,H,W] (ITU-R BT.601).
func luma(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		share := torch.From([]float32{0.299, 0.587, 0.114}, 1, 3, 1, 1).ToDevice(images.Device(), images.DType())
		return images.Mul(share).SumKeep(1)
	})
}

const colorLevels = 8 // of each channel

// colorEntropy is the entropy of an image's [3,H,W] colors, in bits.
func colorEntropy(image torch.Tensor) float64 {
	levels := image.MulScalar(colorLevels).Floor().Clamp(0, colorLevels-1).Flatten(1).Ints() // [3,HW]
	pixels := len(levels) / 3
	var counts [colorLevels * colorLevels * colorLevels]int
	for i := range pixels {
		counts[(levels[i]*colorLevels+levels[pixels+i])*colorLevels+levels[2*pixels+i]]++
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(pixels)
			entropy -= p * math.Log2(p)
		}
	}
	return entropy
}

// statistics names what the gate watches.
var statistics = []struct {
	name string
	of   func(Statistics) float64
}{
	{"dark", func(s Statistics) float64 { return s.Dark }},
	{"edges", func(s Statistics) float64 { return s.Edges }},
	{"entropy", func(s Statistics) float64 { return s.Entropy }},
}

// spread is the mean and the standard deviation; NaN for no values.
func spread(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean) / n
	}
	return mean, math.Sqrt(deviation)
}

// median is the middle value, 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
