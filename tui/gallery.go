package tui

import (
	"cmp"
	"slices"
	"strings"

	"focusnfix/core"
)

// gallery is what there is of a run's kept pictures: which prompt and seed at which step.
type gallery struct {
	steps []int  // with pictures, ascending
	pairs []pair // in the order of prompts and seeds
	at    map[place]core.Picture
	texts map[int]string  // of the prompts, by index
	refs  map[pair]string // folders with base picture, heatmaps and mask
}

// pair is a prompt of the run's list and a seed: what one picture comes from.
type pair struct {
	Index int
	Seed  uint64
}

// place is where a picture stands in a run.
type place struct {
	step int
	pair pair
}

func newGallery() *gallery {
	return &gallery{at: map[place]core.Picture{}, texts: map[int]string{}, refs: map[pair]string{}}
}

// add takes pictures by step. What is known of a picture already is kept: events, which are added first,
// know texts and scores, and a folder does not.
func (g *gallery) add(pictures map[int][]core.Picture) {
	for step, list := range pictures {
		for _, p := range list {
			at := place{step, pair{p.Index, p.Seed}}
			if _, known := g.at[at]; !known {
				g.put(at, p)
			}
		}
	}
	g.steps, g.pairs = g.steps[:0], g.pairs[:0]
	for at := range g.at {
		g.steps, g.pairs = append(g.steps, at.step), append(g.pairs, at.pair)
	}
	slices.Sort(g.steps)
	slices.SortFunc(g.pairs, comparePairs)
	g.steps, g.pairs = slices.Compact(g.steps), slices.Compact(g.pairs)
}

func (g *gallery) put(at place, p core.Picture) {
	if p.Prompt != "" {
		g.texts[p.Index] = p.Prompt
	}
	if p.Reference != "" {
		g.refs[at.pair] = p.Reference
	}
	g.at[at] = p
}

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Seed, b.Seed))
}

// aspects are those that the newest pictures were judged by, in the order they came.
func (g *gallery) aspects() []string {
	var names []string
	for _, step := range slices.Backward(g.steps) {
		for _, p := range g.pairs {
			for _, a := range g.at[place{step, p}].Aspects {
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

// pictureFiles are a picture's files, from the run folder; what there is not is "".
type pictureFiles struct{ base, tuned, heat, mask string }

// files are those of the picture at a place, with the heatmap of an aspect.
func (g *gallery) files(at place, aspect string) pictureFiles {
	f := pictureFiles{tuned: g.at[at].Path}
	dir := g.refs[at.pair]
	if dir == "" {
		return f
	}
	f.base, f.mask = dir+"/base.png", dir+"/mask.png"
	return f.withHeat(aspect)
}

// withHeat are the files with the heatmap of a judge, which lies beside the base picture.
func (f pictureFiles) withHeat(judge string) pictureFiles {
	f.heat = ""
	if dir, found := strings.CutSuffix(f.base, "base.png"); found && judge != "" {
		f.heat = dir + "heat-" + judge + ".png"
	}
	return f
}
