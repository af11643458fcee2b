package tui

// settings are what the user chose of the screen.
type settings struct {
	Theme     string  // auto, dark, light
	Smoothing float64 // of curves: 0 to 0.99
}

func defaultSettings() settings { return settings{Theme: "auto", Smoothing: 0.6} }

// isDark says whether to draw for a dark background; terminal is what the terminal says.
func (s settings) isDark(terminal bool) bool {
	switch s.Theme {
	case "dark":
		return true
	case "light":
		return false
	}
	return terminal
}
