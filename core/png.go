package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"unicode/utf8"
)

const (
	maxSide    = 16384   // pixels of an image's width or height
	maxDecoded = 1 << 28 // bytes of its pixels in memory: 8192×8192 in 8-bit RGBA
)

// CheckImage refuses an image before it is decoded: a file of a few kilobytes can announce gigabytes.
func CheckImage(head image.Config) error {
	if head.Width < 1 || head.Height < 1 || head.Width > maxSide || head.Height > maxSide {
		return fmt.Errorf("%dx%d pixels, want sides of 1 to %d", head.Width, head.Height, maxSide)
	}
	if size := int64(head.Width) * int64(head.Height) * pixelBytes(head.ColorModel); size > maxDecoded {
		return fmt.Errorf("%dx%d pixels are %d MiB in memory, want at most %d", head.Width, head.Height, size>>20, maxDecoded>>20)
	}
	return nil
}

// DecodeImage reads an image of a format that the program has registered ("png", "jpeg"), unless CheckImage refuses it
// or its file goes beyond maxBytes. Format is known where only the pixels are broken.
func DecodeImage(file io.ReadSeeker, maxBytes int64) (img image.Image, format string, err error) {
	head, format, err := image.DecodeConfig(io.LimitReader(file, maxBytes))
	if err == nil {
		err = CheckImage(head)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, "", err
	}
	img, _, err = image.Decode(io.LimitReader(file, maxBytes))
	return img, format, err
}

// pixelBytes is what image/png and image/jpeg need for one pixel of a color model.
func pixelBytes(m color.Model) int64 {
	if _, ok := m.(color.Palette); ok { // comparing it with another model panics
		return 1
	}
	switch m {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.YCbCrModel:
		return 3
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	return 4
}

// PNGText is one text entry of a PNG file: a Latin-1 keyword of 1 to 79 bytes and a UTF-8 text.
type PNGText struct{ Key, Text string }

// WritePNG writes m as PNG with text entries after the header (PNG third edition, 11.3.3). A text
// that Latin-1 can hold becomes tEXt, as most readers expect; any other becomes iTXt.
func WritePNG(w io.Writer, m image.Image, texts ...PNGText) error {
	var plain bytes.Buffer
	if err := png.Encode(&plain, m); err != nil {
		return err
	}
	const header = 8 + 4 + 4 + 13 + 4 // signature, then IHDR: length, type, data, checksum
	out := append([]byte(nil), plain.Bytes()[:header]...)
	for _, t := range texts {
		chunk, err := t.chunk()
		if err != nil {
			return err
		}
		out = append(out, chunk...)
	}
	_, err := w.Write(append(out, plain.Bytes()[header:]...))
	return err
}

func (t PNGText) chunk() ([]byte, error) {
	if len(t.Key) == 0 || len(t.Key) > 79 {
		return nil, fmt.Errorf("png text keyword %q: %d bytes, want 1 to 79", t.Key, len(t.Key))
	}
	kind, body := "tEXt", []byte(t.Key+"\x00")
	if latin, ok := toLatin1(t.Text); ok {
		body = append(body, latin...)
	} else {
		kind = "iTXt"
		body = append(body, 0, 0, 0, 0) // not compressed; no language, no translated keyword
		body = append(body, t.Text...)
	}
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, kind...), body...)
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:])), nil
}

func toLatin1(s string) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 255 || r == 0 {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, utf8.ValidString(s)
}
