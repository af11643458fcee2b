package widget

import (
	"image/color"

	"charm.land/lipgloss/v2"
)

// palette is the colors of the screen, for dark or for light backgrounds. The series colors are those of
// Okabe and Ito, made darker for light backgrounds: they can be told apart with every kind of color
// blindness. Text keeps the terminal's own color. Grays are neutral ones of the 256 colors: others turn
// lavender there.
type palette struct {
	accent, good, warn, bad color.RGBA
	faint, Rule, Selected   color.RGBA
	Series                  []color.RGBA
}

var darkPalette = palette{
	accent: color.RGBA{0x6c, 0xb6, 0xff, 255}, good: color.RGBA{0x3d, 0xc9, 0xa1, 255},
	warn: color.RGBA{0xf0, 0xb4, 0x2e, 255}, bad: color.RGBA{0xff, 0x7b, 0x54, 255},
	faint: color.RGBA{0x94, 0x94, 0x94, 255}, Rule: color.RGBA{0x4e, 0x4e, 0x4e, 255},
	Selected: color.RGBA{0x3a, 0x3a, 0x3a, 255},
	Series: []color.RGBA{
		{0x56, 0xb4, 0xe9, 255},
		{0xe6, 0x9f, 0x00, 255},
		{0x00, 0xc0, 0x92, 255},
		{0xe5, 0x8e, 0xc0, 255},
		{0xf0, 0xe4, 0x42, 255},
		{0xff, 0x7f, 0x3f, 255},
		{0x7a, 0x9c, 0xff, 255},
		{0xbc, 0xbc, 0xbc, 255},
	},
}

var lightPalette = palette{
	accent: color.RGBA{0x09, 0x5c, 0xb5, 255}, good: color.RGBA{0x00, 0x75, 0x5a, 255},
	warn: color.RGBA{0x8a, 0x5a, 0x00, 255}, bad: color.RGBA{0xb4, 0x3a, 0x00, 255},
	faint: color.RGBA{0x62, 0x62, 0x62, 255}, Rule: color.RGBA{0xb2, 0xb2, 0xb2, 255},
	Selected: color.RGBA{0xda, 0xda, 0xda, 255},
	Series: []color.RGBA{
		{0x00, 0x6f, 0xae, 255},
		{0xb0, 0x6c, 0x00, 255},
		{0x00, 0x80, 0x5e, 255},
		{0xa8, 0x45, 0x80, 255},
		{0x85, 0x7a, 0x00, 255},
		{0xc4, 0x4a, 0x00, 255},
		{0x3a, 0x4f, 0xc4, 255},
		{0x62, 0x62, 0x62, 255},
	},
}

// Styles are all that panes draw with.
type Styles struct {
	palette
	Dark bool

	Text, Bold, FaintText, RuleText          lipgloss.Style
	AccentText, GoodText, WarnText, BadText  lipgloss.Style
	SelectedText, TabText, TabActive, KeyCap lipgloss.Style
}

// NewStyles returns the styles for a dark or a light background.
func NewStyles(dark bool) Styles {
	p := lightPalette
	if dark {
		p = darkPalette
	}
	plain := lipgloss.NewStyle()
	return Styles{
		palette: p, Dark: dark,
		Text: plain, Bold: plain.Bold(true), FaintText: plain.Foreground(p.faint), RuleText: plain.Foreground(p.Rule),
		AccentText: plain.Foreground(p.accent), GoodText: plain.Foreground(p.good),
		WarnText: plain.Foreground(p.warn), BadText: plain.Foreground(p.bad).Bold(true),
		SelectedText: plain.Background(p.Selected).Bold(true),
		TabText:      plain.Foreground(p.faint), TabActive: plain.Foreground(p.accent).Bold(true).Underline(true),
		KeyCap: plain.Foreground(p.accent),
	}
}

// Curve is the color of the i-th curve of a chart.
func (s Styles) Curve(i int) color.RGBA { return s.Series[i%len(s.Series)] }

// State is the style of a run's state.
func (s Styles) State(state string) lipgloss.Style {
	switch state {
	case "running":
		return s.GoodText
	case "paused", "stopped":
		return s.WarnText
	case "failed", "crashed", "unreadable":
		return s.BadText
	case "done":
		return s.AccentText
	}
	return s.FaintText
}
