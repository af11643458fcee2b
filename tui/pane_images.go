package tui

import (
	"math"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// imagesPane is the browser of a run's kept images: one large, or many small ones, over prompts, seeds
// and steps.
type imagesPane struct {
	*shared
	w, h    int
	visible bool

	gallery  *feed.Gallery
	pictured int                    // the store's count when the gallery was made
	found    map[int][]core.Picture // in the run folder; events may not tell of all
	err      error                  // why the folder of images cannot be read

	slider  widget.Slider
	sample  int  // of gallery.Samples: the chosen one
	grid    bool // many small ones
	bySteps bool // the grid has the steps of one image, not the images of one step
	feed.Layers
	aspect string // of the heatmap

	blink bool
	beat  int  // of the clock that plays or blinks; one of another number is out of date
	held  bool // the slider, by the mouse
	psnr  map[feed.Files]float64
}

// What the pane's commands bring back.
type (
	foundMsg struct { // images that lie in the run folder
		run      *feed.Run
		pictures map[int][]core.Picture
		err      error
	}
	psnrMsg struct { // how like the base image one is outside the mask
		files feed.Files
		psnr  float64
	}
	beatMsg struct{ beat int } // play the next image, or blink
)

// The pace of playing and of blinking. Playing waits for images that take longer.
const (
	playEvery  = 250 * time.Millisecond
	blinkEvery = 600 * time.Millisecond
)

func newImagesPane(s *shared) *imagesPane {
	p := &imagesPane{shared: s}
	p.reset()
	return p
}

// reset forgets a run's images.
func (p *imagesPane) reset() {
	p.gallery, p.slider = feed.NewGallery(), widget.Slider{Follow: true}
	p.pictured, p.sample, p.found, p.err, p.aspect = 0, 0, nil, nil, ""
	p.psnr = map[feed.Files]float64{}
	p.still()
}

func (p *imagesPane) title() string { return "Images" }
func (p *imagesPane) typing() bool  { return false }

func (p *imagesPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		if p.visible = bool(msg); !p.visible {
			p.still()
			return nil
		}
		return tea.Batch(p.scan(), p.wants())
	case openedMsg:
		p.reset()
		return p.scan()
	case eventsMsg, stateMsg:
		p.collect()
	case foundMsg:
		if msg.run == p.run {
			p.found, p.err = msg.pictures, msg.err
			p.rebuild()
		}
	case psnrMsg:
		p.psnr[msg.files] = msg.psnr
		return nil
	case beatMsg:
		return p.tick(msg)
	case widget.Mouse:
		return tea.Batch(p.mouse(msg), p.wants())
	case shownMsg, encodeMsg:
	default:
		return nil
	}
	return p.wants()
}

// scan looks for images in the run folder that no event tells of, as in a folder copied in part.
func (p *imagesPane) scan() tea.Cmd {
	if p.run == nil || !p.visible {
		return nil
	}
	opened := p.run
	return func() tea.Msg {
		found, err := opened.Folder.Pictures()
		return foundMsg{opened, found, err}
	}
}

// collect takes in what the events tell.
func (p *imagesPane) collect() {
	if p.run != nil && p.run.Store.PictureChanges != p.pictured {
		p.rebuild()
	}
}

// rebuild makes the gallery anew and stays on the image that is looked at.
func (p *imagesPane) rebuild() {
	which, had := p.which()
	p.gallery = feed.NewGallery()
	p.gallery.Add(p.run.Store.Pictures)
	p.gallery.Add(p.found)
	p.pictured = p.run.Store.PictureChanges
	if i := slices.Index(p.gallery.Samples, which); had && i >= 0 {
		p.sample = i
	}
	p.sample = min(p.sample, max(len(p.gallery.Samples)-1, 0))
	p.slider.Set(p.gallery.Steps)
	if names := p.aspects(); !slices.Contains(names, p.aspect) {
		p.aspect = ""
		if len(names) > 0 {
			p.aspect = names[0]
		}
	}
}

// which is the prompt and seed that are looked at.
func (p *imagesPane) which() (feed.Sample, bool) {
	if p.sample >= len(p.gallery.Samples) {
		return feed.Sample{}, false
	}
	return p.gallery.Samples[p.sample], true
}

// current is the image that is looked at.
func (p *imagesPane) current() (feed.Place, bool) {
	which, ok := p.which()
	step, has := p.slider.Step()
	return feed.Place{Step: step, Sample: which}, ok && has
}

// aspects are those that there are heatmaps of.
func (p *imagesPane) aspects() []string {
	names := p.gallery.Aspects()
	if len(names) == 0 && p.run != nil && p.run.HasConfig {
		for _, r := range p.run.Config.Reward {
			names = append(names, r.Aspect)
		}
	}
	return names
}

// tick plays the next image, or swaps base and tuned.
func (p *imagesPane) tick(msg beatMsg) tea.Cmd {
	if msg.beat != p.beat || !p.visible {
		return nil
	}
	switch {
	case p.slider.Playing:
		if p.ready() {
			p.slider.Tick()
		}
		return tea.Batch(p.wants(), p.after(playEvery))
	case p.blink:
		p.IsBase = !p.IsBase
		return tea.Batch(p.wants(), p.after(blinkEvery))
	}
	return nil
}

func (p *imagesPane) after(d time.Duration) tea.Cmd {
	beat := p.beat
	return tea.Tick(d, func(time.Time) tea.Msg { return beatMsg{beat} })
}

// still ends playing and blinking.
func (p *imagesPane) still() {
	p.slider.Playing, p.blink, p.held = false, false, false
	p.beat++
}

// shot is one image with its name among tui.Images.
type shot struct {
	name string
	at   feed.Place
}

// shots are the images that are on the screen.
func (p *imagesPane) shots() []shot {
	at, ok := p.current()
	switch {
	case !ok:
		return nil
	case !p.grid:
		return []shot{{"images/one", at}}
	}
	all, selected := p.cells()
	first, last := p.gridLayout(len(all)).page(selected, len(all))
	return all[first:last]
}

// cells are all images of the grid, and which of them is selected.
func (p *imagesPane) cells() (all []shot, selected int) {
	at, ok := p.current()
	if !ok {
		return nil, 0
	}
	if p.bySteps {
		for _, step := range p.gallery.Steps {
			all = append(all, shot{at: feed.Place{Step: step, Sample: at.Sample}})
		}
		selected = p.slider.At
	} else {
		for _, which := range p.gallery.Samples {
			all = append(all, shot{at: feed.Place{Step: at.Step, Sample: which}})
		}
		selected = p.sample
	}
	first, last := p.gridLayout(len(all)).page(selected, len(all))
	for i := first; i < last; i++ {
		all[i].name = gridName(i - first)
	}
	return all, selected
}

// wants asks for the images that are on the screen and are not there yet.
func (p *imagesPane) wants() tea.Cmd {
	if !p.visible || p.run == nil {
		return nil
	}
	var cmds []tea.Cmd
	cols, rows := p.shotSize()
	for _, s := range p.shots() {
		files := p.gallery.Files(s.at, p.aspect)
		if files.Missing(p.Layers) != "" {
			p.unwant(s.name)
			continue
		}
		cmds = append(cmds, p.want(s.name, files.Drawing(p.run.Folder, p.Layers), cols, rows))
	}
	return tea.Batch(append(cmds, p.compare())...)
}

// compare asks for the PSNR of the image that is looked at.
func (p *imagesPane) compare() tea.Cmd {
	at, ok := p.current()
	files := p.gallery.Files(at, "")
	if _, known := p.psnr[files]; known || !ok || files.Base == "" || p.slider.Playing {
		return nil
	}
	if len(p.psnr) > 4096 {
		clear(p.psnr)
	}
	p.psnr[files] = math.NaN()
	folder, cache := p.run.Folder, p.deck.files
	return func() tea.Msg { return psnrMsg{files, files.OutsidePSNR(folder, cache)} }
}

// ready reports whether every image on the screen is as it should be.
func (p *imagesPane) ready() bool {
	for _, s := range p.shots() {
		if wish, ok := p.deck.wishes[s.name]; ok && !wish.done {
			return false
		}
	}
	return true
}
