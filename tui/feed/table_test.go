package feed

import (
	"math"
	"slices"
	"testing"
	"time"

	"focusnfix/core"
)

func fill(t *table, from, to int, value func(i int) float64) {
	for i := from; i < to; i++ {
		t.begin(i, time.Unix(int64(i), 0))
		t.set("v", value(i))
	}
}

// A table of any number of rows has a bound, keeps its peaks, and stays in order.
func TestTableThins(t *testing.T) {
	tab := newTable()
	const n = 5 * maxRows
	peaks := map[int]float64{1000: 100, n / 2: -100, n - 5: 50}
	fill(tab, 0, n, func(i int) float64 {
		if v, ok := peaks[i]; ok {
			return v
		}
		return math.Sin(float64(i) / 1000)
	})
	if tab.Rows() > maxRows || len(tab.Column("v")) != tab.Rows() {
		t.Errorf("%d rows and %d values, want at most %d and as many", tab.Rows(), len(tab.Column("v")), maxRows)
	}
	for _, v := range peaks {
		if !slices.Contains(tab.Column("v"), v) {
			t.Errorf("peak %v is lost", v)
		}
	}
	if !slices.IsSorted(tab.Step) || !slices.IsSorted(tab.Seconds) {
		t.Error("rows are not in order")
	}
	if last := tab.Step[tab.Rows()-1]; last != n-1 {
		t.Errorf("last step %v, want %v", last, n-1)
	}
}

// A step that comes again replaces those from there on, in every column.
func TestTableGoesBack(t *testing.T) {
	tab := newTable()
	fill(tab, 1, 31, func(int) float64 { return 1 })
	tab.set("late", 7) // only the last row has it
	fill(tab, 11, 21, func(int) float64 { return 2 })
	if v := tab.Column("v"); tab.Rows() != 20 || v[9] != 1 || v[10] != 2 || !math.IsNaN(tab.Last("late")) {
		t.Errorf("%d rows, rows 9 and 10 %v, late %v; want 20, 1 and 2, NaN", tab.Rows(), v[9:11], tab.Last("late"))
	}
	tab.begin(21, time.Unix(0, 0)) // a clock that was set back
	if tab.Seconds[20] < tab.Seconds[19] {
		t.Error("time falls")
	}
}

// Training that goes back drops the images after that step; kinds that are not known are kept as they are.
func TestStore(t *testing.T) {
	s := NewStore()
	step := func(i int) { s.Add(&core.Event{Kind: "step", Step: i, Train: &core.TrainStep{Reward: float64(i)}}) }
	pics := func(i int) {
		s.Add(&core.Event{Kind: "pictures", Step: i, Pictures: []core.Picture{{Path: "a"}, {Path: "b"}}})
	}
	for i := 1; i <= 10; i++ {
		step(i)
		pics(i)
	}
	step(6)
	if !slices.Equal(s.PictureSteps, []int{1, 2, 3, 4, 5}) || s.kept != 10 {
		t.Errorf("after going back to 6: images of %v, %d kept", s.PictureSteps, s.kept)
	}
	s.Add(&core.Event{Kind: "state", State: "running", Message: "image 1 of 48"})
	s.Add(&core.Event{Kind: "state", State: "running", Message: "image 2 of 48"})
	s.Add(&core.Event{Kind: "something new", Message: "hello"})
	if n := len(s.Log); n != 2 || s.Log[0].Message != "image 2 of 48" {
		t.Errorf("log %+v, want the newest progress and the unknown event", s.Log)
	}
	for i := range 3 * maxPictures {
		pics(100 + i)
	}
	if s.kept > maxPictures+2 || s.PictureSteps[0] != 1 || s.PictureSteps[len(s.PictureSteps)-1] != 100+3*maxPictures-1 {
		t.Errorf("%d images kept, first of step %d", s.kept, s.PictureSteps[0])
	}
}
