package feed

import (
	"cmp"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Gallery is what there is of a run's kept images: which prompt and seed at which step.
type Gallery struct {
	Steps      []int    // with images, ascending
	Samples    []Sample // in the order of prompts and seeds
	Images     map[Place]core.Picture
	Texts      map[int]string    // of the prompts, by index
	References map[Sample]string // folders with base image, heatmaps and mask
}

// Sample is a prompt of the run's list and a seed: what one image comes from.
type Sample struct {
	Index int
	Seed  uint64
}

// Place is where an image stands in a run.
type Place struct {
	Step   int
	Sample Sample
}

// NewGallery returns a gallery without images.
func NewGallery() *Gallery {
	return &Gallery{Images: map[Place]core.Picture{}, Texts: map[int]string{}, References: map[Sample]string{}}
}

// Add takes images by step. What is known of an image already is kept: events, which are added first,
// know texts and scores, and a folder does not.
func (g *Gallery) Add(pictures map[int][]core.Picture) {
	for step, list := range pictures {
		for _, p := range list {
			at := Place{step, Sample{p.Index, p.Seed}}
			if _, known := g.Images[at]; !known {
				g.put(at, p)
			}
		}
	}
	g.Steps, g.Samples = g.Steps[:0], g.Samples[:0]
	for at := range g.Images {
		g.Steps, g.Samples = append(g.Steps, at.Step), append(g.Samples, at.Sample)
	}
	slices.Sort(g.Steps)
	slices.SortFunc(g.Samples, comparePairs)
	g.Steps, g.Samples = slices.Compact(g.Steps), slices.Compact(g.Samples)
}

func (g *Gallery) put(at Place, p core.Picture) {
	if p.Prompt != "" {
		g.Texts[p.Index] = p.Prompt
	}
	if p.Reference != "" {
		g.References[at.Sample] = p.Reference
	}
	g.Images[at] = p
}

func comparePairs(a, b Sample) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Seed, b.Seed))
}

// Aspects are those that the newest images were judged by, in the order they came.
func (g *Gallery) Aspects() []string {
	var names []string
	for _, step := range slices.Backward(g.Steps) {
		for _, p := range g.Samples {
			for _, a := range g.Images[Place{step, p}].Aspects {
				if !slices.Contains(names, a.Aspect) {
					names = append(names, a.Aspect)
				}
			}
		}
		if len(names) > 0 {
			break // every step has the same judges
		}
	}
	return names
}

// Files are the files of a base and a tuned image, from the run folder; "" is a file that is not there.
type Files struct{ Base, tuned, Heat, TunedHeat, Mask string }

// Files are those of the image at a place, with the heatmap of an aspect.
func (g *Gallery) Files(at Place, aspect string) Files {
	f := Files{tuned: g.Images[at].Path}
	if f.tuned != "" && aspect != "" {
		f.TunedHeat = run.PictureHeatmap(f.tuned, heatmapName(aspect))
	}
	dir := g.References[at.Sample]
	if dir == "" {
		return f
	}
	f.Base, f.Mask = dir+"/base.png", dir+"/mask.png"
	return f.WithHeat(aspect)
}

// heldOutPrefix marks the held-out judge of an aspect among the judges that one can choose from.
const heldOutPrefix = "held-out-"

// heatmapName is the name of a judge's heatmaps.
func heatmapName(judge string) string {
	aspect, heldOut := strings.CutPrefix(judge, heldOutPrefix)
	return run.HeatmapName(aspect, heldOut)
}

// WithHeat are the files with the heatmap of a judge, which lies beside the base image.
func (f Files) WithHeat(judge string) Files {
	f.Heat = ""
	if dir, found := strings.CutSuffix(f.Base, "base.png"); found && judge != "" {
		f.Heat = dir + heatmapName(judge) + ".png"
	}
	return f
}
