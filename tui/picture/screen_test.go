package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	enter = "\x1b[?1049h\x1b[2J"
	leave = "\x1b[?1049l"
)

func fixed(w, h int) func() (int, int, bool) { return func() (int, int, bool) { return w, h, true } }

// at is a frame that puts the picture called name at column 1 + x, row 1 + y.
func at(p *Shelf, name string, x, y int) string {
	cols, rows := p.Shown(name)
	var b strings.Builder
	for i, row := range strings.Split(p.View(name, cols, rows), "\n") {
		fmt.Fprintf(&b, "\x1b[%d;%dH%s", y+i+1, x+1, row)
	}
	return b.String()
}

func write(t testing.TB, s *Screen, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); err != nil || n != len(text) {
		t.Fatalf("write %q: %d, %v", text, n, err)
	}
	settle(t, s)
}

// settle waits until the terminal has got everything.
func settle(t testing.TB, s *Screen) {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Without pictures the filter is not there: not one byte differs.
func TestPassesOn(t *testing.T) {
	var out bytes.Buffer
	s := NewScreenOn(&out, NewShelf(Terminal{Protocol: Sixel}), fixed(80, 24))
	frames := "hello\x1b]0;title\x07" + enter + "\x1b[31mred é 日本\x1b[K\x1b[2;5r\n\x1b[r\x1b[>c\x1bPq~\x1b\\\x1b[?2026h\x1b[?2026l" + leave + "bye"
	for i := range len(frames) { // one byte a write
		write(t, s, frames[i:i+1])
	}
	if out.String() != frames {
		t.Errorf("got  %q\nwant %q", out.String(), frames)
	}
}

func TestDrawsOnce(t *testing.T) {
	var out bytes.Buffer
	p := NewShelf(Terminal{Protocol: Sixel})
	s := NewScreenOn(&out, p, fixed(40, 10))
	p.Show("a", fake(1, 4, 2))
	write(t, s, enter+at(p, "a", 3, 2))
	if n := strings.Count(out.String(), "\x1bPq1;"); n != 1 {
		t.Fatalf("drawn %d times: %q", n, out.String())
	}
	out.Reset()
	write(t, s, "\x1b[3;1H\x1b[K"+at(p, "a", 3, 2)) // the row is erased and the same picture painted again
	write(t, s, "\x1b[2J"[:0]+"\x1b[1;10r\x1b[10;1H\nxyz\x1b[1;1H"+at(p, "a", 3, 2)+"\x1b[2;1H\x1b[K")
	if strings.Contains(out.String(), "\x1bP") || strings.ContainsRune(out.String(), firstCell) {
		t.Errorf("redrawn: %q", out.String())
	}
	out.Reset()
	write(t, s, "\x1b[2J"+at(p, "a", 3, 2)) // the user asked for a clean screen
	if n := strings.Count(out.String(), "\x1b[2J"); n != 1 || strings.Count(out.String(), "\x1bPq1;") != 1 {
		t.Errorf("after an erase: %q", out.String())
	}
}

// A picture in another's place shows nothing of it where it ends within a cell.
func TestCoversWhatWasThere(t *testing.T) {
	var out bytes.Buffer
	p := NewShelf(Terminal{Protocol: Sixel})
	s := NewScreenOn(&out, p, fixed(40, 10))
	small := fake(2, 4, 2)
	small.cell, small.size = image.Pt(10, 20), image.Pt(36, 40) // ends within the fourth column
	p.Show("a", fake(1, 8, 4))
	write(t, s, enter+at(p, "a", 3, 2))
	p.Show("a", small)
	out.Reset()
	write(t, s, "\x1b[H\x1b[J"+at(p, "a", 3, 2))
	got, _, found := strings.Cut(out.String(), "\x1bPq2;")
	if !found || !strings.Contains(got, "\x1b[3;7H ") || !strings.Contains(got, "\x1b[4;7H ") || strings.Contains(got, "\x1b[3;4H ") {
		t.Errorf("got %q, then the image; want its last column blank first, and nothing else", got)
	}
	again := fake(3, 4, 2)
	again.cell, again.size = small.cell, small.size
	p.Show("a", again)
	out.Reset()
	write(t, s, at(p, "a", 3, 2))
	if got, _, found := strings.Cut(out.String(), "\x1bPq3;"); !found || strings.Contains(got, " ") {
		t.Errorf("an image of the same size: %q before it, want nothing that could flicker", got)
	}
}

// A picture must never make the terminal scroll or leave the screen.
func TestRefusesEdges(t *testing.T) {
	p := NewShelf(Terminal{Protocol: Sixel})
	p.Show("a", fake(1, 4, 2))
	rows := strings.Split(p.View("a", 4, 2), "\n")
	for name, frame := range map[string]string{
		"last row":    "\x1b[9;1H" + rows[0] + "\x1b[10;1H" + rows[1],
		"right edge":  "\x1b[1;38H" + string([]rune(rows[0])[:3]),
		"upper edge":  "\x1b[1;1H" + rows[1],
		"unknown one": "\x1b[1;1H" + string(lastCell),
	} {
		var out bytes.Buffer
		s := NewScreenOn(&out, p, fixed(40, 10))
		write(t, s, enter+frame)
		if got := out.String(); strings.Contains(got, "\x1bPq") || strings.IndexByte(got, leadByte) >= 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestLeavesNothing(t *testing.T) {
	var out bytes.Buffer
	p := NewShelf(Terminal{Protocol: Sixel})
	s := NewScreenOn(&out, p, fixed(40, 10))
	p.Show("a", fake(1, 4, 2))
	write(t, s, enter+at(p, "a", 3, 2))
	out.Reset()
	write(t, s, "\x1b[10;1H"+leave)
	if got := out.String(); !strings.Contains(got, "\x1b[2J") || strings.Index(got, "\x1b[2J") > strings.Index(got, leave) {
		t.Errorf("leaving the alternate screen: %q", got)
	}
	out.Reset()
	write(t, s, "$ ls\r\n")
	if out.String() != "$ ls\r\n" {
		t.Errorf("after leaving: %q", out.String())
	}
	write(t, s, enter+at(p, "a", 3, 2)) // resumed
	if strings.Count(out.String(), "\x1bPq1;") != 1 {
		t.Errorf("not drawn after resuming: %q", out.String())
	}
	write(t, s, "\x1bc")
	out.Reset()
	write(t, s, "x")
	if out.String() != "x" {
		t.Errorf("after a full reset: %q", out.String())
	}
}

// Where text cannot cover pixels, a covered picture is taken off and comes back.
func TestLayeredTerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewShelf(Terminal{Protocol: Sixel, name: "Konsole 22.12.3"})
	s := NewScreenOn(&out, p, fixed(40, 10))
	p.Show("a", fake(1, 4, 2))
	p.Show("b", fake(2, 4, 2))
	write(t, s, enter+at(p, "a", 3, 2)+at(p, "b", 20, 2))
	out.Reset()
	write(t, s, "\x1b[3;5Hx")
	if got := out.String(); strings.Count(got, "\x1b[2J") != 1 || strings.Contains(got, "\x1bPq1;") || !strings.Contains(got, "\x1bPq2;") {
		t.Errorf("covered: %q", got)
	}
	out.Reset()
	write(t, s, at(p, "a", 3, 2))
	if got := out.String(); strings.Contains(got, "\x1b[2J") || !strings.Contains(got, "\x1bPq1;") {
		t.Errorf("uncovered: %q", got)
	}
}

// slowTerminal blocks until it is released.
type slowTerminal struct {
	mu      sync.Mutex
	release chan struct{}
	got     bytes.Buffer
}

func (s *slowTerminal) Write(p []byte) (int, error) {
	if len(p) >= asyncFrom {
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

// A slow line holds up pictures, not the program; what comes last is the newest frame.
func TestSlowTerminal(t *testing.T) {
	out := &slowTerminal{release: make(chan struct{})}
	p := NewShelf(Terminal{Protocol: Sixel})
	s := NewScreenOn(out, p, fixed(40, 10))
	big := fake(1, 4, 2)
	big.data = "\x1bPq" + strings.Repeat("~", 4*asyncFrom) + "\x1b\\"
	p.Show("a", big)
	for _, text := range []string{enter + at(p, "a", 3, 2), "\x1b[1;1Halpha", "\x1b[1;1Hbravo", "\x1b]0;title\x07\x1b[1;1Hdelta"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	left := make(chan error)
	go func() { _, err := s.Write([]byte(leave)); left <- err }()
	select {
	case <-left:
		t.Fatal("left the screen before the terminal had it")
	case <-time.After(20 * time.Millisecond):
	}
	close(out.release)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	got := out.got.String()
	if strings.Contains(got, "alpha") || strings.Contains(got, "bravo") || !strings.Contains(got, "delta") {
		t.Errorf("late frames were not dropped: %q", got[4*asyncFrom:])
	}
	if !strings.Contains(got, "\x1b]0;title\x07") || !strings.HasSuffix(got, leave) {
		t.Errorf("a control sequence got lost: %q", got[4*asyncFrom:])
	}
}

func TestWriteError(t *testing.T) {
	r, w := io.Pipe()
	p := NewShelf(Terminal{Protocol: Sixel})
	s := NewScreenOn(w, p, fixed(40, 10))
	broken := errors.New("line is down")
	_ = r.CloseWithError(broken)
	if _, err := s.Write([]byte("x")); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestBudget(t *testing.T) {
	var b budget
	n := 2 * asyncFrom
	for range 3 * len(levels) {
		b.sent(n, time.Second)
	}
	if b.at != len(levels)-1 {
		t.Errorf("level %d on a slow line, want %d", b.at, len(levels)-1)
	}
	b = budget{}
	b.sent(n, time.Second)
	for range fastWrites {
		b.sent(n, time.Millisecond)
	}
	if b.at != 0 {
		t.Errorf("level %d after one slow image and %d fast ones, want 0", b.at, fastWrites)
	}
	b.sent(n, time.Second)
	for range 10 * fastWrites {
		b.sent(n, time.Millisecond)
	}
	if b.at != 1 {
		t.Errorf("level %d: level 0 was too slow twice and must not come back", b.at)
	}
	b.sent(100, time.Hour)
	if b.at != 1 {
		t.Error("a few bytes say nothing about the line")
	}
}

// Without a line in between, half a second is a busy machine, not a slow line.
func TestBudgetOfALocalTerminal(t *testing.T) {
	b := budget{local: true}
	for range 20 {
		b.sent(2*asyncFrom, 500*time.Millisecond)
	}
	if b.at != 0 {
		t.Errorf("level %d on a busy machine, want 0", b.at)
	}
	for range 2 * len(levels) {
		b.sent(2*asyncFrom, 3*time.Second)
	}
	if b.at != len(levels)-1 {
		t.Errorf("level %d for a terminal that takes seconds, want %d", b.at, len(levels)-1)
	}
}

// Show gives runes to pictures; they must never be given twice while in use.
func TestReserve(t *testing.T) {
	p := NewShelf(Terminal{Protocol: Sixel})
	for i := range 3000 {
		name := fmt.Sprint(i % 7)
		p.Show(name, fake(i, 10+i%50, 5+i%20))
		used := p.ranges()
		for j, s := range used {
			if s.base < firstCell || s.end() > lastCell+1 || j > 0 && used[j-1].end() > s.base {
				t.Fatalf("step %d: ranges overlap or leave the plane", i)
			}
		}
	}
	if cols, rows := p.Shown("3"); cols == 0 || rows == 0 {
		t.Error("image 3 is not shown")
	}
	p.Show("huge", fake(1, 1000, 1000))
	if cols, _ := p.Shown("huge"); cols != 0 {
		t.Error("an image with more cells than runes was shown")
	}
	if got, want := p.View("none", 3, 2), "   \n   "; got != want {
		t.Errorf("no image: %q", got)
	}
}

// FuzzScreen writes any bytes in two pieces: nothing panics, and where they are cut does not matter.
func FuzzScreen(f *testing.F) {
	p := NewShelf(Terminal{Protocol: Sixel})
	p.Show("a", fake(1, 4, 2))
	p.Show("b", kittyPicture(2, 3, 3))
	f.Add([]byte(enter+at(p, "a", 3, 2)+"\x1b[3;1H\x1b[K\x1b[2;5r\x1b[5;1H\n\x1b[r"+at(p, "b", 1, 1)+"\x1b[2J"), 20)
	f.Add([]byte(enter+at(p, "a", 3, 2)+"\x1b[?2026h日本\x1b[1;31mé\x1b[?2026l"+leave+"\xf4\x80\x80"), 9)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		run := func(parts ...[]byte) *Screen {
			s := NewScreenOn(io.Discard, p, fixed(20, 8))
			for _, part := range parts {
				if _, err := s.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, s)
			return s
		}
		whole := run(b)
		if s := whole; s.composing && s.alt {
			if target, _ := s.target(); target.Render() != s.shown.Render() {
				t.Error("what is shown is not the frame")
			}
		}
		for i := cut; i > 0 && i < len(b) && b[i]&0xc0 == 0x80; i-- { // clusters in one write count as one
			cut = i - 1
		}
		if parts := run(b[:cut], b[cut:]); isASCII(b) && whole.model.Render() != parts.model.Render() {
			t.Errorf("%q: cut at %d gives another screen", b, cut)
		}
	})
}

func isASCII(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 && (r < firstCell || r > lastCell) }) < 0
}
