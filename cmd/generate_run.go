package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
)

// suitRun draws with a run's newest checkpoint, and as the run draws where the user has no other wish. From
// then on ofRun is the checkpoint's name, for the image's text.
func (g *generateFlags) suitRun(command *cobra.Command) error {
	if g.ofRun == "" {
		return nil
	}
	if !(g.strength > 0 && g.strength <= maxStrength) {
		return usageError{fmt.Errorf("--strength %g: want more than 0, at most %g", g.strength, float64(maxStrength))}
	}
	f, err := run.Find(g.runs.dir(), g.ofRun)
	if err != nil {
		return err
	}
	checkpoint, err := chooseCheckpoint(f, 0)
	if err != nil {
		return err
	}
	c, err := resolvedConfig(f)
	if err != nil {
		return err
	}
	chosen := command.Flags().Changed
	var opened core.Config // nothing else of what the run names is opened
	if !chosen("model") {
		opened.Model = c.Model
	}
	if !chosen("preview") {
		opened.Sample.Preview = c.Sample.Preview
	}
	if err := g.trust.opens(command, f, opened); err != nil {
		return err
	}
	g.ofRun = f.Name() + " " + checkpointName(checkpoint)
	g.model.loras = append([]string{fmt.Sprintf("%s:%g", train.LoRAFile(checkpoint.Dir), g.strength)}, g.model.loras...)
	for flag, set := range map[string]func(){
		"model":            func() { g.model.path = c.Model.Path },
		"config":           func() { g.model.config = c.Model.Config },
		"prediction":       func() { g.model.prediction = unlessAuto(c.Model.Prediction) },
		"zero-snr":         func() { g.model.zeroSNR = zeroSNR(c) },
		"guidance-rescale": func() { g.sampling.GuidanceRescale = c.Sample.GuidanceRescale },
		"scheduler":        func() { g.model.scheduler = c.Sample.Scheduler },
		"dtype":            func() { g.model.dtype = unlessAuto(c.Model.DType) },
		"device":           func() { g.model.device = unlessAuto(c.Model.Device) },
		"steps":            func() { g.sampling.NumSteps = c.Sample.NumSteps },
		"guidance":         func() { g.sampling.GuidanceScale = c.Sample.GuidanceScale },
		"preview":          func() { g.sampling.Preview = c.Sample.Preview },
		"eta":              func() { g.sampling.Eta = c.Sample.Eta },
		"size":             func() { g.size = c.Sample.Size.String() },
	} {
		if !chosen(flag) {
			set()
		}
	}
	return nil
}

// zeroSNR is model.zero_snr as a flag has it; nil is what the model says.
func zeroSNR(c core.Config) *bool {
	on := c.Model.ZeroSNR == "on"
	if !on && c.Model.ZeroSNR != "off" {
		return nil
	}
	return &on
}

func unlessAuto(value string) string {
	if value == "auto" {
		return ""
	}
	return value
}
