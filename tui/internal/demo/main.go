// Demo is the program of the terminal tests (termtest/run.sh): an image between two scrolling logs that
// change ten times a second, with everything that could spoil it on keys.
//
//	tab other page · m modal · h hide · ←→ move · n next image · 2 second image · w wide glyphs
//	ctrl+z suspend · q quit
package main

import (
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"focusnfix/tui/picture"
)

const cols, rows = 30, 10 // of the image

type (
	tick    time.Time
	encoded struct {
		name string
		pic  picture.Encoded
	}
)

type model struct {
	probe  *picture.Probe
	pics   *picture.Shelf
	dump   string
	w, h   int
	n      int // ticks
	dx     int // the image's offset from the middle
	number int // which image
	other  bool
	modal  bool
	hidden bool
	second bool
	wide   bool
}

func (m *model) Init() tea.Cmd { return tea.Batch(m.probe.Init(), next()) }

func next() tea.Cmd {
	return tea.Tick(100*time.Millisecond, func(t time.Time) tea.Msg { return tick(t) })
}

// photo is an image with soft and hard edges of exactly the size that Encode will not have to scale.
func photo(size image.Point, number int) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			u, v := float64(x)/float64(size.X), float64(y)/float64(size.Y)
			c := color.RGBA{uint8(255 * u), uint8(255 * v), uint8(127 + 120*math.Sin(9*(u+v)+float64(number))), 255}
			if math.Hypot(u-0.5, v-0.5) < 0.2 {
				c = color.RGBA{240, 240, uint8(60 * (number % 4)), 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// encode makes the image anew for the terminal as it is known now.
func (m *model) encode() tea.Cmd {
	number, cell, pics, dump := m.number, m.probe.Terminal().Cell, m.pics, m.dump
	return func() tea.Msg {
		img := photo(image.Pt(cols*cell.X, rows*cell.Y/6*6), number)
		if dump != "" {
			writeImage(dump, img)
		}
		return encoded{"main", pics.Encode(img, cols, rows)}
	}
}

// writeImage puts a whole image where the test reads it, perhaps at the same time.
func writeImage(name string, img image.Image) {
	f, err := os.CreateTemp(filepath.Dir(name), "*.png")
	if err != nil {
		return
	}
	_ = png.Encode(f, img)
	_ = f.Close()
	_ = os.Rename(f.Name(), name)
}

func (m *model) encodeSecond() tea.Cmd {
	cell, pics := m.probe.Terminal().Cell, m.pics
	return func() tea.Msg {
		return encoded{"second", pics.Encode(photo(image.Pt(10*cell.X, 4*cell.Y/6*6), 2), 10, 4)}
	}
}

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	changed, cmd := m.probe.Update(msg)
	if changed {
		m.pics.SetTerminal(m.probe.Terminal())
		cmd = tea.Batch(cmd, m.encode(), m.encodeSecond())
	}
	switch msg := msg.(type) {
	case tick:
		m.n++
		return m, tea.Batch(cmd, next())
	case encoded:
		m.pics.Show(msg.name, msg.pic)
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
		cmd = tea.Batch(cmd, m.encode(), m.encodeSecond())
	case tea.KeyPressMsg:
		cmd = tea.Batch(cmd, m.key(msg.String()))
	}
	return m, cmd
}

func (m *model) key(key string) tea.Cmd {
	switch key {
	case "q":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "tab":
		m.other = !m.other
	case "m":
		m.modal = !m.modal
	case "h":
		m.hidden = !m.hidden
	case "2":
		m.second = !m.second
	case "w":
		m.wide = !m.wide
	case "left":
		m.dx--
	case "right":
		m.dx++
	case "n":
		m.number++
		return m.encode()
	}
	return nil
}

// log is the last h lines of a log that grows by one line a tick.
func (m *model) log(w, h int) string {
	lines := make([]string, h)
	for i := range lines {
		n := m.n + i
		s := fmt.Sprintf("log line %d %s", n, strings.Repeat("=", n%7))
		if m.wide && n%3 == 0 {
			s = "日本 " + s
		}
		lines[i] = s
	}
	return fit(lines, w)
}

// counters changes everywhere, without scrolling.
func (m *model) counters(w, h int) string {
	lines := make([]string, h)
	for i := range lines {
		bar := int((math.Sin(float64(m.n+i*3)/5) + 1) / 2 * float64(max(w-8, 0)))
		lines[i] = fmt.Sprintf("%6d ", m.n*(i+1)) + strings.Repeat("█", bar)
	}
	return fit(lines, w)
}

func fit(lines []string, w int) string {
	for i, s := range lines {
		s = ansi.Truncate(s, max(w, 0), "")
		lines[i] = s + strings.Repeat(" ", max(w-ansi.StringWidth(s), 0))
	}
	return strings.Join(lines, "\n")
}

func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	if m.w < cols+4 || m.h < rows+3 {
		return v
	}
	t := m.probe.Terminal()
	head := fit([]string{fmt.Sprintf("tick %d  %dx%d  %v: %s", m.n, m.w, m.h, t.Protocol, t.Reason)}, m.w)
	body := "\n  the other page"
	if !m.other {
		body = m.page()
	}
	screen := head + "\n" + body
	if m.modal {
		box := lipgloss.NewStyle().Border(lipgloss.DoubleBorder()).Padding(1, 2).Render("Stop the run?\n\n  y / n")
		screen = lipgloss.NewCompositor(lipgloss.NewLayer(screen),
			lipgloss.NewLayer(box).X(m.left()+5).Y(4).Z(1)).Render()
	}
	v.SetContent(screen)
	return v
}

func (m *model) left() int { return max(min((m.w-cols)/2+m.dx, m.w-cols-1), 0) }

func (m *model) page() string {
	middle := fit(make([]string, rows), cols)
	if !m.hidden {
		middle = m.pics.View("main", cols, rows)
	}
	left := m.left()
	body := lipgloss.JoinHorizontal(lipgloss.Top, m.log(left, rows), middle, m.counters(m.w-left-cols-1, rows))
	if m.second && m.h >= rows+7 {
		body += "\n" + lipgloss.JoinHorizontal(lipgloss.Top, m.log(left, 4), m.pics.View("second", 10, 4), m.log(left, 4))
	}
	return body
}

func main() {
	images := flag.String("images", "", "protocol")
	dump := flag.String("dump", "", "write the image here")
	flag.Parse()
	probe, err := picture.NewProbe(os.Stdout, *images, "", os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	pics := picture.NewShelf(probe.Terminal())
	screen := picture.NewScreen(os.Stdout, pics)
	p := tea.NewProgram(&model{probe: probe, pics: pics, dump: *dump}, tea.WithOutput(screen), tea.WithFPS(30))
	if _, err := p.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
