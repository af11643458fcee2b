package picture

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"

	"focusnfix/render"
)

func env(vars ...string) func(string) string {
	return func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// replay lets a probe learn from a recorded answer (testdata/record.py), cut at the given places.
func replay(t testing.TB, name string, images string, getenv func(string) string) *Probe {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "answers", name))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProbe(nil, images, "", getenv)
	if err != nil {
		t.Fatal(err)
	}
	var size [4]int
	head, answer, _ := bytes.Cut(raw, []byte("\n"))
	if _, err := fmt.Sscan(string(head), &size[0], &size[1], &size[2], &size[3]); err != nil {
		t.Fatal(err)
	}
	p.window = func() (image.Point, image.Point) { return image.Pt(size[0], size[1]), image.Pt(size[2], size[3]) }
	learnBytes(p, answer)
	return p
}

// learnBytes decodes an answer as bubbletea does.
func learnBytes(p *Probe, b []byte) {
	var d uv.EventDecoder
	for len(b) > 0 {
		n, e := d.Decode(b)
		if n <= 0 {
			break
		}
		if events, ok := e.(uv.MultiEvent); ok {
			for _, e := range events {
				p.learn(e)
			}
		}
		p.learn(e)
		b = b[n:]
	}
	p.conclude()
}

func TestProbe(t *testing.T) {
	plain := env("TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8")
	inTmux := env("TERM=tmux-256color", "TMUX=/tmp/x", "LANG=C.UTF-8")
	cases := []struct {
		answer, images string
		env            func(string) string
		want           Protocol
		source         string
		hint           string // part of the hint
	}{
		{"xterm-vt340", "", plain, Sixel, "CSI 16 t", ""},
		{"xterm-vt420", "", plain, Blocks, "CSI 16 t", "-ti vt340"},
		{"ssh-xterm", "", env("TERM=xterm-256color", "SSH_TTY=/dev/pts/1", "LANG=C.UTF-8"), Sixel, "CSI 16 t", ""},
		{"mlterm", "", plain, Sixel, "CSI 16 t", ""},
		{"konsole", "", plain, Kitty, "CSI 16 t", ""},
		{"konsole", "", env("TERM=xterm-256color", "SSH_TTY=/dev/pts/1"), Sixel, "CSI 16 t", ""},
		{"kitty", "", plain, Kitty, "CSI 16 t", ""},
		{"kitty", "blocks", plain, Blocks, "CSI 16 t", ""},
		{"tmux", "", inTmux, Blocks, "TIOCGWINSZ", "allow-passthrough on"},
		{"tmux", "sixel", inTmux, Sixel, "TIOCGWINSZ", ""},
		{"tmux", "", env("TERM=xterm-256color"), Blocks, "TIOCGWINSZ", "allow-passthrough on"}, // TMUX lost on ssh
		{"tmux-passthrough", "", inTmux, Blocks, "TIOCGWINSZ", "not XTerm(379)"},
		{"tmux-passthrough-kitty", "", inTmux, Blocks, "TIOCGWINSZ", "not kitty(0.26.5)"}, // too old
		{"tmux-passthrough-kitty", "kitty", inTmux, KittyCells, "TIOCGWINSZ", ""},
		{"tmux-kitty", "", inTmux, Blocks, "TIOCGWINSZ", "allow-passthrough on"},
		{"xterm-vt340", "", env("TERM=screen", "STY=1.x"), Blocks, "CSI 16 t", "without GNU screen"},
		{"xterm-vt340", "", env("TERM=xterm-256color", "ZELLIJ=0"), Sixel, "CSI 16 t", ""},
	}
	for _, c := range cases {
		t.Run(c.answer+"/"+c.images, func(t *testing.T) {
			p := replay(t, c.answer, c.images, c.env)
			term := p.Terminal()
			if p.fences == 0 {
				t.Error("the fence was not seen")
			}
			if term.Protocol != c.want {
				t.Errorf("protocol %v (%s), want %v", term.Protocol, term.Reason, c.want)
			}
			if term.Cell != image.Pt(10, 19) || term.cellSource != c.source {
				t.Errorf("cell %v from %s, want 10x19 from %s", term.Cell, term.cellSource, c.source)
			}
			hint := ""
			for _, f := range term.Report() {
				if f.Name == "pictures" {
					hint = f.Hint
				}
			}
			if !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" {
				t.Errorf("hint %q, want one with %q", hint, c.hint)
			}
		})
	}
}

func TestProbeNumbers(t *testing.T) {
	term := replay(t, "xterm-vt340", "", env("TERM=xterm-256color")).Terminal()
	if term.registers != 256 || term.maxSixel != image.Pt(1000, 570) || term.sync != 0 {
		t.Errorf("registers %d, sixel up to %v, mode 2026 %d", term.registers, term.maxSixel, term.sync)
	}
	if term.Profile != render.ANSI256 {
		t.Errorf("profile %v, want 256 colors", term.Profile)
	}
	if kitty := replay(t, "kitty", "", env("TERM=xterm-kitty")).Terminal(); kitty.sync != 2 || kitty.Profile != render.TrueColor {
		t.Errorf("kitty: mode 2026 %d, profile %v", kitty.sync, kitty.Profile)
	}
	if !replay(t, "konsole", "sixel", env()).term.keepsPixelsUnderText() {
		t.Error("konsole keeps pixels under text")
	}
}

// A terminal that says nothing gets blocks, and its late answers upgrade it.
func TestProbeLateAnswers(t *testing.T) {
	p, err := NewProbe(nil, "", "", env("TERM=xterm-256color"))
	if err != nil {
		t.Fatal(err)
	}
	if term := p.Terminal(); term.Protocol != Blocks || term.Cell != image.Pt(8, 16) {
		t.Errorf("silent terminal: %v, cell %v", term.Protocol, term.Cell)
	}
	if changed, _ := p.Update(uv.PrimaryDeviceAttributesEvent{62, 4}); !changed || p.Terminal().Protocol != Sixel {
		t.Errorf("after DA1: changed %v, %v", changed, p.Terminal().Protocol)
	}
	if changed, _ := p.Update(uv.CellSizeEvent{Width: 9, Height: 20}); !changed || p.Terminal().Cell != image.Pt(9, 20) {
		t.Errorf("after CSI 16 t: %v", p.Terminal().Cell)
	}
	if changed, _ := p.Update(uv.CellSizeEvent{Width: 1, Height: 7}); !changed || p.Terminal().Cell != image.Pt(8, 16) {
		t.Errorf("an absurd cell was believed: %v", p.Terminal().Cell)
	}
	if changed, cmd := p.Update(tea.WindowSizeMsg{Width: 80, Height: 24}); changed || cmd == nil {
		t.Error("a resize asks for the cell size again and changes nothing by itself")
	}
	if changed, _ := p.Update(tea.KeyPressMsg{Code: 'a'}); changed {
		t.Error("a key changed the terminal")
	}
}

func TestPlaceholders(t *testing.T) {
	for name, want := range map[string]bool{
		"kitty(0.26.5)": false, "kitty(0.28.0)": true, "kitty(0.43.1)": true, "kitty(1.0.0)": true,
		"ghostty 1.2.0": true, "XTerm(379)": false, "": false, "Konsole 22.12.3": false,
	} {
		if got := hasPlaceholders(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	p := replay(t, "tmux", "", env("TERM=tmux-256color", "TMUX=/tmp/x"))
	learnBytes(p, []byte("\x1bP>|kitty(0.43.1)\x1b\\\x1b_Gi=31;OK\x1b\\"))
	if term := p.Terminal(); term.Protocol != KittyCells {
		t.Errorf("a new kitty around tmux: %v, %s", term.Protocol, term.Reason)
	}
}

func TestProbeOptions(t *testing.T) {
	if p, err := NewProbe(nil, "", "12x30", env("FNF_IMAGES=kitty")); err != nil ||
		p.Terminal().Protocol != Kitty || p.Terminal().Cell != image.Pt(12, 30) {
		t.Errorf("FNF_IMAGES and --cell-size: %+v, %v", p, err)
	}
	if p, err := NewProbe(nil, "auto", "", env("FNF_IMAGES=kitty")); err != nil || p.forced {
		t.Errorf("--images auto must override FNF_IMAGES: %v", err)
	}
	for _, bad := range [][2]string{{"jpeg", ""}, {"", "10"}, {"", "axb"}, {"", "0x0"}, {"", "20x10"}, {"", "10x999"}} {
		if _, err := NewProbe(nil, bad[0], bad[1], env()); err == nil {
			t.Errorf("images %q, cell-size %q: no error", bad[0], bad[1])
		}
	}
}

// FuzzProbe feeds answers to the probe: it must not panic, and must never believe an absurd cell.
func FuzzProbe(f *testing.F) {
	files, _ := filepath.Glob("testdata/answers/*")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, answer, _ := bytes.Cut(b, []byte("\n"))
		f.Add(answer)
	}
	f.Add([]byte("\x1b[6;0;0t\x1b[4;99999999;1t\x1b[?1;0;-1S\x1b_Gi=31;OK\x1b\\\x1bP>|\x1b\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := NewProbe(nil, "", "", env("TERM=xterm"))
		if err != nil {
			t.Fatal(err)
		}
		learnBytes(p, b)
		term := p.Terminal()
		if !believable(term.Cell) {
			t.Errorf("cell %v", term.Cell)
		}
		if len(term.Report()) == 0 {
			t.Error("no report")
		}
	})
}
