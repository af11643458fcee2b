package picture

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"
)

// sceneModel is a program whose every message changes the scene at random.
type sceneModel struct {
	scene *scene
	stage *stage
}

func (m *sceneModel) Init() tea.Cmd { return nil }

func (m *sceneModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		m.scene.change(m.stage)
	case tea.WindowSizeMsg:
		m.scene.w, m.scene.h = msg.Width, msg.Height
	}
	return m, nil
}

func (m *sceneModel) View() tea.View {
	v := tea.NewView(m.scene.view(m.stage.pics))
	v.AltScreen = true
	return v
}

// locked is a terminal that can be looked at while the program runs.
type locked struct {
	mu    sync.Mutex
	stage *stage
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage.Write(p)
}

// onlcr makes CR LF of LF. Without a terminal as input bubbletea counts on the terminal's driver for that.
type onlcr struct{ io.Writer }

func (o onlcr) Write(p []byte) (int, error) {
	_, err := o.Writer.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

// The whole program with its own timing, the emulator answering its queries: after any keys and resizes the terminal shows the last view, and
// the picture was never printed over (see stage.Write), and quitting leaves nothing.
func TestProgram(t *testing.T) {
	r := newStage(t, 50, 14)
	r.fixed = true
	out := &locked{stage: r}
	screen := NewScreenOn(out, r.pics, func() (int, int, bool) { return r.w, r.h, true })
	m := &sceneModel{&scene{rng: rand.New(rand.NewPCG(3, 3)), w: 50, h: 14, make: fake}, r}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(r.emu), tea.WithOutput(onlcr{screen}), tea.WithWindowSize(50, 14),
		tea.WithEnvironment([]string{"TERM=xterm-256color", "COLORTERM=truecolor", "TTY_FORCE=1"}), tea.WithoutSignals(), tea.WithFPS(120))
	done := make(chan error, 1)
	go func() { _, err := p.Run(); done <- err }()
	for i := range 400 {
		p.Send(tea.KeyPressMsg{Code: 'x'})
		if i%40 == 39 {
			time.Sleep(30 * time.Millisecond)
		}
	}
	view := ""
	for range 100 { // until the last frame is out
		time.Sleep(20 * time.Millisecond)
		out.mu.Lock()
		same := r.shows(m.View().Content)
		if !same {
			view = r.emu.String()
		}
		out.mu.Unlock()
		if same {
			view = ""
			break
		}
	}
	if view != "" {
		t.Errorf("the terminal does not show the last view:\n%s\nwant\n%s", view, r.cells.Render())
	}
	p.Quit()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.draws == 0 {
		t.Error("no image was drawn")
	}
	for i := range r.w * r.h {
		if c := r.emu.CellAt(i%r.w, i/r.w); isMark(c) {
			t.Fatalf("an image stayed at %d,%d", i%r.w, i/r.w)
		}
	}
}

// shows reports whether the terminal shows the view.
func (r *stage) shows(view string) bool {
	r.draw(view)
	for i := range r.w * r.h {
		x, y := i%r.w, i/r.w
		want, got := r.want(x, y), r.emu.CellAt(x, y)
		if want.Width > 0 && got.Content != want.Content {
			return false
		}
	}
	return true
}

func isMark(c *uv.Cell) bool { return c != nil && len(c.Content) == 4 && c.Content[0] == 0xf3 }
