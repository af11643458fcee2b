package cmd

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"

	"github.com/spf13/cobra"

	"focusnfix/model/scenes"
	"focusnfix/model/scenes/workshop"
)

// maxSheet bounds the scenes of one contact sheet: 1,000 of them are 350 MiB of pixels.
const maxSheet = 1000

// sheetFlags are the flags of `focusnfix scenes`.
type sheetFlags struct {
	sheet, faults string
	seed          uint64
	rows, cols    int
	masks         bool
	prompts       []string
	always        []string
}

func newScenes() *cobra.Command {
	var flags sheetFlags
	c := &cobra.Command{
		Use:    "scenes --sheet FILE.png",
		Short:  "Draw a contact sheet of training scenes of the shipped model",
		Hidden: true, // as pretrain
		Example: "focusnfix scenes --sheet scenes.png --faults decorrelated --masks\n" +
			`focusnfix scenes --sheet chefs.png --prompt "a chef in the park" --always violence`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return drawSheet(c, flags) },
	}
	f := c.Flags()
	f.StringVar(&flags.sheet, "sheet", "", "file to write, a PNG")
	f.Uint64Var(&flags.seed, "seed", workshop.SeedPretrain, "seed of the scenes")
	f.IntVar(&flags.rows, "rows", 6, "rows of the sheet")
	f.IntVar(&flags.cols, "cols", 8, "columns of the sheet")
	f.StringVar(&flags.faults, "faults", "spurious", "spurious (what the model learns), decorrelated (what judges learn) or clean")
	f.StringArrayVar(&flags.always, "always", nil, "give every scene this fault: violence, oversexualization, artifacts or misalignment; may be repeated")
	f.StringArrayVar(&flags.prompts, "prompt", nil, "draw this prompt only; may be repeated")
	f.BoolVar(&flags.masks, "masks", false, "outline the faulty regions")
	if err := c.MarkFlagRequired("sheet"); err != nil {
		panic(err) // the flag above was renamed
	}
	return c
}

// drawSheet draws the scenes and writes the sheet.
func drawSheet(c *cobra.Command, flags sheetFlags) error {
	if flags.rows < 1 || flags.cols < 1 || flags.rows > maxSheet/flags.cols {
		return usageError{fmt.Errorf("a sheet of %d rows and %d columns, want 1 to %d scenes", flags.rows, flags.cols, maxSheet)}
	}
	options, err := flags.options()
	if err != nil {
		return usageError{err}
	}
	generator, err := workshop.New(options)
	if err != nil {
		return err
	}
	batch := make([]workshop.Scene, flags.rows*flags.cols)
	generator.Fill(batch, 0)
	picture, err := workshop.Sheet(batch, flags.cols, flags.masks)
	if err != nil {
		return err
	}
	if err := writePNG(flags.sheet, picture); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %d scenes\n", flags.sheet, len(batch))
	return nil
}

// options reads the names among the flags.
func (f sheetFlags) options() (workshop.Options, error) {
	options := workshop.Options{Seed: f.seed}
	var err error
	if options.Faults, err = workshop.ParseFaultMode(f.faults); err != nil {
		return options, err
	}
	for _, name := range f.always {
		aspect, err := scenes.ParseAspect(name)
		if err != nil {
			return options, err
		}
		options.Always = append(options.Always, aspect)
	}
	for _, text := range f.prompts {
		prompt, err := scenes.Parse(text)
		if err != nil {
			return options, err
		}
		options.Prompts = append(options.Prompts, prompt)
	}
	return options, nil
}

// writePNG writes the image to a file and leaves none behind when that fails.
func writePNG(path string, picture image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	err = png.Encode(file, picture)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return nil
}
