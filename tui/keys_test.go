package tui

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// keysPage is docs/keys.md: the key table as a page.
func keysPage(a *app) string {
	var b strings.Builder
	b.WriteString("# Keys\n\nA key means the same in every pane. From the key table of the screen, by which keys are dispatched and `?` shows\n" +
		"help. A test compares; `make golden` rewrites this page. In a text field keys are text; there the keys of the table work\n" +
		"with alt.\n")
	section := func(title string, table []binding) {
		fmt.Fprintf(&b, "\n## %s\n\n| key | what it does |\n| --- | --- |\n", title)
		for _, row := range table {
			keys := make([]string, len(row.keys))
			for i, k := range row.keys {
				keys[i] = "`" + strings.ReplaceAll(k, "|", "\\|") + "`"
			}
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(keys, " "), strings.ReplaceAll(row.help, "|", "\\|"))
		}
	}
	section("Everywhere", a.globalKeys())
	for _, p := range a.panes {
		section(p.title(), p.keys())
	}
	return b.String()
}

func TestKeysPage(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 80, 24)
	const page = "../docs/keys.md"
	got := keysPage(d.app)
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil || got != string(want) {
		t.Errorf("%s is not what the key table says (%v); make golden rewrites it", page, err)
	}
}

// A key means one thing in a pane, and keys that work everywhere do.
func TestKeysAreUnique(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 80, 24)
	var global []string
	for _, row := range d.globalKeys() {
		global = append(global, row.keys...)
	}
	for _, p := range d.panes {
		var seen []string
		for _, row := range p.keys() {
			if row.help == "" {
				t.Errorf("%s: %v has no help", p.title(), row.keys)
			}
			for _, k := range row.keys {
				if slices.Contains(seen, k) && row.do != nil {
					t.Errorf("%s: %q is bound twice", p.title(), k)
				}
				if slices.Contains(global, k) {
					t.Errorf("%s: %q means something everywhere", p.title(), k)
				}
				seen = append(seen, k)
			}
		}
	}
}

// One key has one meaning in all panes, and one meaning the same keys. Only arrows, enter, esc and the like say
// in each pane more exactly what they do there.
func TestKeysMeanTheSameEverywhere(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 80, 24)
	of := map[string]*meaning{}
	where := map[string]string{}
	check := func(pane string, table []binding) {
		for _, row := range table {
			for _, k := range row.keys {
				if row.do == nil {
					continue
				}
				before, known := of[k]
				if known && (row.help != before.help && !(row.ofPane && before.ofPane) || !slices.Equal(row.keys, before.keys)) {
					t.Errorf("%q is %q in %s and %q in %s", k, before.help, where[k], row.help, pane)
				}
				of[k], where[k] = row.meaning, pane
			}
		}
	}
	check("every pane", d.globalKeys())
	for _, p := range d.panes {
		check(p.title(), p.keys())
	}
	fix := d.panes[tabFix].(*fixPane)
	for _, fix.phase = range []fixPhase{fixWorking, fixResults} {
		check("Fix", fix.keys())
	}
}
