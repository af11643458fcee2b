package sd

import (
	"errors"

	"focusnfix/model/backbone"
	"focusnfix/model/weights"
)

// Inspect says what a model is and what would be used of it. With every, all weights are read in search of
// NaN and infinity.
func Inspect(path string, o backbone.LoadOptions, every bool) (backbone.Facts, error) {
	f := backbone.Facts{Layout: backbone.FolderLayout, Odd: []string{}}
	o.Warn = func(line string) { f.Odd = append(f.Odd, line) }
	c, err := openCheckpoint(path, o)
	if err != nil {
		return f, err
	}
	f.Pipeline = c.index.className
	if c.whole != "" {
		f.Layout = backbone.SingleLayout
	}
	if err := readFacts(&f, c, o); err != nil {
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
		f.Add(part, name, tensors, every)
	}
	return f, c.close()
}

// readFacts fills what the configurations say.
func readFacts(f *backbone.Facts, c *checkpoint, o backbone.LoadOptions) error {
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
