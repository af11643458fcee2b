package reward

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"focusnfix/model/torch"
)

// preparation turns images into what a network was trained on, as the Python programs do for 8-bit
// files: resize with PIL's filter, cut or pad to size, normalize. Unlike theirs it does not round to
// 8 bits, and is differentiable.
type preparation struct {
	height, width int64 // of the result
	fit           fit
	edge          int64 // pixels of the shortest side after resizing, for fitShortest
	bilinear      bool  // rather than bicubic
	unclamped     bool  // the original resizes floats, which may leave [0,1], rather than bytes
	anySize       bool  // the network takes images of any size: the file decides
	halfEven      bool  // torchvision rounds the place of a crop so; transformers rounds down
	mean, std     []float32
}

// fit says how an image's shape becomes that of the result.
type fit int

const (
	fitShortest fit = iota // the shortest side becomes edge, the middle is cut out
	fitLongest             // the longest side fits, black bars fill the rest
	fitStretch             // both sides change to size
)

// OpenAI's statistics of RGB in [0,1], which OpenCLIP kept.
var (
	clipMean = []float32{0.48145466, 0.4578275, 0.40821073}
	clipStd  = []float32{0.26862954, 0.26130258, 0.27577711}
)

// clipPreparation is CLIP's own for images of size pixels.
func clipPreparation(size int64) preparation {
	return preparation{height: size, width: size, edge: size, mean: clipMean, std: clipStd}
}

// frame is where the result lies in the resized image. A negative top or left is a black bar.
type frame struct{ resizedHeight, resizedWidth, top, left int64 }

func (p preparation) frame(H, W int64) frame {
	f := frame{resizedHeight: p.height, resizedWidth: p.width}
	switch p.fit {
	case fitStretch:
		return f
	case fitLongest:
		scale := float64(p.height) / float64(max(H, W))
		f.resizedHeight = int64(math.RoundToEven(float64(H) * scale))
		f.resizedWidth = int64(math.RoundToEven(float64(W) * scale))
		f.top, f.left = -((p.height - f.resizedHeight) / 2), -((p.width - f.resizedWidth) / 2)
		return f
	}
	f.resizedHeight, f.resizedWidth = p.edge, p.edge*W/H
	if W < H {
		f.resizedHeight, f.resizedWidth = p.edge*H/W, p.edge
	}
	f.top, f.left = p.middle(f.resizedHeight-p.height), p.middle(f.resizedWidth-p.width)
	return f
}

// middle is where the inner part starts when surplus pixels are cut off.
func (p preparation) middle(surplus int64) int64 {
	half := float64(surplus) / 2
	if p.halfEven {
		return int64(math.RoundToEven(half))
	}
	return int64(math.Floor(half))
}

// apply maps images [B,3,H,W] in [0,1] to normalized pixels [B,3,height,width] on the device.
func (p preparation) apply(images torch.Tensor, device torch.Device, dtype torch.DType) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := images.ToDevice(device, dtype)
		f := p.frame(x.Size(2), x.Size(3))
		if f.resizedHeight != x.Size(2) || f.resizedWidth != x.Size(3) {
			if p.bilinear {
				x = x.ResizeBilinear(f.resizedHeight, f.resizedWidth, torch.Resize{Antialias: true})
			} else {
				x = x.ResizeBicubic(f.resizedHeight, f.resizedWidth, torch.Resize{Antialias: true})
			}
			if !p.unclamped {
				x = x.Clamp(0, 1)
			}
		}
		x = x.Pad(0, -f.left, f.left+p.width-f.resizedWidth, -f.top, f.top+p.height-f.resizedHeight)
		like := func(v []float32) torch.Tensor { return torch.From(v, 3, 1, 1).ToDevice(device, dtype) }
		return x.Sub(like(p.mean)).Div(like(p.std))
	})
}

// undo puts a map [B,1,h,w] of the prepared image back on the image of H × W pixels. What the
// network did not see is 0.
func (p preparation) undo(heat torch.Tensor, H, W int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		f := p.frame(H, W)
		x := heat.ResizeBilinear(p.height, p.width, torch.Resize{})
		x = x.Pad(0, f.left, f.resizedWidth-f.left-p.width, f.top, f.resizedHeight-f.top-p.height)
		return x.ResizeBilinear(H, W, torch.Resize{Antialias: true}).Clamp(0, 1)
	})
}

// pixelSize is a size of a preprocessor_config.json: a number, or an object of one of two kinds.
type pixelSize struct {
	Shortest int64 `json:"shortest_edge"`
	Height   int64 `json:"height"`
	Width    int64 `json:"width"`
}

func (s *pixelSize) UnmarshalJSON(text []byte) error {
	*s = pixelSize{}
	if json.Unmarshal(text, &s.Shortest) == nil {
		return nil
	}
	type plain pixelSize
	return json.Unmarshal(text, (*plain)(s))
}

// readPreparation reads the preprocessor_config.json of a folder; without one, what is given holds.
func readPreparation(dir string, p preparation) (preparation, error) {
	path := filepath.Join(dir, "preprocessor_config.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	cfg := preprocessorConfig{Resample: pilBicubic, Rescale: true, Resize: true, Normalize: true, Cut: true, Mean: p.mean, Std: p.std}
	if p.bilinear {
		cfg.Resample = pilBilinear
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	if err := cfg.into(&p); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// preprocessorConfig is what we read of a preprocessor_config.json.
type preprocessorConfig struct {
	Resize    bool      `json:"do_resize"`
	Rescale   bool      `json:"do_rescale"`
	Normalize bool      `json:"do_normalize"`
	Cut       bool      `json:"do_center_crop"`
	Size      pixelSize `json:"size"`
	Crop      pixelSize `json:"crop_size"`
	Resample  int       `json:"resample"`
	Mean      []float32 `json:"image_mean"`
	Std       []float32 `json:"image_std"`
}

// Numbers of PIL's filters.
const (
	pilBilinear = 2
	pilBicubic  = 3
)

func (c preprocessorConfig) into(p *preparation) error {
	switch {
	case !c.Resize || !c.Rescale || !c.Normalize:
		return errors.New("do_resize, do_rescale and do_normalize must all be true")
	case !c.Cut && p.fit == fitShortest:
		return errors.New("do_center_crop must be true: the network takes images of one size")
	case c.Resample != pilBilinear && c.Resample != pilBicubic:
		return fmt.Errorf("resample %d, want %d (bilinear) or %d (bicubic)", c.Resample, pilBilinear, pilBicubic)
	case len(c.Mean) != 3 || len(c.Std) != 3:
		return fmt.Errorf("image_mean and image_std have %d and %d numbers, want 3 each", len(c.Mean), len(c.Std))
	}
	p.bilinear, p.mean, p.std = c.Resample == pilBilinear, c.Mean, c.Std
	return c.sizes(p)
}

// sizes takes over how far to resize, and refuses images that the network does not take.
func (c preprocessorConfig) sizes(p *preparation) error {
	if p.fit == fitShortest && c.Size.Shortest > 0 {
		p.edge = c.Size.Shortest
	}
	result := c.Size
	if p.fit == fitShortest {
		result = c.Crop
	}
	if n := result.Shortest; n > 0 { // a lone number is a square here
		result.Height, result.Width = n, n
	}
	if p.anySize && result.Height > 0 && result.Width > 0 {
		p.height, p.width = result.Height, result.Width
	}
	if result != (pixelSize{}) && (result.Height != p.height || result.Width != p.width) {
		return fmt.Errorf("images of %d x %d pixels, the network's config.json wants %d x %d", result.Height, result.Width, p.height, p.width)
	}
	return nil
}
