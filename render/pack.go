package render

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// number is the decimal text of 0..999, in a little endian word, and its length.
type number struct {
	text   uint32
	length int32
}

var numbers = func() (d [1000]number) {
	for i := range d {
		var text [4]byte
		s := strconv.AppendInt(text[:0], int64(i), 10)
		d[i] = number{binary.LittleEndian.Uint32(text[:]), int32(len(s))}
	}
	return d
}()

// pack appends the band's segments, pass by pass: a pass takes, from left to right, the next segment that
// starts at or after the end of the last one. It leaves the band clean.
func (b *band) pack(dst []byte) []byte {
	// the dearest column has a segment for each of its six pixels: "$#123!1234?x"
	dst = grow(dst, 16*bandRows*b.width+16)
	out := dst[:cap(dst)]
	n := len(dst)
	selected := int32(-1)
	for left := len(b.segments); left > 0; {
		end := int32(0)
		for x := b.nextStart(0); x >= 0; x = b.nextStart(end) {
			s := b.pop(x)
			if s.color != selected {
				selected = s.color
				out[n] = '#'
				n = putNumber(out, n+1, s.color)
			}
			n = putRun(out, n, '?', x-end)
			masks := b.masks[int(s.color)*b.width+int(x) : int(s.color)*b.width+int(s.x1)]
			n = putMasks(out, n, masks)
			clear(masks)
			end = s.x1
			left--
		}
		if left > 0 {
			out[n] = '$'
			n++
		}
	}
	return out[:n]
}

// nextStart is the first column from x on where a segment starts, or -1.
func (b *band) nextStart(x int32) int32 {
	i := int(x >> 6)
	if i >= len(b.starts) {
		return -1
	}
	word := b.starts[i] >> (x & 63) << (x & 63)
	for word == 0 {
		i++
		if i == len(b.starts) {
			return -1
		}
		word = b.starts[i]
	}
	return int32(i<<6 + bits.TrailingZeros64(word))
}

// pop takes a segment that starts at column x.
func (b *band) pop(x int32) segment {
	s := b.segments[b.heads[x]]
	b.heads[x] = s.next
	if s.next < 0 {
		b.starts[x>>6] &^= 1 << (x & 63)
	}
	return s
}

// putMasks writes masks as sixel bytes, runs of more than three as repeats.
func putMasks(out []byte, n int, masks []uint8) int {
	for i := 0; i < len(masks); {
		v := masks[i]
		j := i + 1
		for j < len(masks) && masks[j] == v {
			j++
		}
		n = putRun(out, n, v+'?', int32(j-i))
		i = j
	}
	return n
}

// putRun writes the byte c count times.
func putRun(out []byte, n int, c byte, count int32) int {
	switch count {
	case 0:
		return n
	case 1:
		out[n] = c
		return n + 1
	case 2, 3:
		out[n], out[n+1], out[n+2] = c, c, c
		return n + int(count)
	}
	out[n] = '!'
	n = putNumber(out, n+1, count)
	out[n] = c
	return n + 1
}

func putNumber(out []byte, n int, v int32) int {
	if int(v) >= len(numbers) {
		return n + len(strconv.AppendInt(out[n:n], int64(v), 10))
	}
	d := &numbers[v]
	binary.LittleEndian.PutUint32(out[n:], d.text)
	return n + int(d.length)
}

// grow makes room for n more bytes.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	bigger := make([]byte, len(dst), cap(dst)+cap(dst)/2+n)
	copy(bigger, dst)
	return bigger
}
