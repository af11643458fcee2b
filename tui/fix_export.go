package tui

import (
	"context"
	"fmt"
	"image"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"io"
	"path"
	"path/filepath"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
)

// save offers what can be written of the current repair.
func (p *fixPane) save() tea.Cmd {
	r, ok := p.fixes.Current()
	if !ok || p.history.now().fix == nil {
		return p.say("repair something first")
	}
	name := fmt.Sprintf("%s-fix-%s", p.run.Folder.Name(), path.Base(r.Path))
	items := []menuItem{
		{"before and after", "PNG, side by side", func() tea.Cmd { return p.savePair(r, name) }},
		{"healing", "GIF, every frame", func() tea.Cmd { return p.saveGIF(r, name) }},
	}
	if p.options.SaveLoRA != nil {
		items = append(items,
			menuItem{"LoRA", "safetensors, names of diffusers and PEFT", func() tea.Cmd { return p.saveLoRA(r, name, "peft") }},
			menuItem{"LoRA for web interfaces", "safetensors, names of kohya", func() tea.Cmd { return p.saveLoRA(r, name, "kohya") }})
	}
	return p.openDialog(newMenu(p.shared, "Save the repair", items))
}

func (p *fixPane) savePair(r core.FixResult, name string) tea.Cmd {
	about := fmt.Sprintf("%s; seed %d; before and after: %s", r.Prompt, r.Seed, words.Verdict(r))
	draw := func(path string) feed.Drawing { return feed.Drawing{Folder: p.run.Folder, Path: path} }
	return p.saveDrawings(name+"-before-and-after", about, draw(p.history.before().path), draw(p.history.now().path))
}

// saveLoRA writes the repair's LoRA file into the working folder.
func (p *fixPane) saveLoRA(r core.FixResult, name, format string) tea.Cmd {
	folder, lora := p.run.Folder, run.FixLoRA(r.Path)
	to, write := unfit.ReplaceAllString(name+"-"+format, "-")+".safetensors", p.options.SaveLoRA
	return func() tea.Msg {
		err := p.fetchFile(folder, lora)
		if err == nil {
			err = write(context.Background(), filepath.Join(folder.Dir, lora), to, format)
		}
		return saved(to, err)
	}
}

// saveGIF writes the healing as an animation into the working folder.
func (p *fixPane) saveGIF(r core.FixResult, name string) tea.Cmd {
	cache, folder := p.deck.files, p.run.Folder
	return func() tea.Msg {
		var frames []image.Image
		for _, path := range framesOf(r) {
			m, err := cache.Read(folder, path, 0)
			if err != nil {
				return saved("", err)
			}
			frames = append(frames, m)
		}
		return saved(writeNew(unfit.ReplaceAllString(name+"-healing", "-"), "gif", func(w io.Writer) error { return writeGIF(w, frames) }))
	}
}

const (
	gifDelay = 15  // hundredths of a second, of a frame
	gifRest  = 150 // of the first and the last
)

// writeGIF writes frames as an animation that repeats.
func writeGIF(w io.Writer, frames []image.Image) error {
	var g gif.GIF
	for i, m := range frames {
		b := m.Bounds()
		p := image.NewPaletted(image.Rect(0, 0, b.Dx(), b.Dy()), palette.Plan9)
		draw.FloydSteinberg.Draw(p, p.Rect, m, b.Min)
		delay := gifDelay
		if i == 0 || i == len(frames)-1 {
			delay = gifRest
		}
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, delay)
	}
	return gif.EncodeAll(w, &g)
}

// sendToTraining makes the region the image's mask in training, from the next step on.
func (p *fixPane) sendToTraining() tea.Cmd {
	at, ok := p.current()
	r, repaired := p.fixes.Current()
	if !ok || !repaired || p.history.now().fix == nil {
		return p.say("repair something first")
	}
	reference := path.Dir(at.files.Mask)
	if path.Dir(reference) != run.References {
		return p.say("this is no image that the run trains on: its mask would not be used")
	}
	folder := p.run.Folder
	return func() tea.Msg {
		name := r.Path + "/mask.png"
		err := p.fetchFile(folder, name)
		if err != nil {
			return failure(err)
		}
		mask, err := folder.Open(name)
		if err != nil {
			return failure(err)
		}
		m, err := core.ReadMask(mask)
		if closed := mask.Close(); err == nil {
			err = closed
		}
		if err == nil {
			err = p.setMask(folder, reference, &m)
		}
		if err != nil {
			return failure(fmt.Errorf("the mask is not sent: %w", err))
		}
		return noticeMsg{text: "the region is the image's mask in training now"}
	}
}
