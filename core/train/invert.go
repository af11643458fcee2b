package train

import (
	"context"
	"errors"
	"fmt"
	"image"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
)

const (
	invertRounds = 8    // of the fixed point of one step, at most
	invertEnough = 1e-4 // mean square of its residual
)

// encoder is a model that reads images as well as drawing them: latents [B,C,h,w] for images [B,3,H,W] in [0,1].
type encoder interface {
	Encode(images torch.Tensor) torch.Tensor
}

// Invert finds the noise x_T from which the base model draws an image that was drawn elsewhere, [1,4,h,w], and how
// well it does, in dB. Each denoising step x_i → x_{i+1} = a·x_i + f(x_i) is walked backward by iterating
// x_i ← x_i + (x_{i+1} − step(x_i))/a (after AIDI, arXiv 2309.04907): what is left is the decoder's own loss and the
// steps that do not converge, which a guidance scale far above 1 keeps from doing so. The noise goes to the open scope.
func (t *Trainer) Invert(ctx context.Context, d core.Drawing, m *image.RGBA) (noise torch.Tensor, psnr float64, err error) {
	model, ok := t.pipeline.(encoder)
	if !ok {
		return noise, 0, fmt.Errorf("a model of %s has no encoder here: images that were drawn elsewhere cannot be inverted", t.pipeline.About().Family)
	}
	s, err := newSampler(t.pipeline, d.Sampling, Chained, 0)
	if err != nil {
		return noise, 0, err
	}
	if !s.scheduler.Linear() || d.Eta != 0 {
		return noise, 0, errors.New("this sampler cannot be inverted; want DDIM with eta 0")
	}
	s.negative, s.cancelled = d.Negative, func() bool { return ctx.Err() != nil }
	st, err := s.begin([]core.Pair{d.Pair()})
	if err != nil {
		return noise, 0, err
	}
	t.References.Untuned(func() {
		torch.NoGrad(func() {
			pixels := pixelsOf(m).ToDevice(t.pipeline.Device(), torch.Float32) // [1,3,H,W] in [0,1]
			x := model.Encode(pixels)
			for i := s.scheduler.Len() - 1; i >= 0; i-- {
				x = s.undo(st, i, x)
			}
			noise = x
			st.latents = x
			psnr = eval.PSNR(t.pipeline.Decode(s.draw(st)), pixels, pixels.NewZeros(1, 1, pixels.Size(2), pixels.Size(3)).AddScalar(1))[0]
		})
	})
	return noise, psnr, ctx.Err()
}

// undo is x before step i, which led to next.
func (s *sampler) undo(st start, i int, next torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		ones := next.MulScalar(0).AddScalar(1)
		of, _ := s.scheduler.Step(i, ones, ones.MulScalar(0), nil, torch.Tensor{})
		a := of.Mean().Item()
		x := next
		for range invertRounds {
			miss := next.Sub(s.denoise(st, i, x))
			x = x.AddScaled(miss, 1/a)
			if miss.Square().Mean().Item() < invertEnough*invertEnough {
				break
			}
		}
		return x
	})
}

// pixelsOf is an image as [1,3,H,W] in [0,1].
func pixelsOf(m *image.RGBA) torch.Tensor {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	values := make([]float32, 3*w*h)
	for y := range h {
		for x := range w {
			for c := range 3 {
				values[c*w*h+y*w+x] = float32(m.Pix[y*m.Stride+4*x+c]) / 255
			}
		}
	}
	return torch.From(values, 1, 3, int64(h), int64(w))
}
