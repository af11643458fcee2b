package run

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLabel(t *testing.T) {
	f := newRun(t)
	if l, err := f.Label(); err != nil || !reflect.DeepEqual(l, Label{}) {
		t.Errorf("a new run has the label %+v, %v", l, err)
	}
	want := Label{Title: "first", Note: "slow", Tags: []string{"keep", "paper"}}
	if err := f.SetLabel(want); err != nil {
		t.Fatal(err)
	}
	if l, err := f.Label(); err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("label %+v, %v; want %+v", l, err, want)
	}
	list, err := List(filepath.Dir(f.Dir))
	if err != nil || len(list) != 1 || list[0].Label.Title != "first" {
		t.Errorf("listed as %+v, %v", list, err)
	}
	if err := os.WriteFile(f.path(labelName), []byte(`{"title":"a\u001b[31mb"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := f.Label(); err != nil || strings.Contains(l.Title, "\x1b") {
		t.Errorf("a stranger's label is %q, %v: control characters go to the terminal", l.Title, err)
	}
	if err := os.WriteFile(f.path(labelName), []byte(`{`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Label(); err == nil || !strings.Contains(err.Error(), labelName) {
		t.Errorf("a broken label: %v", err)
	}
}

func TestTrash(t *testing.T) {
	f := newRun(t)
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State = Running
	if info.Engine, err = f.thisProcess(); err != nil {
		t.Fatal(err)
	}
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Trash(); err == nil || !strings.Contains(err.Error(), "engine") {
		t.Errorf("a running run: %v", err)
	}
	info.State = Stopped
	info.Engine = nil
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	runs := filepath.Dir(f.Dir)
	to, err := f.Trash()
	if err != nil || to != filepath.Join(runs, trash, filepath.Base(f.Dir)) {
		t.Fatalf("moved to %q, %v", to, err)
	}
	if _, err := (Folder{Dir: to}).Info(); err != nil {
		t.Errorf("in the trash: %v", err)
	}
	if list, err := List(runs); err != nil || len(list) != 0 {
		t.Errorf("the list still has %+v, %v", list, err)
	}
	if err := os.Rename(to, f.Dir); err != nil { // taken out again, and thrown away once more beside another
		t.Fatal(err)
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if again, err := f.Trash(); err != nil || again != to+"-2" {
		t.Errorf("a second of that name is moved to %q, %v", again, err)
	}
}
