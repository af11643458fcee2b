package render

import (
	"encoding/hex"
	"image/color"
	"strings"
	"unicode/utf8"
)

// Colormap gives a color to values in [0,1].
type Colormap [256]color.RGBA

// Colors of a map at 0, 1/32, ..., 1 as hexadecimal RGB; between them it is linear, within 3 levels of
// the original (testdata/ref/colormaps.py). viridis and magma: Stefan van der Walt, Nathaniel Smith and
// Eric Firing for matplotlib, CC0. turbo: Anton Mikhailov, Copyright 2019 Google LLC, Apache-2.0.
//
// heat is ours, for overlays: blue, orange and yellow of Okabe and Ito's palette ("Color Universal Design",
// 2008), which people with any of the common color vision deficiencies tell apart, in the order of their
// brightness.
const (
	viridis = "440154470d6048186a482374472d7b4536814240863f49893b528b375a8d33638d" +
		"2f6a8e2c728e297a8e26818e23898e21908c1f988b1f9f8821a68528ae8031b57b" +
		"3ebc744cc26c5dc9636ece5882d34c96d83fabdc32c0df24d5e21aeae51afde725"
	magma = "0000040303110a0822130d331d114628115a36106a430f7650127c5d177f691c81" +
		"7621818226818f2a819c2e7fa9327db63779c33b75cf4170db486ae65163ee5c5e" +
		"f5695cf9785dfb8761fd9668fea571feb47bfec387fed194fde0a2fceeb0fcfdbf"
	turbo = "30123b392a734040a14456c7466be3467ff64293ff37a7fa29bbec1dcdd818dcc3" +
		"1ee8b031f2994cf97e6bfd648aff4da3fd3cb8f735cced34dee037edd03af8c03a" +
		"fdae35fe982cfb8022f56817ec520fe04009d23105c02302ac1701950d017a0403"
	heat = "0072b2e69f00f0e442"
)

var colormaps = map[string]*Colormap{
	"viridis": expand(viridis), "magma": expand(magma), "turbo": expand(turbo), "heat": expand(heat),
}

// Colors is the map of that name: "viridis", "magma", "turbo" or "heat"; nil for another name.
func Colors(name string) *Colormap { return colormaps[name] }

func expand(text string) *Colormap {
	rgb, err := hex.DecodeString(text)
	if err != nil {
		panic(err) // the constants above are hexadecimal
	}
	m := new(Colormap)
	parts := len(rgb)/3 - 1
	for i := range m {
		k := min(i*parts/255, parts-1)
		t := i*parts - k*255 // position between the colors k and k+1, in 1/255
		mix := func(c int) uint8 { return uint8((int(rgb[3*k+c])*(255-t) + int(rgb[3*k+3+c])*t + 127) / 255) }
		m[i] = color.RGBA{mix(0), mix(1), mix(2), 255}
	}
	return m
}

// At is the color of v, clamped to [0,1]; NaN is 0.
func (m *Colormap) At(v float32) color.RGBA {
	if !(v > 0) {
		return m[0]
	}
	return m[int(min(v, 1)*255+0.5)]
}

// Legend is one line of cols cells: the label of 0, the map, the label of 1.
func (m *Colormap) Legend(cols int, low, high string, p Profile) string {
	bar := cols - utf8.RuneCountInString(low) - utf8.RuneCountInString(high) - 2
	if bar < 1 {
		return strings.Repeat(" ", max(0, cols))
	}
	w := pen{profile: p, fg: noShade, bg: noShade}
	w.put(low+" ", noShade, noShade)
	for k := range bar {
		v := (float32(k) + 0.5) / float32(bar)
		if p >= Mono {
			i := int(v * float32(len(ramp)))
			w.put(ramp[i:i+1], noShade, noShade)
		} else {
			w.put(" ", noShade, p.shade(m.At(v)))
		}
	}
	w.put(" "+high, noShade, noShade)
	return w.line()
}
