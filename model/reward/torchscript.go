package reward

import (
	"fmt"
	"net/url"

	"focusnfix/model/torch"
)

// script is a user's own reward, a TorchScript file with two methods:
//
//	score(images: Tensor) -> Tensor     [B,3,H,W] in [0,1] to [B], higher is better, differentiable
//	heatmap(images: Tensor) -> Tensor   the same to [B,1,H,W] in [0,1], 1 where the image is faulty
//
// It is a program: run only files that you trust.
type script struct {
	module *torch.Script
	path   string
	at     place
}

func openScript(path string, _ url.Values, at place) (Reward, error) {
	module, err := torch.LoadScript(path, at.device)
	if err != nil {
		return nil, err
	}
	for _, method := range []string{"score", "heatmap"} {
		if !module.Has(method) {
			module.Close()
			return nil, fmt.Errorf("%s: no method %s, want score(images) and heatmap(images), the latter under @torch.jit.export", path, method)
		}
	}
	return &script{module, path, at}, nil
}

// Close frees the weights.
func (s *script) Close() { s.module.Close() }

// Score is what the script says, [B].
func (s *script) Score(images torch.Tensor, _ []string) torch.Tensor {
	return s.run("score", images, images.Size(0))
}

// Heatmap is what the script says, limited to [0,1].
func (s *script) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			return s.run("heatmap", images, images.Size(0), 1, images.Size(2), images.Size(3)).Clamp(0, 1)
		})
	})
	return heat
}

// run calls a method and panics unless its result has the wanted shape.
func (s *script) run(method string, images torch.Tensor, shape ...int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		y := s.module.Run(method, images.ToDevice(s.at.device, s.at.dtype))
		if got, want := torch.ShapeString(y.Shape()), torch.ShapeString(shape); got != want {
			panic(&torch.Error{Op: s.path + ": " + method, Message: fmt.Sprintf("shape %s, want %s", got, want)})
		}
		return y
	})
}
