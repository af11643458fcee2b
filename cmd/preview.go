package cmd

import (
	"context"
	"image"
	"image/draw"
	"io"
	"os"
	"time"

	"focusnfix/model/backbone"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/tui/picture"
)

// previewHelp is what --preview does.
const previewHelp = "show images in the terminal while they are drawn, decoded by the TAESD in `PATH`, a folder or .safetensors file; " +
	sd.OwnDecoder + " is the model's own decoder (default: sample.preview)"

// previewEvery is the shortest time between two previews.
const previewEvery = 100 * time.Millisecond

// previews shows the images of a batch in the terminal while they are drawn. Nil shows nothing.
type previews struct {
	sd.Preview
	to   io.Writer
	live picture.Live
	last time.Time
	err  error // of writing to the terminal
}

// newPreviews opens a decoder where the output is a terminal that shows images; path is empty where none is wanted.
func newPreviews(ctx context.Context, path string, probe *picture.Probe, m backbone.Model) (*previews, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no previews
	}
	decoder, err := sd.OpenPreview(path, m)
	if err != nil {
		return nil, err
	}
	var printer picture.Printer
	if picture.IsTerminal(os.Stdout) {
		printer = terminalPrinter(ctx, probe, printer)
	}
	if printer.Terminal.Protocol == picture.Off { // the zero value
		decoder.Close()
		return nil, nil //nolint:nilnil // no previews
	}
	printer.Rows = max(printer.Rows-1, 1) // the progress bar below
	return &previews{Preview: decoder, to: os.Stdout, live: picture.Live{Printer: printer}}, nil
}

// watch is what a request is to call with its estimates; nil for no previews.
func (p *previews) watch() func(step, of int, latents torch.Tensor) {
	if p == nil {
		return nil
	}
	return p.show
}

// show decodes the latents of a step and shows the images side by side.
func (p *previews) show(step, of int, latents torch.Tensor) {
	if p.err != nil || step == of || time.Since(p.last) < previewEvery {
		return
	}
	var images []*image.RGBA
	torch.Scope(func() torch.Tensor {
		images = backbone.Pictures(p.Decode(latents))
		return torch.Tensor{}
	})
	p.err = p.live.Show(p.to, beside(images))
	p.last = time.Now()
}

// clear takes the images away, before the finished ones come.
func (p *previews) clear() error {
	if p == nil {
		return nil
	}
	if p.err == nil {
		p.err = p.live.Clear(p.to)
	}
	return p.err
}

func (p *previews) close() {
	if p != nil {
		p.Close()
	}
}

// beside is a row of images of one size.
func beside(images []*image.RGBA) image.Image {
	size := images[0].Rect.Size()
	row := image.NewRGBA(image.Rect(0, 0, size.X*len(images), size.Y))
	for i, m := range images {
		draw.Draw(row, image.Rect(i*size.X, 0, (i+1)*size.X, size.Y), m, image.Point{}, draw.Src)
	}
	return row
}
