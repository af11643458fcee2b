package feed

import (
	"testing"

	"focusnfix/core"
)

// What comes is put in its place, once; the shown one stays shown, and who looked at the newest looks at the newest.
func TestHistory(t *testing.T) {
	fix := func(path string) core.Event { return core.Event{Kind: "fix", Fix: &core.FixResult{Path: path}} }
	var f Fixes
	shows := func(path string, n int) {
		t.Helper()
		if now, ok := f.Current(); now.Path != path || ok != (n > 0) || len(f.List) != n {
			t.Errorf("%q of %d is shown, want %q of %d", now.Path, len(f.List), path, n)
		}
	}
	shows("", 0)
	f.Add([]core.Event{fix("fixes/0002"), fix(""), {Kind: "step"}})
	shows("fixes/0002", 1)
	f.Add([]core.Event{fix("fixes/10001"), fix("fixes/0009"), fix("fixes/0002")})
	shows("fixes/10001", 3)
	f.Move(-1)
	shows("fixes/0009", 3)
	f.Add([]core.Event{fix("fixes/0001"), fix("fixes/10002")})
	shows("fixes/0009", 5)
	f.Show("fixes/0001")
	shows("fixes/0001", 5)
	f.Show("fixes/0003")
	f.Move(-1)
	shows("fixes/0001", 5)
	f.Move(99)
	shows("fixes/10002", 5)
}
