package render

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/jpeg"
	"strconv"
)

// ITerm2 appends the picture as an inline image of iTerm2 (OSC 1337, https://iterm2.com/documentation-images.html),
// which WezTerm, VS Code, Warp and mintty read too. The terminal scales it to cols x rows cells at the
// cursor, which stays where it is. Quality is JPEG's 1..100; 0 is PNG, lossless and ten times as large for
// photos.
func ITerm2(dst []byte, img *image.RGBA, cols, rows, quality int) []byte {
	if img.Rect.Empty() {
		return dst
	}
	var file bytes.Buffer
	var err error
	if quality <= 0 {
		err = encodePNG(&file, img)
	} else {
		err = jpeg.Encode(&file, img, &jpeg.Options{Quality: min(quality, 100)})
	}
	if err != nil {
		return dst // too large for the format: JPEG allows 65,535 pixels a side
	}
	dst = append(dst, "\x1b]1337;File=inline=1;size="...)
	dst = strconv.AppendInt(dst, int64(file.Len()), 10)
	dst = append(dst, ";width="...)
	dst = strconv.AppendInt(dst, int64(cols), 10)
	dst = append(dst, ";height="...)
	dst = strconv.AppendInt(dst, int64(rows), 10)
	dst = append(dst, ";preserveAspectRatio=0;doNotMoveCursor=1:"...)
	dst = base64.StdEncoding.AppendEncode(dst, file.Bytes())
	return append(dst, '\a')
}
