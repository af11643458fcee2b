package picture

import (
	"fmt"
	"image"
	"io"

	"focusnfix/render"
)

// Live shows one image after the other in the same place of a terminal, in running text: what an image is while it
// is drawn. Between two images the cursor stays on the line below, whose text a caller may rewrite.
type Live struct {
	Printer Printer
	shown   Encoded
}

// Show writes img in the place of the image before. The first one begins on the cursor's line.
func (l *Live) Show(w io.Writer, img image.Image) error {
	next := l.Printer.encode(img)
	if next.Rows == 0 {
		return nil
	}
	start := "\r\x1b[K"
	if l.shown.Rows != next.Rows {
		start += l.away()
	} else {
		start = "\r" + l.up() + l.forget()
	}
	l.shown = next
	_, err := io.WriteString(w, start+next.inline(true))
	return err
}

// Clear takes the image and the line below away, and leaves the cursor where the image began.
func (l *Live) Clear(w io.Writer) error {
	text := "\r\x1b[K" + l.away()
	l.shown = Encoded{}
	_, err := io.WriteString(w, text)
	return err
}

func (l *Live) up() string { return fmt.Sprintf("\x1b[%dA", l.shown.Rows) }

// away removes the image that is shown, if there is one.
func (l *Live) away() string {
	if l.shown.Rows == 0 {
		return ""
	}
	return l.up() + "\x1b[J" + l.forget()
}

// forget frees the image in a terminal that keeps images by number.
func (l *Live) forget() string {
	if l.shown.id == 0 {
		return ""
	}
	return string(render.Kitty{ID: l.shown.id, Tmux: l.shown.protocol == KittyCells}.AppendDelete(nil))
}
