package tui

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"focusnfix/tui/chart"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
)

// fingerprint is a deep copy of what a value holds, as text; unexported fields, maps and pointers included.
// Functions, channels and locks have no content.
func fingerprint(v any) map[string]string {
	out := map[string]string{}
	seen := map[unsafe.Pointer]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if len(path) > 400 {
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				out[path] = "nil"
				return
			}
			if p := v.UnsafePointer(); !seen[p] {
				seen[p] = true
				walk(path, v.Elem())
			}
		case reflect.Interface:
			if v.Type() == reflect.TypeFor[context.Context]() {
				return
			}
			if v.IsNil() {
				out[path] = "nil"
				return
			}
			out[path+" type"] = v.Elem().Type().String()
			walk(path, v.Elem())
		case reflect.Struct:
			switch v.Type() {
			case reflect.TypeFor[time.Time](): // which notes its zone when it is written
				return
			case reflect.TypeFor[chart.Drawn](): // which says the same whenever it is asked
				return
			case reflect.TypeFor[feed.Cache](), reflect.TypeFor[picture.Shelf](), reflect.TypeFor[saver](): // which commands change meanwhile
				return
			case reflect.TypeFor[sync.Mutex](), reflect.TypeFor[sync.RWMutex]():
				return
			}
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			if k := v.Type().Elem().Kind(); k >= reflect.Bool && k <= reflect.Complex128 {
				sum := fnv.New64()
				fmt.Fprint(sum, v)
				out[path] = text(v.Type()) + " " + strconv.FormatUint(sum.Sum64(), 16)
				return
			}
			out[path+" len"] = itoa(v.Len())
			for i := range v.Len() {
				walk(path+"["+itoa(i)+"]", v.Index(i))
			}
		case reflect.Map:
			out[path+" len"] = itoa(v.Len())
			for _, k := range v.MapKeys() {
				walk(path+"["+text(k)+"]", v.MapIndex(k))
			}
		case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		default:
			out[path] = text(v)
		}
	}
	walk("", reflect.ValueOf(v))
	return out
}

func text(v any) string { return fmt.Sprint(v) }

func itoa(n int) string { return strconv.Itoa(n) }

// A view changes nothing: the same frame twice, and the model is as it was.
func TestViewsArePure(t *testing.T) {
	sampleRuns(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	d := drive(t, Options{Runs: "runs"}, 130, 40)
	begun := time.Now()
	d.now = func() time.Time { return begun } // an evaluation that is under way tells its seconds
	d.shows("all-aspects-k3f9")
	d.until("the rewards", func() bool { return !d.panes[tabRuns].(*runsPane).reading }) // a command reads them meanwhile
	check := func(what string) {
		t.Helper()
		before := fingerprint(d.app)
		first := d.View().Content
		second := d.View().Content
		after := fingerprint(d.app)
		if first != second {
			t.Errorf("%s: another frame the second time", what)
		}
		for path, was := range before {
			if is := after[path]; is != was {
				t.Errorf("%s: drawing changed%s from %s to %s", what, path, was, is)
			}
		}
		for path := range after {
			if _, was := before[path]; !was {
				t.Errorf("%s: drawing made%s", what, path)
			}
		}
	}
	check("runs")
	d.press("m", "down", "m", "end")
	check("marked runs")
	d.press("home", "enter")
	d.until("the whole log", func() bool { return d.run != nil && d.run.Store.Step == 83 && d.run.HasConfig })
	for _, pane := range []string{"2", "3", "4", "5"} {
		d.press(pane)
		check("tab " + pane)
		for _, key := range d.panes[d.tab].keys() {
			if key.do == nil || d.panes[d.tab].typing() {
				continue
			}
			switch key.meaning {
			case keySave, keyRepair, keyCheckpoint, keyPause, keyResume, keyStop:
				continue // of the engine or of files
			}
			d.press(key.keys[0])
			check("tab " + pane + ", " + key.keys[0])
			d.dialog = nil
		}
	}
	for _, key := range []string{"?", ":", "S"} {
		d.send(keyPress("esc"))
		d.dialog = nil
		d.press("2", key)
		check("dialog " + key)
		d.press("pgdown")
		check("dialog " + key + ", pgdown")
	}
}
