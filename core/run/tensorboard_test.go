package run

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Our records are those of tensorboard 2.21.0's own writer, byte for byte (bench/peers/event_files.py).
func TestRecords(t *testing.T) {
	const want = "100000000000000095fbfe180900001040fc54d94110ac023a0208016b3b88f12400000000000000422b804d" +
		"0900001040fc54d94110072a170a080a0161150000003f0a0b0a04622fc3b615000040c045d95db7"
	at := time.UnixMilli(1700000000250)
	got := record(appendBytes(event(at, 300), eventSessionLog, []byte{sessionStatus, 1}))
	got = append(got, record(appendBytes(event(at, 7), eventSummary, summary(map[string]float64{"b/ö": -3, "a": 0.5, "none": math.NaN()})))...)
	if hex.EncodeToString(got) != want {
		t.Errorf("records %x, want %s", got, want)
	}
}

// A further file of a run begins where its training goes on.
func TestTensorBoardFiles(t *testing.T) {
	f := newRun(t)
	if f.HasTensorBoard() {
		t.Error("a new run has event files")
	}
	for _, step := range []int{0, 41} {
		b, err := f.NewTensorBoard(step)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(step+1, map[string]float64{"train/loss": 2}); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(f.path(tensorBoard, "events.out.tfevents.*"))
	if err != nil || len(files) != 2 || !f.HasTensorBoard() {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte("brain.Event:2")) || !bytes.Contains(data, []byte("train/loss")) {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
}
