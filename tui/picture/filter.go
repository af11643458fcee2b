package picture

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
)

// Screen is the program's output: give it to tea.WithOutput. It passes bubbletea's bytes on untouched
// as long as no frame has a picture in it. From the first frame with a picture's text (see [Pictures])
// until the last one it does more:
//
//   - model, a small terminal in memory, carries out what the renderer writes. The renderer may
//     rewrite, erase or scroll the picture's cells as it likes: nothing of that goes out.
//   - after each write the model is compared with shown, what the terminal has. Cells that differ are
//     written, pictures whose pixels are not there are drawn, in one write. A cell that belongs to a
//     picture on the terminal is never written to.
//
// So a picture stays untouched while text changes, scrolls or has wide glyphs on both sides of it, and
// hiding, covering, moving or exchanging it needs no help from the panes.
//
// A large picture is sent by a goroutine; frames that come meanwhile only change the model, so that a
// slow line never blocks the event loop, and the newest frame is what is sent next.
type Screen struct {
	*os.File // for Fd: bubbletea finds the terminal and its size by it
	shelf    *Shelf
	out      io.Writer
	size     func() (w, h int, ok bool)

	mu      sync.Mutex
	idle    *sync.Cond // busy became false
	model   *model
	shown   *uv.Buffer   // what the terminal shows; valid while composing
	frame   *uv.Buffer   // target's memory
	held    []byte       // the start of a sequence whose end has not come
	pending bytes.Buffer // bytes to be sent with the next frame
	err     error        // of the goroutine

	composing bool // frames are drawn by us
	alt       bool // the alternate screen is on; nothing is composed without it
	cursorOn  bool
	synced    bool // the renderer asked for synchronized output
	wipe      bool // the renderer asked for the whole screen to be erased
	busy      bool // the goroutine is writing
	behind    bool // frames came meanwhile
	pen       pen  // the terminal's pen at the end of pending
	kitty     kittyState
	layered   bool // text does not remove pixels, only erasing the screen does (Konsole)
}

// pen is how the terminal would draw the next glyph.
type pen struct {
	style uv.Style
	link  uv.Link
}

// asyncFrom is the size of picture data in bytes from which a write does not hold up the renderer.
const asyncFrom = 8 << 10

// NewScreen puts a filter in front of the terminal f. The pictures it draws are those of p.
func NewScreen(f *os.File, p *Shelf) *Screen {
	s := NewScreenOn(f, p, func() (int, int, bool) { return windowSize(f) })
	s.File = f
	return s
}

// NewScreenOn puts a filter in front of a terminal that is reached by out; size asks for its columns and rows.
func NewScreenOn(out io.Writer, p *Shelf, size func() (w, h int, ok bool)) *Screen {
	s := &Screen{out: out, shelf: p, size: size, model: newModel(80, 24), cursorOn: true}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Write takes a frame, or any other bytes, from the renderer.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(p, []byte("\x1b[?1049")) {
		s.wait() // whoever leaves or suspends goes on only when the terminal has it all
	}
	if s.err != nil {
		return 0, s.err
	}
	s.followSize()
	s.held = append(s.held, p...)
	if !s.composing && bytes.IndexByte(s.held, leadByte) >= 0 {
		s.startComposing()
	}
	s.held = append(s.held[:0], s.consume(s.held)...)
	if s.busy {
		s.behind = true
		return len(p), nil
	}
	return len(p), s.send()
}

// WriteString is Write: os.File's own would go past the filter.
func (s *Screen) WriteString(text string) (int, error) { return s.Write([]byte(text)) }

// Flush waits until the terminal has got everything.
func (s *Screen) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait()
	return s.err
}

// wait returns when nothing is being written, with s.mu held.
func (s *Screen) wait() {
	for s.busy {
		s.idle.Wait()
	}
}

// send writes what is pending, with s.mu held; large pictures in the background.
func (s *Screen) send() error {
	pictureBytes := s.compose()
	if s.pending.Len() == 0 {
		return nil
	}
	if pictureBytes >= asyncFrom {
		s.busy = true
		go s.sendLoop(pictureBytes)
		return nil
	}
	_, err := s.pending.WriteTo(s.out)
	return err
}

// sendLoop writes what is pending, and then what came meanwhile, until nothing is left.
func (s *Screen) sendLoop(pictureBytes int) {
	for {
		s.mu.Lock()
		b := bytes.Clone(s.pending.Bytes())
		s.pending.Reset()
		s.mu.Unlock()

		start := time.Now()
		_, err := s.out.Write(b)
		s.shelf.sent(pictureBytes, time.Since(start))

		s.mu.Lock()
		again := s.behind && err == nil
		s.behind = false
		if again {
			pictureBytes = s.compose()
			again = s.pending.Len() > 0
		}
		if !again {
			s.busy, s.err = false, err
			s.idle.Broadcast()
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// followSize adopts the terminal's size. Pictures may have been cut or moved by a resize: the renderer
// repaints everything then.
func (s *Screen) followSize() {
	w, h, ok := s.size()
	if !ok || w <= 0 || h <= 0 || w == s.model.Width() && h == s.model.Height() {
		return
	}
	s.model.resize(w, h)
	if s.composing {
		s.shown.Resize(w, h)
		forget(s.shown)
	}
}

// forget marks the picture cells of b as unknown, so that they are drawn again.
func forget(b *uv.Buffer) {
	for _, line := range b.Lines {
		for x := range line {
			if isPicture(&line[x]) {
				line[x] = unknown
			}
		}
	}
}

func (s *Screen) startComposing() {
	s.composing = true
	s.shown = uv.NewBuffer(s.model.Width(), s.model.Height())
	for y, line := range s.model.Lines {
		copy(s.shown.Lines[y], line)
	}
	s.pen = pen{s.model.pen, s.model.link}
	if s.model.top != 0 || s.model.bottom != s.model.Height() {
		s.pending.WriteString("\x1b[r")
	}
}

// consume takes all whole tokens of b and returns the rest.
func (s *Screen) consume(b []byte) []byte {
	for {
		t, ok := nextToken(b)
		if !ok {
			break
		}
		s.step(t)
		b = b[len(t.raw):]
	}
	if len(b) > maxHeld {
		s.pending.Write(b)
		return nil
	}
	return b
}

// step carries out one token and passes it on unless the frame is composed from the model.
func (s *Screen) step(t token) {
	if t.isMode() && s.mode(t) {
		return
	}
	s.model.apply(t)
	switch {
	case s.composing && s.alt && t.isScreen():
		s.wipe = s.wipe || t.erasesAll()
	case s.composing && t.kind == tokenText:
		s.pending.Write(withoutPictures(t.raw))
	default:
		s.pending.Write(t.raw)
	}
	if t.kind == tokenEscape && t.inter == 0 && t.final == 'c' { // full reset
		s.alt = false
		s.stopComposing()
		s.clearModel()
	}
}

// isMode reports whether the token sets or resets a private mode.
func (t token) isMode() bool {
	return t.kind == tokenCSI && t.prefix == '?' && t.inter == 0 && (t.final == 'h' || t.final == 'l')
}

// erasesAll reports whether the token is ED 2.
func (t token) erasesAll() bool { return t.kind == tokenCSI && t.final == 'J' && t.param(0, 0) == 2 }

// mode follows the modes that matter here. It returns true when nothing is left to do with the token.
func (s *Screen) mode(t token) bool {
	on := t.final == 'h'
	switch t.param(0, 0) {
	case 47, 1047, 1049:
		s.switchScreen(t, on)
		return true
	case 25:
		s.cursorOn = on
	case 2026:
		if s.composing && s.alt {
			s.synced = true
			return true
		}
	}
	return false
}

// switchScreen enters or leaves the alternate screen. Pictures do not outlive it.
func (s *Screen) switchScreen(t token, on bool) {
	if s.composing && s.alt {
		s.removeAll()
	}
	if s.composing {
		s.penTo(s.model.pen, s.model.link)
	}
	s.pending.Write(t.raw)
	s.alt = on
	s.clearModel()
	if s.composing && on {
		s.shown.Clear()
		s.kitty.reset()
	} else {
		s.stopComposing()
	}
}

func (s *Screen) clearModel() {
	s.model.Clear()
	s.model.top, s.model.bottom = 0, s.model.Height()
}

func (s *Screen) stopComposing() {
	s.composing, s.shown, s.synced, s.wipe = false, nil, false, false
	s.kitty.reset()
}

// withoutPictures replaces picture runes by blanks, for text that is not composed.
func withoutPictures(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r >= firstCell && r <= lastCell {
			return ' '
		}
		return r
	}, b)
}
