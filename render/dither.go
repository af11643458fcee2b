package render

// dither sets w.dithered to the colour numbers of the picture after Floyd and Steinberg (1976), the error
// times strength: less than one leaves fine patterns calm and costs fewer bytes.
func (w *workspace) dither(strength float32) {
	width, height := w.img.Rect.Dx(), w.img.Rect.Dy()
	w.dithered = resize(w.dithered, width*height)
	// two rows of errors in 1/16, a pixel of border at both ends
	w.errors = resize(w.errors, 2*3*(width+2))
	clear(w.errors)
	this, below := w.errors[:3*(width+2)], w.errors[3*(width+2):]
	share := int32(min(max(strength, 0), 1)*256 + 0.5)
	for y := range height {
		w.ditherRow(w.dithered[y*width:(y+1)*width], y, this, below, share)
		this, below = below, this
		clear(below)
	}
}

func (w *workspace) ditherRow(dst []uint8, y int, this, below []int32, share int32) {
	pal := w.palette
	row := w.img.Pix[y*w.img.Stride:]
	var ahead [3]int32 // for the next pixel, in 1/16
	for x := range dst {
		at := this[3*x+3 : 3*x+6 : 3*x+6]
		under := below[3*x : 3*x+9 : 3*x+9]
		var v [3]int32
		for k := range 3 {
			v[k] = min(max(int32(row[4*x+k])+(at[k]+ahead[k]+8)>>4, 0), 255)
		}
		slot := entry(uint8(v[0]), uint8(v[1]), uint8(v[2]))
		if !pal.filled[slot>>6] {
			pal.fillOne(slot >> 6)
		}
		c := pal.nearest[slot]
		dst[x] = c
		shown := &pal.rgb[c]
		for k := range 3 {
			e := (v[k] - shown[k]) * share >> 8
			ahead[k] = 7 * e
			under[k] += 3 * e
			under[3+k] += 5 * e
			under[6+k] += e
		}
	}
}

// resize returns a slice of length n, s's own memory if it suffices. The contents are undefined.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
