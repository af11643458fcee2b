package cmd

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/picture"
)

func newMasks() *cobra.Command {
	var runs runsFlag
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "masks RUN",
		Short: "Check the masks of a run's training images",
		Long: "Print how much of the run's training images their masks cover, and which masks are odd: empty, covering more than " +
			"region.max_coverage, or drawn by hand away from the heatmap. With --sheet, write a picture of all: base image, " +
			"heatmap and mask. " + runHelp + " The screen edits masks: 6 is Masks.",
		Example: `  focusnfix masks 3aym
  focusnfix masks 3aym --sheet masks.png`,
		Args: takes("RUN"), ValidArgsFunction: completeRuns(&runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if out != "" && !strings.EqualFold(filepath.Ext(out), ".png") {
				return usageError{fmt.Errorf("--sheet %s: want a name that ends in .png", out)}
			}
			f, err := run.Find(runs.dir(), args[0])
			if err != nil {
				return err
			}
			all, config, err := masksOf(f)
			if err != nil {
				return err
			}
			if out != "" {
				if err := writeMaskSheet(f, all, config.Region.MaxCoverage, out); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), maskRows(all, config.Region.MaxCoverage))
			}
			printMasks(c, all, config.Region.MaxCoverage)
			if out != "" {
				fmt.Fprintln(c.OutOrStdout(), out)
			}
			return nil
		},
	}
	runs.add(c)
	c.Flags().StringVar(&out, "sheet", "", "write a picture of all masks to `FILE`.png")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object for each mask")
	return c
}

// masksOf reads the masks of the references that are drawn.
func masksOf(f run.Folder) (all []run.Masked, config core.Config, err error) {
	if config, err = f.Config(); err != nil {
		return nil, config, err
	}
	references, err := f.ListReferences()
	if err != nil {
		return nil, config, err
	}
	if len(references) == 0 {
		return nil, config, hintedError{fmt.Errorf("%s: no references yet", f.Name()), "the engine draws them as training needs them"}
	}
	for _, r := range references {
		m, err := f.Masked(r, config.Reward)
		if err != nil {
			return nil, config, err
		}
		all = append(all, m)
	}
	return all, config, nil
}

// maskRow is a row of `masks --json`.
type maskRow struct {
	Path     string  `json:"path"` // of the reference, from the run folder
	Prompt   string  `json:"prompt"`
	Seed     uint64  `json:"seed"`
	Coverage float64 `json:"coverage"`        // share of the image
	Edited   bool    `json:"edited"`          // by hand
	Alarm    string  `json:"alarm,omitempty"` // what is odd
}

func maskRows(all []run.Masked, most float64) []maskRow {
	rows := []maskRow{}
	for _, m := range all {
		rows = append(rows, maskRow{m.Path, m.Prompt, m.Seed, m.Mask.Coverage(), m.Edited, m.Alarm(most)})
	}
	return rows
}

func printMasks(c *cobra.Command, all []run.Masked, most float64) {
	out := c.OutOrStdout()
	rows := [][]string{{"PROMPT", "SEED", "COVERAGE", ""}}
	for _, m := range all {
		if state := m.State(most); state != run.MaskSound && state != run.MaskEmpty {
			rows = append(rows, []string{m.Prompt, fmt.Sprint(m.Seed), words.Percent(m.Mask.Coverage()) + " %", m.Alarm(most)})
		}
	}
	n := run.CountMasks(all, most)
	fmt.Fprintf(out, "%s; %d without a fault, %d drawn by hand, %d of them excluded\n", words.Plural(len(all), "mask"), n.States[run.MaskEmpty], n.Edited, n.States[run.MaskExcluded])
	fmt.Fprintf(out, "coverage of the others: median %s %%, largest %s %%; %d above %s %%, %d drifted from the heatmap\n",
		words.Percent(n.Median), words.Percent(n.Largest), n.States[run.MaskLarge], words.Percent(most), n.States[run.MaskDrifted])
	if len(rows) > 1 {
		printColumns(out, rows, 0)
	}
}

const maskSheetColumns = 4 // groups of base, heat and mask

// writeMaskSheet writes base image, heatmap and mask of every reference, with coverage and alarm.
func writeMaskSheet(f run.Folder, all []run.Masked, most float64, to string) error {
	var m *image.RGBA
	for i, one := range all {
		base, err := readBase(f, one)
		if err != nil {
			return err
		}
		size := base.Bounds().Size()
		cell := image.Pt(3*(size.X+sheetGap)+2*sheetGap, size.Y+sheetLine+sheetGap)
		if m == nil {
			rows := (len(all) + maskSheetColumns - 1) / maskSheetColumns
			m = image.NewRGBA(image.Rect(0, 0, min(len(all), maskSheetColumns)*cell.X, rows*cell.Y))
			if err := core.CheckImage(image.Config{ColorModel: color.RGBAModel, Width: m.Rect.Dx(), Height: m.Rect.Dy()}); err != nil {
				return fmt.Errorf("--sheet: %w", err)
			}
			draw.Draw(m, m.Rect, image.White, image.Point{}, draw.Src)
		}
		at := image.Pt(i%maskSheetColumns*cell.X, i/maskSheetColumns*cell.Y)
		text := fmt.Sprintf("%.0f %% %s", 100*one.Mask.Coverage(), one.Alarm(most))
		if one.Edited {
			text = "by hand, " + text
		}
		label(m, at.X, at.Y, cell.X-2*sheetGap, text+" "+one.Prompt)
		for k, img := range []image.Image{base, heatedBy(base, one), one.Mask.Gray()} {
			place := at.Add(image.Pt(k*(size.X+sheetGap), sheetLine))
			draw.Draw(m, image.Rectangle{place, place.Add(size)}, img, img.Bounds().Min, draw.Src)
		}
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(file, m), file.Close())
}

func readBase(f run.Folder, m run.Masked) (*image.RGBA, error) {
	file, err := f.Open(path.Join(m.Path, "base.png"))
	if err != nil {
		return nil, err
	}
	img, err := picture.Decode(path.Join(m.Path, "base.png"), file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return render.RGBA(img), nil
}

// heatedBy is the base image with all heatmaps and the mask's outline over it.
func heatedBy(base *image.RGBA, one run.Masked) image.Image {
	m := image.NewRGBA(base.Rect)
	copy(m.Pix, base.Pix)
	var heat core.Heatmap
	for _, h := range one.Heat {
		heat = heat.Strongest(h)
	}
	render.Overlay{Width: heat.Width, Height: heat.Height, Heatmap: heat.Score, Mask: maskPlane(one.Mask), Alpha: 0.65, Contour: color.RGBA{255, 255, 255, 255}}.Draw(m)
	return m
}
