package tui

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// counting shows how many keys have come.
type counting struct {
	n    int
	pace *pace
}

func (m *counting) Init() tea.Cmd { return nil }

func (m *counting) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, ok := msg.(tea.KeyPressMsg); ok {
		m.n++
		m.pace.hurry()
	}
	return m, nil
}

func (m *counting) View() tea.View {
	v := tea.NewView(fmt.Sprintf("key-%d.", m.n))
	v.AltScreen = true
	return v
}

// In a program that draws once a second, ten keys after each other are shown long before ten seconds are over.
func TestKeysDoNotWait(t *testing.T) {
	out, in := io.Pipe()
	m := &counting{pace: &pace{}}
	p := tea.NewProgram(m, tea.WithInput(nil), tea.WithOutput(in), tea.WithFPS(1), tea.WithWindowSize(20, 5), tea.WithoutSignals(),
		tea.WithEnvironment([]string{"TERM=xterm-256color", "TTY_FORCE=1"}))
	m.pace.program = p
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run()
		ended <- err
		_ = in.Close()
	}()
	shown := make(chan string, 100)
	go func() {
		block := make([]byte, 1<<16)
		for {
			n, err := out.Read(block)
			if err != nil {
				close(shown)
				return
			}
			shown <- string(block[:n])
		}
	}()
	for text := ""; !strings.Contains(text, "key-0"); {
		text += <-shown
	}
	begun := time.Now()
	for range 10 {
		p.Send(tea.KeyPressMsg{Code: 'x'})
		<-shown
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("ten keys took %v", took)
	}
	p.Quit()
	for range shown { // what comes at the end
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
