package tui

import (
	"fmt"
	"slices"
	"strings"
)

// slider stands on one of a run's steps. It follows the newest until somebody moves it.
type slider struct {
	steps   []int // ascending
	at      int   // index
	follow  bool
	playing bool
}

// set takes the steps that there are now. A slider that does not follow stays on its step, also when
// others come before it.
func (s *slider) set(steps []int) {
	before, had := s.step()
	s.steps = slices.Clone(steps)
	if s.follow || !had {
		s.at = max(len(s.steps)-1, 0)
		return
	}
	i, _ := slices.BinarySearch(s.steps, before)
	s.at = min(i, max(len(s.steps)-1, 0))
}

// step is the one it stands on.
func (s *slider) step() (int, bool) {
	if s.at >= len(s.steps) {
		return 0, false
	}
	return s.steps[s.at], true
}

// move goes n places on; on the last one it follows again. Moving ends playing.
func (s *slider) move(n int) { s.moveTo(s.at + n) }

func (s *slider) moveTo(i int) {
	s.playing = false
	s.at = min(max(i, 0), max(len(s.steps)-1, 0))
	s.follow = s.at == len(s.steps)-1
}

// play starts or stops playing; from the last step it starts over.
func (s *slider) play() {
	s.playing = !s.playing && len(s.steps) > 1
	if s.playing && s.at == len(s.steps)-1 {
		s.at = 0
	}
	s.follow = false
}

// tick is the next picture of playing. Behind the last step it stops, and follows.
func (s *slider) tick() {
	if !s.playing {
		return
	}
	s.at++
	if s.at >= len(s.steps)-1 {
		s.moveTo(len(s.steps) - 1)
	}
}

// The slider's row: a button of buttonWidth cells, the track, and what it stands on.
const (
	buttonWidth = 3
	labelWidth  = 22
)

func (s *slider) track(w int) int { return max(w-buttonWidth-labelWidth, 1) }

// click takes a press or a drag at column x of a row of w cells.
func (s *slider) click(x, w int, drag bool) {
	if x < buttonWidth && !drag {
		s.play()
		return
	}
	cells := s.track(w)
	if x -= buttonWidth; x >= cells && !drag {
		return
	}
	x = min(max(x, 0), cells-1)
	last := len(s.steps) - 1
	s.moveTo((x*last + (cells-1)/2) / max(cells-1, 1))
}

// place is the column of the track that step i is at.
func (s *slider) place(i, cells int) int { return i * (cells - 1) / max(len(s.steps)-1, 1) }

// row is the slider in w cells, in three parts for three colours: up to the knob, the knob, behind it.
func (s *slider) row(w int) (before, knob, after, label string) {
	cells := s.track(w)
	button := " ▶ "
	if s.playing {
		button = " ‖ "
	}
	line := []rune(strings.Repeat("─", cells))
	if len(s.steps) <= cells/3 {
		for i := range s.steps {
			line[s.place(i, cells)] = '┼'
		}
	}
	at := min(s.place(s.at, cells), cells-1)
	before, after = button+string(line[:at]), string(line[at+1:])
	step, ok := s.step()
	if !ok {
		return button + string(line), "", "", "  no pictures yet"
	}
	label = fmt.Sprintf("  step %d", step)
	if s.follow {
		label += ", newest"
	} else {
		label += fmt.Sprintf(", %d of %d", s.at+1, len(s.steps))
	}
	return before, "●", after, label
}
