package tui

import (
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
)

// monkey plays with the screen: keys, mouse and resizes at random, while a run goes on.
type monkey struct {
	*driver
	rig  *rig
	rng  *rand.Rand
	keys []string
}

// someKeys are pressed beside those of the key table.
var someKeys = []string{"enter", "esc", "tab", "up", "down", "left", "right", "a", "ü", "日", "space", "backspace", "home", "end", "pgup", "pgdown", "1", "2", "3", "4", "5", "ctrl+a", "y", "n"}

// take handles what has come from commands.
func (m *monkey) take() {
	for {
		select {
		case msg := <-m.msgs:
			m.send(msg)
		default:
			return
		}
	}
}

func (m *monkey) play() string {
	at := image.Pt(m.rng.IntN(m.w+1), m.rng.IntN(m.h+1))
	mouse := tea.Mouse{X: at.X, Y: at.Y, Button: tea.MouseLeft}
	switch n := m.rng.IntN(100); {
	case n < 60:
		key := m.keys[m.rng.IntN(len(m.keys))]
		m.press(key)
		return key
	case n < 70:
		m.send(tea.MouseClickMsg(mouse))
		return fmt.Sprint("click ", at)
	case n < 75:
		m.send(tea.MouseReleaseMsg(mouse))
		return "release"
	case n < 85:
		if m.rng.IntN(2) == 0 {
			mouse.Button = tea.MouseNone
		}
		m.send(tea.MouseMotionMsg(mouse))
		return fmt.Sprint("motion ", at)
	case n < 92:
		mouse.Button = tea.MouseWheelUp + tea.MouseButton(m.rng.IntN(2))
		m.send(tea.MouseWheelMsg(mouse))
		return fmt.Sprint("wheel ", at)
	case n < 95:
		m.send(tea.PasteMsg{Content: "a knight\n\x1b[31mred\t日本語"})
		return "paste"
	}
	w, h := 20+m.rng.IntN(160), 5+m.rng.IntN(50)
	if m.rng.IntN(3) > 0 {
		w, h = 80+m.rng.IntN(80), 24+m.rng.IntN(30)
	}
	m.rig.resize(w, h)
	m.send(tea.WindowSizeMsg{Width: w, Height: h})
	return fmt.Sprint("resize ", w, h)
}

// Whatever is pressed, clicked and resized, nothing panics, every frame has the size of the screen, the terminal
// shows it, and no text is ever written over an image that stays.
func TestMonkey(t *testing.T) {
	rounds := 200
	if underRace {
		rounds = 40
	}
	seeds := 2
	if underRace {
		seeds = 1
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			sampleRuns(t)
			live, err := sample.Create("runs", sample.Options{Preset: "violence", Aspects: allAspects, Steps: 1000, Every: 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := live.Begin(); err != nil {
				t.Fatal(err)
			}
			preset := ""
			o := Options{Runs: "runs", Open: live.Dir, Start: starter(&preset), Resume: func(context.Context, run.Folder) error { return nil }}
			o.Wake = o.Resume
			m := &monkey{driver: drive(t, o, 120, 40), rng: rand.New(rand.NewPCG(seed, 9))}
			m.rig = newRig(t, 120, 40, m.deck.shelf, nil)
			m.probe.Choose("sixel")
			m.setTerminal(m.probe.Terminal())
			m.keys = someKeys
			for _, p := range m.panes {
				for _, b := range p.keys() {
					m.keys = append(m.keys, b.keys...)
				}
			}
			for i := range rounds {
				if i%3 == 0 {
					if err := live.Step(i/3 + 1); err != nil {
						t.Fatal(err)
					}
				}
				what := m.play()
				if i%10 == 0 {
					time.Sleep(3 * time.Millisecond) // for files and encoding
				}
				m.take()
				m.checkSize()
				m.rig.frame(m.View().Content)
				if t.Failed() {
					t.Fatalf("after %s, tab %d, %dx%d", what, m.tab+1, m.w, m.h)
				}
			}
			if m.rig.draws == 0 {
				t.Error("no image was drawn")
			}
		})
	}
}
