package widget

import (
	"strings"

	"focusnfix/render"
)

// Progress is a progress bar of w cells; share is in [0,1].
func (s Styles) Progress(share float64, w int, profile render.Profile) string {
	if w < 3 {
		return ""
	}
	full := int(min(max(share, 0), 1)*float64(w) + 0.5)
	if profile == render.ASCII {
		return strings.Repeat("#", full) + strings.Repeat("-", w-full)
	}
	if profile == render.Mono {
		return strings.Repeat("━", full) + strings.Repeat("┈", w-full)
	}
	return s.AccentText.Render(strings.Repeat("━", full)) + s.RuleText.Render(strings.Repeat("━", w-full))
}
