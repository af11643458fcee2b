package tui

import (
	"cmp"
	"image"
	"math"
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/render"
	"focusnfix/tui/feed"
)

// maxSources is how many images can be chosen from.
const maxSources = 200

// fixSource is an image that can be repaired.
type fixSource struct {
	request run.GenerateRequest
	files   feed.Files
}

// choose takes another pane's image.
func (p *fixPane) choose(msg repairMsg) {
	p.chosen, p.sources, p.aspect, p.fault, p.err, p.noFault = &msg.source, nil, msg.aspect, "", nil, nil
	p.regionEditor, p.history = newRegionEditor(), fixHistory{}
	p.more.stopShowing()
	if p.phase == fixResults {
		p.phase = fixDrawing
	}
}

// refresh lists the images that can be repaired: the chosen one, the run's newest with the worst first,
// and prompts.
func (p *fixPane) refresh() tea.Cmd {
	if p.run == nil || !p.visible {
		return nil
	}
	before, had := p.current()
	p.sources = nil
	if p.chosen != nil {
		p.sources = append(p.sources, *p.chosen)
	}
	store := p.run.Store
	if step, ok := store.NewestPictures(); ok {
		g := feed.NewGallery()
		g.Add(map[int][]core.Picture{step: store.Pictures[step]})
		for _, which := range worstFirst(g, step) {
			p.addSource(fixSource{feed.RequestOf(g.Texts[which.Index], which.Seed), g.Files(feed.Place{Step: step, Sample: which}, "")})
		}
	}
	for _, e := range slices.Backward(store.Prompts) {
		if !e.Prompt.Fix {
			p.addSource(fixSource{feed.RequestAgain(*e.Prompt), feed.ResultFiles(*e.Prompt, "")})
		}
	}
	p.aspect = oneOf(p.aspect, p.aspectNames())
	if i := slices.IndexFunc(p.sources, func(s fixSource) bool { return s.request == before.request }); had && i >= 0 {
		p.source = i
		return nil
	}
	p.source = 0
	return p.startOver()
}

// worstFirst is the pairs in the order of their base images' worst score: where a fault is to be seen
// comes first.
func worstFirst(g *feed.Gallery, step int) []feed.Sample {
	worst := func(which feed.Sample) float64 {
		least := math.Inf(1)
		for _, a := range g.Images[feed.Place{Step: step, Sample: which}].Aspects {
			if a.Base < least { // not where it is not known
				least = a.Base
			}
		}
		return least
	}
	pairs := slices.Clone(g.Samples)
	slices.SortStableFunc(pairs, func(a, b feed.Sample) int { return cmp.Compare(worst(a), worst(b)) })
	return pairs
}

// addSource adds an image unless it is there or its prompt is not known.
func (p *fixPane) addSource(s fixSource) {
	same := func(t fixSource) bool { return t.request == s.request }
	if s.request.Prompt != "" && len(p.sources) < maxSources && !slices.ContainsFunc(p.sources, same) {
		p.sources = append(p.sources, s)
	}
}

// current is the image that is to be repaired.
func (p *fixPane) current() (fixSource, bool) {
	if p.source >= len(p.sources) {
		return fixSource{}, false
	}
	return p.sources[p.source], true
}

// startOver shows the current image as it is to begin with, and finds where the judges see its fault, as the box to
// begin with.
func (p *fixPane) startOver() tea.Cmd {
	at, ok := p.current()
	if !ok {
		p.history = fixHistory{}
		return nil
	}
	p.history.begin(at.files.Drawing(p.run.Folder, feed.Layers{IsBase: !p.ofRun || at.files.Base == "", Over: feed.Nothing}).Path)
	if at.files.Mask == "" || p.set {
		return nil
	}
	folder, cache := p.run.Folder, p.deck.files
	return func() tea.Msg {
		mask, err := cache.Read(folder, at.files.Mask, 0)
		if err != nil {
			return nil
		}
		box, ok := boxAround(mask)
		if !ok {
			return nil
		}
		return regionMsg{at.files, box}
	}
}

// boxAround is the smallest box around the white of a mask; ok is false where there is none.
func boxAround(mask image.Image) (b core.Box, ok bool) {
	size := mask.Bounds().Size()
	var r image.Rectangle
	for i, v := range render.Gray(mask) {
		if v >= 0.5 {
			r = r.Union(image.Rect(i%size.X, i/size.X, i%size.X+1, i/size.X+1))
		}
	}
	if r.Empty() {
		return b, false
	}
	w, h := float64(size.X), float64(size.Y)
	b = core.Box{Left: float64(r.Min.X) / w, Top: float64(r.Min.Y) / h, Right: float64(r.Max.X) / w, Bottom: float64(r.Max.Y) / h}
	b.Left, b.Right = apart(b.Left, b.Right)
	b.Top, b.Bottom = apart(b.Top, b.Bottom)
	return b, true
}
