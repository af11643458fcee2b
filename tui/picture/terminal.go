package picture

import (
	"fmt"
	"image"
	"slices"
	"strings"

	"focusnfix/render"
)

// Terminal is what is known of the terminal, and what follows for pictures.
type Terminal struct {
	Protocol Protocol
	Reason   string // why this protocol
	Cell     image.Point
	Profile  render.Profile

	name       string      // XTVERSION's answer
	attributes []int       // DA1's answer; nil until it came
	kitty      bool        // answers kitty's graphics query
	registers  int         // sixel colors, from XTSMGRAPHICS
	maxSixel   image.Point // pixels, from XTSMGRAPHICS
	sync       int         // DECRQM's value for mode 2026; -1 without an answer
	cells      image.Point // columns and rows
	cellSource string
	outer      string // XTVERSION's answer from the terminal around tmux

	cellReport, textReport, windowPixels image.Point // CSI 16 t, CSI 14 t, TIOCGWINSZ
	env                                  environment
}

// environment is what the variables tell. They are hints: ssh and multiplexers drop and forge them.
type environment struct {
	term, program, colors string
	tmux, screen, zellij  bool
	ssh, utf8             bool
}

func readEnvironment(getenv func(string) string) environment {
	e := environment{
		term: getenv("TERM"), program: getenv("TERM_PROGRAM"), colors: getenv("COLORTERM"),
		tmux: getenv("TMUX") != "", zellij: getenv("ZELLIJ") != "", screen: getenv("STY") != "",
		ssh: getenv("SSH_TTY") != "" || getenv("SSH_CONNECTION") != "",
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			e.utf8 = strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
			break
		}
	}
	return e
}

// profile is the number of colors that the variables promise.
func (e environment) profile(getenv func(string) string) render.Profile {
	switch {
	case e.term == "dumb" || e.term == "" || getenv("NO_COLOR") != "" && !e.utf8:
		return render.ASCII
	case getenv("NO_COLOR") != "":
		return render.Mono
	case e.colors == "truecolor" || e.colors == "24bit" || strings.Contains(e.term, "direct"),
		strings.Contains(e.term, "kitty"), strings.Contains(e.term, "ghostty"):
		return render.TrueColor
	case strings.Contains(e.term, "256"):
		return render.ANSI256
	}
	return render.ANSI16
}

// Cell sizes in pixels that are believed; terminals have answered (1,7) and (0,0).
func believable(cell image.Point) bool {
	return cell.X >= 3 && cell.X <= 80 && cell.Y >= 6 && cell.Y <= 160 && cell.Y >= cell.X && cell.Y <= 4*cell.X
}

// chooseCell takes the first believable of: the user's, CSI 16 t, TIOCGWINSZ, CSI 14 t, 8x16. CSI 16 t
// comes before TIOCGWINSZ because some terminals count their margins into the latter.
func (t *Terminal) chooseCell(user image.Point) {
	perCell := func(p image.Point) image.Point {
		if t.cells.X <= 0 || t.cells.Y <= 0 {
			return image.Point{}
		}
		return image.Pt(p.X/t.cells.X, p.Y/t.cells.Y)
	}
	for _, c := range []struct {
		size   image.Point
		source string
	}{
		{user, "--cell-size"},
		{t.cellReport, "CSI 16 t"},
		{perCell(t.windowPixels), "TIOCGWINSZ"},
		{perCell(t.textReport), "CSI 14 t"},
	} {
		if believable(c.size) {
			t.Cell, t.cellSource = c.size, c.source
			return
		}
	}
	t.Cell, t.cellSource = image.Pt(8, 16), "a guess"
}

// mux is the multiplexer between the program and the terminal, or "".
func (t *Terminal) mux() string {
	switch {
	case t.env.tmux || strings.HasPrefix(t.name, "tmux"):
		return "tmux"
	case t.env.zellij:
		return "zellij"
	case t.env.screen || strings.HasPrefix(t.env.term, "screen") && t.name == "":
		return "screen"
	}
	return ""
}

func (t *Terminal) sixel() bool { return slices.Contains(t.attributes, 4) }

// is reports whether the terminal calls itself by one of the names.
func (t *Terminal) is(names ...string) bool {
	s := strings.ToLower(t.name)
	if s == "" {
		s = strings.ToLower(t.env.program)
	}
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(s, n) })
}

// keepsPixelsUnderText reports whether text leaves pixels visible below it; only erasing the screen does not.
func (t *Terminal) keepsPixelsUnderText() bool { return t.is("konsole") && t.Protocol != Kitty }

// choose decides on the protocol. Forced is the user's.
func (t *Terminal) choose(forced Protocol, isForced bool) {
	mux := t.mux()
	switch {
	case isForced && forced == Kitty && mux == "tmux":
		t.set(KittyCells, "chosen by the user")
	case isForced:
		t.set(forced, "chosen by the user")
	case t.attributes == nil && t.name == "":
		t.set(Blocks, "the terminal has not answered")
	case mux == "screen":
		t.set(Blocks, "GNU screen passes no images on")
	case mux == "tmux" && t.kitty && hasPlaceholders(t.outer):
		t.set(KittyCells, t.outer+" around tmux has kitty graphics")
	case mux == "tmux":
		t.set(Blocks, "inside tmux")
	default:
		t.chooseDirect()
	}
}

// chooseDirect decides for a terminal that nothing stands before.
func (t *Terminal) chooseDirect() {
	switch {
	case t.is("iterm2", "wezterm", "mintty", "vscode", "warp"):
		t.set(ITerm2, t.displayName()+" has iTerm2's protocol")
	case t.kitty && (t.is("kitty", "ghostty") || t.is("konsole") && !t.env.ssh):
		// Konsole has sixel too, which takes fewer bytes, but does not let text cover pixels.
		t.set(Kitty, t.displayName()+" has kitty graphics")
	case t.sixel():
		t.set(Sixel, "the terminal has sixel")
	case t.kitty:
		t.set(Kitty, "the terminal answers kitty's query")
	default:
		t.set(Blocks, "the terminal has neither sixel nor kitty graphics")
	}
}

// hasPlaceholders reports whether the terminal of that name draws kitty's placeholder characters; there is no
// query for it. kitty does since 0.28.
func hasPlaceholders(name string) bool {
	if strings.HasPrefix(strings.ToLower(name), "ghostty") {
		return true
	}
	var major, minor int
	n, _ := fmt.Sscanf(strings.ToLower(name), "kitty(%d.%d", &major, &minor)
	return n == 2 && (major > 0 || minor >= 28)
}

func (t *Terminal) set(p Protocol, why string) { t.Protocol, t.Reason = p, why }

func (t *Terminal) displayName() string {
	if t.name != "" {
		return t.name
	}
	if t.env.program != "" {
		return t.env.program
	}
	return t.env.term
}

// Fact is one line of doctor's report: what was found and, if it could be better, what to change.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Hint  string `json:"hint,omitempty"`
}

// Report lists the facts about pictures in this terminal.
func (t *Terminal) Report() []Fact {
	facts := []Fact{
		{"terminal", t.displayName(), ""},
		{"pictures", fmt.Sprintf("%v: %s", t.Protocol, t.Reason), t.hint()},
		{"cell", fmt.Sprintf("%dx%d pixels from %s", t.Cell.X, t.Cell.Y, t.cellSource), ""},
		{"screen", fmt.Sprintf("%dx%d cells", t.cells.X, t.cells.Y), ""},
		{"sixel", yesNo(t.sixel()), ""},
		{"kitty graphics", yesNo(t.kitty), ""},
		{"synchronized output", map[bool]string{true: "yes", false: "no"}[t.sync == 1 || t.sync == 2], ""},
		{"colors", []string{"24 bit", "256", "16", "none", "none"}[t.Profile], ""},
	}
	if t.cellSource == "a guess" {
		facts[2].Hint = "give the cell's size with --cell-size WxH"
	}
	if t.sixel() && t.registers > 0 {
		facts[4].Value = fmt.Sprintf("yes, %d colors, up to %dx%d pixels", t.registers, t.maxSixel.X, t.maxSixel.Y)
	}
	if t.Profile > render.TrueColor && t.env.ssh {
		facts[7].Hint = "ssh drops COLORTERM: run with COLORTERM=truecolor if your terminal has 24 bit color"
	}
	if t.env.ssh {
		facts = append(facts, Fact{"connection", "ssh", "large images are slow on thin lines: they are made smaller when an image takes over 250 ms"})
	}
	if m := t.mux(); m != "" {
		facts = append(facts, Fact{"multiplexer", m, ""})
		if t.outer != "" {
			facts = append(facts, Fact{"around it", t.outer, ""})
		}
	}
	if !t.env.utf8 {
		facts = append(facts, Fact{"locale", "not UTF-8", "set LANG=C.UTF-8, or characters such as ▀ cannot be shown"})
	}
	return facts
}

// hint says what to change to get better pictures.
func (t *Terminal) hint() string {
	if t.Protocol > Blocks {
		return ""
	}
	switch {
	case t.Reason == "chosen by the user":
		return ""
	case t.attributes == nil && t.name == "":
		return "the terminal answers no queries; if it can show images, say how: FNF_IMAGES=sixel, kitty or iterm2"
	case t.mux() == "tmux" && t.outer == "":
		return "for images from kitty or Ghostty: tmux set -g allow-passthrough on; if tmux itself has sixel (3.4 and later): FNF_IMAGES=sixel"
	case t.mux() == "tmux" && t.sixel():
		return "this tmux has sixel: try FNF_IMAGES=sixel"
	case t.mux() == "tmux":
		return "images inside tmux need kitty 0.28 or Ghostty around it, not " + t.outer
	case t.mux() == "screen":
		return "run without GNU screen, or in tmux"
	case t.is("xterm"):
		return "start it as: xterm -ti vt340"
	}
	return "terminals with images: kitty, Ghostty, WezTerm, foot, iTerm2, Konsole, mlterm, xterm -ti vt340"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
