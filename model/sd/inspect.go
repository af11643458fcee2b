package sd

import (
	"errors"
	"slices"

	"focusnfix/model/backbone"
	"focusnfix/model/weights"
)

// Facts are what Inspect finds out about a model without loading it into libtorch.
type Facts struct {
	Kind       string      `json:"family"`     // "SD 1", "SD 2" or "SDXL"
	Pipeline   string      `json:"pipeline"`   // the class that diffusers draws it with
	Layout     string      `json:"layout"`     // "diffusers folder" or "single file"
	Prediction string      `json:"prediction"` // epsilon or v_prediction
	Scheduler  string      `json:"scheduler"`
	Pixels     int64       `json:"pixels"` // of a side that the model was trained on
	Parts      []PartFacts `json:"parts"`
	Odd        []string    `json:"odd"` // what is taken for granted, and what would not load
}

// PartFacts describe the weights of one part.
type PartFacts struct {
	Name       string   `json:"name"`
	File       string   `json:"file"`
	Tensors    int      `json:"tensors"`
	Parameters int64    `json:"parameters"`
	Bytes      int64    `json:"bytes"`
	DTypes     []string `json:"dtypes"`
}

// Inspect says what a model is and what would be used of it. With every, all weights are read in search of
// NaN and infinity.
func Inspect(path string, o backbone.LoadOptions, every bool) (Facts, error) {
	f := Facts{Layout: "diffusers folder", Odd: []string{}}
	o.Warn = func(line string) { f.Odd = append(f.Odd, line) }
	c, err := openCheckpoint(path, o)
	if err != nil {
		return f, err
	}
	f.Pipeline = c.index.className
	if c.whole != "" {
		f.Layout = "single file"
	}
	if err := f.read(c, o); err != nil {
		return f, errors.Join(err, c.close())
	}
	for _, part := range modelParts {
		if part == "text_encoder_2" && f.Kind != string(weights.SDXL) {
			continue
		}
		name, tensors, err := c.open(part)
		if err != nil {
			f.Odd = append(f.Odd, err.Error())
			continue
		}
		f.Parts = append(f.Parts, f.part(part, name, tensors, every))
	}
	return f, c.close()
}

// read fills what the configurations say.
func (f *Facts) read(c *checkpoint, o backbone.LoadOptions) error {
	unet, err := c.folder("unet").unetConfig()
	if err != nil {
		return err
	}
	vae, err := c.folder("vae").vaeConfig()
	if err != nil {
		return err
	}
	scheduler, err := c.schedulerConfig(o.Scheduler)
	if err != nil {
		return err
	}
	f.Scheduler, f.Prediction = scheduler.Class, scheduler.PredictionType
	f.Pixels = unet.SampleSize * vae.Factor()
	kind, err := c.family(unet)
	f.Kind = string(kind)
	return err
}

// part counts one part's weights.
func (f *Facts) part(part, name string, tensors []weights.Tensor, every bool) PartFacts {
	p := PartFacts{Name: part, File: name, Tensors: len(tensors)}
	for _, t := range tensors {
		n := int64(1)
		for _, s := range t.Shape {
			n *= s
		}
		p.Parameters += n
		p.Bytes += int64(len(t.Bytes))
		if !slices.Contains(p.DTypes, string(t.DType)) {
			p.DTypes = append(p.DTypes, string(t.DType))
		}
		if every && !t.IsFinite() {
			f.Odd = append(f.Odd, t.Path+": "+t.Key+": holds NaN or infinity")
		}
	}
	slices.Sort(p.DTypes)
	return p
}
