package tui

import (
	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// deck knows which drawing each image name is to show, and keeps decoded files for a while.
type deck struct {
	shelf      *picture.Shelf
	files      *feed.Cache
	wishes     map[string]wish
	number     int
	generation int        // of the terminal: images of an earlier one have to be encoded again
	encoded    []encoding // the newest last: blinking and flipping go back and forth between two
}

// encoding is an encoded image and what it is of.
type encoding struct {
	drawing                feed.Drawing
	cols, rows, generation int
	pic                    picture.Encoded
	bare                   bool
}

// keptEncodings is how many encoded images are kept.
const keptEncodings = 8

// find is the encoded image that a wish asks for, if it is kept.
func (k *deck) find(w wish) (encoding, bool) {
	for _, e := range k.encoded {
		if e.drawing == w.Drawing && e.cols == w.cols && e.rows == w.rows && e.generation == w.generation {
			return e, true
		}
	}
	return encoding{}, false
}

// keep keeps an encoded image of a wish.
func (k *deck) keep(w wish, pic picture.Encoded, bare bool) {
	if _, known := k.find(w); known {
		return
	}
	k.encoded = append(k.encoded[max(len(k.encoded)+1-keptEncodings, 0):], encoding{w.Drawing, w.cols, w.rows, w.generation, pic, bare})
}

// forget forgets encoded images: their files may have been replaced.
func (k *deck) forget() { k.encoded = nil }

// wish is what a name is to show.
type wish struct {
	feed.Drawing
	cols, rows, generation int
	number                 int  // grows with every wish
	busy                   bool // a command works for this name, on this wish or one before
	done                   bool
	bare                   bool // the heatmap that was to lie over it does not exist
	err                    error
}

// drawnMsg is an image that was encoded.
type drawnMsg struct {
	name   string
	number int
	pic    picture.Encoded
	bare   bool
	err    error
}

// shownMsg tells that the image called name is there now, or why not.
type shownMsg struct {
	name string
	err  error
}

func newDeck(p *picture.Shelf, fetch func(run.Folder, string, int) (string, error)) *deck {
	files := feed.NewCache()
	files.Fetch = fetch
	return &deck{shelf: p, files: files, wishes: map[string]wish{}}
}

// want makes d the image called name, at most cols x rows cells large. It returns the command that
// encodes it, or nil where that is done or under way. The image before stays until then. One command at
// a time works for a name: when it is done the newest wish is next, and those in between are left out.
func (s *shared) want(name string, d feed.Drawing, cols, rows int) tea.Cmd {
	k := s.deck
	old, ok := k.wishes[name]
	if ok && old.Drawing == d && old.cols == cols && old.rows == rows && old.generation == k.generation {
		return nil
	}
	if d.Path == "" || cols <= 0 || rows <= 0 {
		s.unwant(name)
		return nil
	}
	k.number++
	k.wishes[name] = wish{Drawing: d, cols: cols, rows: rows, generation: k.generation, number: k.number, busy: true}
	if old.busy {
		return nil
	}
	if e, kept := k.find(k.wishes[name]); kept {
		number := k.number
		return func() tea.Msg { return drawnMsg{name: name, number: number, pic: e.pic, bare: e.bare} }
	}
	return s.encode(name)
}

// encode is the command that makes the image called name as it is wished now.
func (s *shared) encode(name string) tea.Cmd {
	w := s.deck.wishes[name]
	d, cols, rows, number, cell := w.Drawing, w.cols, w.rows, w.number, s.probe.Terminal().Cell
	pictures, files := s.deck.shelf, s.deck.files
	return func() tea.Msg {
		box := render.Box{Cols: cols, Rows: rows, Cell: cell}
		img, err := d.Draw(files, box, pictures.InBlocks())
		if err != nil {
			return drawnMsg{name: name, number: number, err: err}
		}
		return drawnMsg{name: name, number: number, pic: pictures.Encode(img, cols, rows), bare: d.Bare(files, box)}
	}
}

// unwant forgets the image called name.
func (s *shared) unwant(name string) {
	delete(s.deck.wishes, name)
	s.deck.shelf.Hide(name)
}

// bare reports whether the image called name lacks the heatmap that was to lie over it.
func (s *shared) bare(name string) bool { return s.deck.wishes[name].bare }

// image is the text of the image called name in w x h cells: the image, or why it is not there.
func (s *shared) picture(name string, w, h int) string {
	wish, ok := s.deck.wishes[name]
	switch {
	case ok && wish.err != nil:
		return widget.Message(w, h, widget.Wrap(wish.err.Error(), w, 3)...)
	case ok && wish.done && s.probe.Terminal().Protocol == picture.Off:
		return widget.Message(w, h, s.styles.FaintText.Render("images are off"))
	}
	return s.deck.shelf.View(name, w, h)
}

// takeDrawn shows an encoded image, also one that is out of date while the newest wish is still to be made:
// so a slider that is dragged shows where it is. It returns the command for that wish.
func (s *shared) takeDrawn(msg drawnMsg) (shown bool, next tea.Cmd) {
	k := s.deck
	w, ok := k.wishes[msg.name]
	if !ok {
		return false, nil
	}
	if msg.err != nil {
		k.shelf.Hide(msg.name)
	} else {
		k.shelf.Show(msg.name, msg.pic)
	}
	if w.number != msg.number {
		return true, s.encode(msg.name)
	}
	if msg.err == nil {
		k.keep(w, msg.pic, msg.bare)
	}
	w.done, w.err, w.busy, w.bare = true, msg.err, false, msg.bare
	k.wishes[msg.name] = w
	return true, nil
}
