package widget

import (
	"fmt"
	"slices"
	"strings"
)

// Slider stands on one of a run's steps. It follows the newest until somebody moves it.
type Slider struct {
	steps   []int // ascending
	At      int   // index
	Follow  bool
	Playing bool
}

// Set takes the steps that there are now. A slider that does not follow stays on its step, also when
// others come before it.
func (s *Slider) Set(steps []int) {
	before, had := s.Step()
	s.steps = slices.Clone(steps)
	if s.Follow || !had {
		s.At = max(len(s.steps)-1, 0)
		return
	}
	i, _ := slices.BinarySearch(s.steps, before)
	s.At = min(i, max(len(s.steps)-1, 0))
}

// Step is the one it stands on.
func (s *Slider) Step() (int, bool) {
	if s.At >= len(s.steps) {
		return 0, false
	}
	return s.steps[s.At], true
}

// Move goes n places on; on the last one it follows again. Moving ends playing.
func (s *Slider) Move(n int) { s.moveTo(s.At + n) }

func (s *Slider) moveTo(i int) {
	s.Playing = false
	s.At = min(max(i, 0), max(len(s.steps)-1, 0))
	s.Follow = s.At == len(s.steps)-1
}

// Play starts or stops playing; from the last step it starts over.
func (s *Slider) Play() {
	s.Playing = !s.Playing && len(s.steps) > 1
	if s.Playing && s.At == len(s.steps)-1 {
		s.At = 0
	}
	s.Follow = false
}

// Tick is the next image of playing. Behind the last step it stops, and follows.
func (s *Slider) Tick() {
	if !s.Playing {
		return
	}
	s.At++
	if s.At >= len(s.steps)-1 {
		s.moveTo(len(s.steps) - 1)
	}
}

// The slider's row: a button of buttonWidth cells, the track, and what it stands on.
const (
	ButtonWidth = 3
	labelWidth  = 22
)

func (s *Slider) track(w int) int { return max(w-ButtonWidth-labelWidth, 1) }

// Click takes a press or a drag at column x of a row of w cells.
func (s *Slider) Click(x, w int, drag bool) {
	if x < ButtonWidth && !drag {
		s.Play()
		return
	}
	cells := s.track(w)
	if x -= ButtonWidth; x >= cells && !drag {
		return
	}
	x = min(max(x, 0), cells-1)
	last := len(s.steps) - 1
	s.moveTo((x*last + (cells-1)/2) / max(cells-1, 1))
}

// place is the column of the track that step i is at.
func (s *Slider) place(i, cells int) int { return i * (cells - 1) / max(len(s.steps)-1, 1) }

// Row is the slider in w cells, in three parts for three colors: up to the knob, the knob, behind it.
func (s *Slider) Row(w int) (before, knob, after, label string) {
	cells := s.track(w)
	button := " ▶ "
	if s.Playing {
		button = " ‖ "
	}
	line := []rune(strings.Repeat("─", cells))
	if len(s.steps) <= cells/3 {
		for i := range s.steps {
			line[s.place(i, cells)] = '┼'
		}
	}
	at := min(s.place(s.At, cells), cells-1)
	before, after = button+string(line[:at]), string(line[at+1:])
	step, ok := s.Step()
	if !ok {
		return button + string(line), "", "", "  no images yet"
	}
	label = fmt.Sprintf("  step %d", step)
	if s.Follow {
		label += ", newest"
	} else {
		label += fmt.Sprintf(", %d of %d", s.At+1, len(s.steps))
	}
	return before, "●", after, label
}
