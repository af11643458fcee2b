package cmd

import (
	"context"
	"fmt"
	"image"
	"io"

	"focusnfix/model/flow"
	"focusnfix/model/sd"
)

// painter is a model of any family that draws, and what an image's parameters say of it.
type painter struct {
	model
	name, sampler string
}

// model draws images from prompts.
type model interface {
	Generate(ctx context.Context, r sd.Request) ([]*image.RGBA, error)
	NaturalSize() (width, height int64) // pixels
	Preview(path string) (sd.Preview, error)
	Close()
}

// openPainter loads the model that the flags name, whatever its family. Warnings go to w.
func (m *modelFlags) openPainter(w io.Writer) (painter, error) {
	if !flow.Draws(m.path) {
		p, err := m.open(w)
		if err != nil {
			return painter{}, err
		}
		return painter{p, p.Name, samplerName(p.Scheduler)}, nil
	}
	options, err := m.options()
	if err != nil {
		return painter{}, err
	}
	if len(m.loras) > 0 {
		return painter{}, fmt.Errorf("--lora: is for Stable Diffusion 1.x, 2.x and SDXL; %s is drawn without", m.path)
	}
	p, err := flow.Load(m.path, options)
	if err != nil {
		return painter{}, err
	}
	return painter{p, p.Name, "Euler"}, nil
}
