package workshop

import (
	"math"

	"focusnfix/model/scenes"
)

// The six places. Each draws every pixel of the canvas from a few ranges of colors, shapes and
// positions, so that no two scenes share a background. None holds anything that a caption can name.

var (
	white    = rgb{255, 255, 255}
	sunlight = rgb{255, 222, 92}
)

// palette is the colors of one time of day: the sky from top to horizon, the ground from horizon
// to the bottom.
type palette struct{ skyTop, skyLow, groundTop, groundLow rgb }

// fill paints sky and ground and returns the row of the horizon.
func (p palette) fill(c *canvas, r *random) int {
	horizon := r.count(62, 78)
	c.gradient(0, horizon, p.skyTop.varied(r, 9), p.skyLow.varied(r, 6))
	c.gradient(horizon, scenes.Size, p.groundTop.varied(r, 8), p.groundLow.varied(r, 8))
	return horizon
}

// pickPalette takes one of the given times of day.
func pickPalette(r *random, from ...palette) palette { return from[r.below(len(from))] }

// wave returns a gentle random line around height y.
func wave(r *random, y, swing float64) func(x float64) float64 {
	first, second := r.between(0, 2*math.Pi), r.between(0, 2*math.Pi)
	pace := r.between(0.028, 0.05)
	return func(x float64) float64 {
		return y + swing*(0.7*math.Sin(first+pace*x)+0.3*math.Sin(second+2.3*pace*x))
	}
}

// flat returns a color that is the same everywhere.
func flat(color rgb) func(x, depth float64) rgb { return func(_, _ float64) rgb { return color } }

// shaded returns a color that runs from top to bottom over the given depth.
func shaded(top, bottom rgb, over float64) func(x, depth float64) rgb {
	return func(_, depth float64) rgb { return top.mixed(bottom, min(1, depth/over)) }
}

func drawSun(c *canvas, r *random, color rgb, radius float64) {
	x, y := r.between(14, 114), r.between(12, 28)
	c.glow(x, y, radius*2.4, radius*2.4, color, 0.55)
	c.ellipse(x, y, radius, radius, color, 1)
}

func drawClouds(c *canvas, r *random, n int, color rgb) {
	for range n {
		x, y, s := r.between(6, 122), r.between(8, 34), r.between(5, 9)
		c.ellipse(x-s*1.1, y, s*0.9, s*0.55, color, 0.95)
		c.ellipse(x+s*1.1, y, s*0.95, s*0.55, color, 0.95)
		c.ellipse(x, y-s*0.25, s, s*0.75, color, 0.95)
	}
}

func drawPark(c *canvas, r *random) {
	horizon := pickPalette(r,
		palette{rgb{96, 178, 245}, rgb{200, 232, 252}, rgb{134, 205, 92}, rgb{84, 168, 66}},
		palette{rgb{120, 190, 240}, rgb{250, 236, 205}, rgb{158, 205, 92}, rgb{102, 165, 62}},
	).fill(c, r)
	h := float64(horizon)
	if r.chance(0.45) {
		drawSun(c, r, sunlight, r.between(6, 9))
	}
	drawClouds(c, r, r.count(1, 3), white)
	far, near := rgb{122, 190, 112}.varied(r, 10), rgb{104, 184, 82}.varied(r, 10)
	c.under(horizon+2, wave(r, h-r.between(9, 16), r.between(4, 7)), shaded(far, near, 20))
	c.under(horizon+2, wave(r, h-r.between(2, 6), r.between(2, 4)), flat(near))
	for range r.count(3, 6) { // bushes on the horizon
		x, s := r.between(-4, 132), r.between(4, 8)
		green := rgb{66, 148, 66}.varied(r, 12)
		c.ellipse(x-s*0.7, h+1, s*0.8, s*0.6, green, 1)
		c.ellipse(x+s*0.7, h+1, s*0.8, s*0.6, green, 1)
		c.ellipse(x, h, s, s*0.8, green.mixed(white, 0.08), 1)
	}
	lawn := rgb{128, 202, 92}.varied(r, 8)
	c.under(horizon+8, flatLine(h+2), shaded(lawn, lawn.mixed(rgb{100, 185, 76}, 0.6), 8))
	c.gradient(horizon+8, scenes.Size, lawn.mixed(rgb{100, 185, 76}, 0.6), rgb{82, 164, 64}.varied(r, 6))
	if r.chance(0.5) {
		drawPath(c, r, h)
	}
	petals := []rgb{{255, 255, 255}, {255, 214, 90}, {245, 160, 200}, {190, 160, 240}}
	for range r.count(6, 16) {
		x, y := r.between(2, 126), r.between(h+9, 126)
		c.ellipse(x, y, 1.2, 1, petals[r.below(len(petals))], 0.95)
	}
}

// drawPath draws a sandy path that widens from the horizon to the bottom.
func drawPath(c *canvas, r *random, h float64) {
	from, to := r.between(20, 108), r.between(20, 108)
	sand := rgb{226, 205, 158}.varied(r, 8)
	for y := int(h) + 3; y < scenes.Size; y++ {
		t := (float64(y) - h) / (scenes.Size - h)
		middle := from + (to-from)*t*t + 5*math.Sin(4*t)
		c.rect(middle-2-13*t, float64(y), middle+2+13*t, float64(y+1), sand, 1)
	}
}

func drawBeach(c *canvas, r *random) {
	horizon := pickPalette(r,
		palette{rgb{78, 178, 246}, rgb{205, 238, 253}, rgb{250, 228, 172}, rgb{234, 200, 134}},
		palette{rgb{112, 186, 240}, rgb{255, 226, 190}, rgb{252, 222, 165}, rgb{232, 192, 128}},
	).fill(c, r)
	h := float64(horizon)
	drawSun(c, r, sunlight, r.between(8, 11))
	drawClouds(c, r, r.count(0, 2), white)
	sea := h - r.between(14, 20)
	deep, shallow := rgb{24, 118, 202}.varied(r, 10), rgb{72, 190, 220}.varied(r, 8)
	shore := wave(r, h+3, 2)
	c.under(horizon+10, flatLine(sea), shaded(deep, shallow, h+3-sea))
	for range r.count(6, 10) {
		x, y, w := r.between(-4, 120), r.between(sea+3, h-1), r.between(5, 14)
		c.rect(x, y, x+w, y+1, rgb{205, 238, 250}, 0.75)
	}
	if r.chance(0.4) {
		drawBoat(c, r, sea)
	}
	sand := rgb{250, 226, 168}.varied(r, 6)
	c.under(horizon+12, shore, flat(white))
	c.under(horizon+12, func(x float64) float64 { return shore(x) + 2 }, shaded(rgb{222, 192, 136}, sand, 5))
	c.gradient(horizon+12, scenes.Size, sand, rgb{234, 200, 134}.varied(r, 6))
	for range r.count(4, 10) {
		x, y := r.between(2, 126), r.between(h+14, 126)
		c.ellipse(x, y, r.between(0.8, 1.6), 0.8, rgb{205, 165, 105}, 0.8)
	}
}

func drawBoat(c *canvas, r *random, sea float64) {
	x, y := r.between(16, 112), sea+1.5
	c.triangle(x-5, x+0.5, y-1, x, y-11, white)
	c.triangle(x+1, x+5, y-1, x+1, y-9, rgb{240, 90, 80})
	c.rect(x-5.5, y-0.8, x+6, y+1.6, rgb{140, 84, 52}, 1)
}

func flatLine(y float64) func(x float64) float64 { return func(float64) float64 { return y } }

func drawSnow(c *canvas, r *random) {
	horizon := pickPalette(r,
		palette{rgb{140, 186, 236}, rgb{226, 238, 250}, rgb{250, 252, 255}, rgb{212, 226, 245}},
		palette{rgb{158, 170, 206}, rgb{238, 224, 232}, rgb{248, 249, 255}, rgb{208, 216, 242}},
	).fill(c, r)
	h := float64(horizon)
	for range r.count(3, 4) {
		drawPeak(c, r, h)
	}
	c.under(horizon+12, wave(r, h-2, 3), flat(rgb{226, 236, 250}))
	c.under(horizon+12, wave(r, h+5, 3), flat(rgb{246, 249, 255}))
	c.gradient(horizon+12, scenes.Size, rgb{246, 249, 255}, rgb{210, 224, 245}.varied(r, 5))
	for range r.count(24, 44) {
		s := r.between(0.7, 1.6)
		c.ellipse(r.between(0, scenes.Size), r.between(0, scenes.Size), s, s, white, 0.95)
	}
}

// drawPeak draws a mountain with a white cap and a shaded right side.
func drawPeak(c *canvas, r *random, h float64) {
	x, wide, tall := r.between(-6, 134), r.between(26, 44), r.between(26, 44)
	rock := rgb{126, 144, 182}.varied(r, 12)
	dark := rock.mixed(rgb{84, 98, 140}, 0.5)
	tooth := r.between(2, 6)
	height := func(at float64) float64 { return h + 4 - tall*(1-math.Abs(at-x)/wide) }
	top := h + 4 - tall
	c.under(int(h)+6, height, func(at, depth float64) rgb {
		y := height(at) + depth
		snowline := top + tall*0.4 + 2.5*math.Sin((at-x)*0.9+tooth)
		switch {
		case y < snowline && at < x:
			return white
		case y < snowline:
			return rgb{222, 232, 248}
		case at < x+2*math.Sin(y*0.5):
			return rock
		}
		return dark
	})
}

func drawCity(c *canvas, r *random) {
	p := pickPalette(r,
		palette{rgb{126, 190, 240}, rgb{224, 238, 248}, rgb{120, 122, 132}, rgb{88, 90, 100}},
		palette{rgb{130, 140, 214}, rgb{255, 204, 168}, rgb{116, 112, 126}, rgb{84, 82, 96}},
	)
	horizon := p.fill(c, r)
	h := float64(horizon)
	if r.chance(0.5) {
		drawClouds(c, r, r.count(1, 2), white)
	}
	far := p.skyLow.mixed(rgb{96, 116, 160}, 0.45)
	for x := -r.between(0, 12); x < scenes.Size; {
		w := r.between(9, 18)
		c.rect(x, h-r.between(34, 60), x+w, h, far.varied(r, 5), 1)
		x += w
	}
	for x := -r.between(0, 14); x < scenes.Size; {
		x += drawHouse(c, r, x, h) + r.between(0, 4)
	}
	c.rect(0, h, scenes.Size, h+7, rgb{190, 190, 194}.varied(r, 6), 1) // pavement
	c.rect(0, h+7, scenes.Size, h+8.5, rgb{150, 150, 156}, 1)
	for x := -r.between(0, 28); x < scenes.Size; x += 29 {
		c.rect(x, h+30, x+15, h+33, rgb{246, 226, 130}, 0.95)
	}
}

// drawHouse draws one building with rows of windows and returns its width.
func drawHouse(c *canvas, r *random, x, h float64) float64 {
	walls := []rgb{{196, 112, 92}, {142, 154, 184}, {216, 186, 140}, {108, 138, 164}, {176, 140, 170}, {122, 166, 152}}
	wall := walls[r.below(len(walls))].varied(r, 10)
	w, tall := r.between(17, 30), r.between(24, h-12)
	c.rect(x, h-tall, x+w, h, wall, 1)
	c.rect(x, h-tall, x+w, h-tall+2, wall.mixed(white, 0.35), 1)
	c.rect(x+w-2, h-tall+2, x+w, h, wall.mixed(rgb{}, 0.18), 1)
	columns := int((w - 4) / 6.5)
	gap := (w - 3) / float64(columns)
	for row := h - tall + 5; row < h-7; row += 8 {
		for i := range columns {
			glass := rgb{84, 104, 136}
			if r.chance(0.45) {
				glass = rgb{252, 238, 170}
			}
			left := x + 1.5 + gap*float64(i) + (gap-3.8)/2
			c.rect(left, row, left+3.8, row+4.6, glass, 1)
		}
	}
	return w
}

func drawDesert(c *canvas, r *random) {
	horizon := pickPalette(r,
		palette{rgb{90, 176, 236}, rgb{255, 238, 200}, rgb{240, 190, 110}, rgb{222, 160, 84}},
		palette{rgb{240, 150, 104}, rgb{255, 222, 160}, rgb{236, 172, 98}, rgb{206, 132, 72}},
	).fill(c, r)
	h := float64(horizon)
	drawSun(c, r, rgb{255, 240, 170}, r.between(9, 13))
	for range r.count(1, 3) {
		drawMesa(c, r, h)
	}
	light := rgb{246, 200, 122}.varied(r, 8)
	shadow := light.mixed(rgb{196, 126, 70}, 0.6)
	for i := range 3 {
		drawDune(c, r, horizon+22, h+float64(i)*7-3, light.mixed(rgb{222, 164, 90}, float64(i)*0.3), shadow)
	}
	c.gradient(horizon+22, scenes.Size, light.mixed(rgb{222, 164, 90}, 0.6), rgb{214, 152, 82}.varied(r, 6))
	for range r.count(3, 6) { // ripples in the sand
		x, y, w := r.between(-6, 110), r.between(h+26, 125), r.between(12, 26)
		c.glow(x+w/2, y, w/2, 1.6, rgb{184, 120, 66}, 0.6)
	}
}

// drawMesa draws a flat-topped rock with lighter and darker layers, its right side in shadow.
func drawMesa(c *canvas, r *random, h float64) {
	x, half, tall := r.between(4, 124), r.between(9, 20), r.between(14, 28)
	rock := rgb{190, 98, 66}.varied(r, 10)
	light, dark := rock.mixed(rgb{236, 160, 112}, 0.35), rgb{110, 52, 48}
	top := h + 2 - tall
	for y := int(top); y < int(h)+4; y++ {
		depth := max(0, float64(y)+0.5-top)
		layer := rock
		if int(depth/5)%2 == 1 {
			layer = light
		}
		spread := half + depth*0.3
		edge := x + half*0.3 + 1.2*math.Sin(depth*0.5)
		cover := overlap(y, top, h+4)
		c.rect(x-spread, float64(y), edge, float64(y+1), layer, cover)
		c.rect(edge, float64(y), x+spread, float64(y+1), layer.mixed(dark, 0.3), cover)
	}
}

// drawDune draws one crest around height y, down to the bottom row; its right side lies in shadow.
func drawDune(c *canvas, r *random, bottom int, y float64, light, shadow rgb) {
	x, tall, wide := r.between(10, 118), r.between(6, 12), r.between(34, 60)
	height := func(at float64) float64 {
		t := (at - x) / wide
		if t > 0 {
			t *= 1.5
		}
		return y + 4 - tall*math.Exp(-t*t*2)
	}
	c.under(bottom, height, func(at, depth float64) rgb {
		lit := light
		if edge := x + depth*0.9; at > edge && at < x+wide*0.9 {
			return lit.mixed(shadow, 0.75*max(0, 1-(at-x)/(wide*0.9))*max(0, 1-depth/22))
		}
		return lit
	})
}

func drawNight(c *canvas, r *random) {
	horizon := pickPalette(r,
		palette{rgb{14, 20, 66}, rgb{70, 70, 140}, rgb{62, 92, 112}, rgb{42, 66, 92}},
		palette{rgb{22, 16, 62}, rgb{98, 66, 136}, rgb{72, 82, 118}, rgb{50, 58, 94}},
	).fill(c, r)
	h := float64(horizon)
	for range r.count(22, 36) {
		s := r.between(0.45, 1)
		c.ellipse(r.between(0, scenes.Size), r.between(0, h-8), s, s, rgb{255, 248, 214}, r.between(0.6, 1))
	}
	x, y, s := r.between(14, 114), r.between(13, 24), r.between(8, 11)
	moon := rgb{255, 242, 190}
	c.glow(x, y, s*2.2, s*2.2, moon, 0.3)
	if r.chance(0.65) {
		c.crescent(x, y, s, r.sign()*s*0.55, -s*0.3, moon)
	} else {
		c.ellipse(x, y, s, s, moon, 1)
		c.ellipse(x-s*0.3, y-s*0.2, s*0.22, s*0.2, rgb{232, 214, 160}, 1)
		c.ellipse(x+s*0.35, y+s*0.3, s*0.26, s*0.24, rgb{232, 214, 160}, 1)
	}
	far := rgb{48, 52, 104}.varied(r, 6)
	c.under(horizon+2, wave(r, h-r.between(8, 14), r.between(4, 7)), flat(far))
	near := rgb{38, 60, 88}.varied(r, 6)
	hill := wave(r, h-r.between(1, 5), r.between(2, 4))
	c.under(horizon+2, hill, flat(near))
	for range r.count(2, 6) { // lit windows far away
		at := r.between(4, 124)
		c.rect(at, hill(at)+1, at+1.5, hill(at)+3, rgb{255, 214, 120}, 0.9)
	}
	c.under(horizon+10, flatLine(h+1), shaded(near, rgb{62, 92, 112}, 8))
	c.gradient(horizon+10, scenes.Size, rgb{62, 92, 112}, rgb{44, 68, 94}.varied(r, 6))
}
