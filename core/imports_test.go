package core

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport says for each package of the module which others it may import; a path ending in /...
// stands for all below it. Tensors never reach the screen, and the screen never reaches into
// training.
var mayImport = map[string][]string{
	".":                       {"cmd"},
	"cmd":                     {"core/...", "model/...", "presets", "render", "tui", "tui/picture"},
	"core":                    {},
	"core/words":              {"core", "core/run"},
	"core/run":                {"core"},
	"core/far":                {"core", "core/run"},
	"core/notify":             {"core", "core/run"},
	"core/report":             {"core", "core/run", "core/words", "render"},
	"core/eval":               {"core", "model/..."},
	"core/train":              {"core", "core/eval", "model/..."},
	"core/engine":             {"core", "core/eval", "core/run", "core/train", "model/...", "presets"},
	"model/torch":             {},
	"model/torch/torchtest":   {"model/torch"}, // for tests only
	"model/config":            {},
	"model/config/configtest": {"model/config"}, // for tests only
	"model/weights":           {"model/torch", "model/weights/pickle"},
	"model/weights/pickle":    nil,
	"model/nn":                {"model/torch", "model/weights"},
	"model/nn/nntest":         {"model/torch/...", "model/weights", "model/nn"}, // for tests only
	"model/clip":              {"model/torch", "model/weights", "model/nn", "model/tokenizer", "model/config"},
	"model/backbone":          {"model/torch", "model/weights", "model/nn"},
	"model/families":          {"model/backbone", "model/sd", "model/flow"},
	"model/sd":                {"model/torch", "model/weights", "model/nn", "model/clip", "model/config", "model/backbone"},
	"model/tokenizer":         {},
	"model/mmdit":             {"model/torch", "model/nn", "model/config"},
	"model/flow":              {"model/..."},
	"model/flow/flowtest":     {"model/nn/nntest", "model/torch/torchtest", "model/weights"}, // for tests only
	"model/zimage":            {"model/torch", "model/nn", "model/config"},
	"model/t5":                {"model/torch", "model/nn", "model/config"},
	"model/qwen":              {"model/torch", "model/nn", "model/config"},
	"model/reward":            {"model/torch", "model/weights", "model/nn", "model/clip", "model/tokenizer"},
	"model/scenes":            {"model/torch", "model/weights", "model/nn"},
	"model/scenes/workshop":   {"model/..."}, // makes the shipped model; nothing that runs needs it
	"bench/binding":           {"model/torch", "bench/peer"},
	"bench/control":           {"core", "core/engine", "core/eval", "core/train", "model/torch", "presets"},
	"bench/peer":              {},
	"bench/unet":              {"model/torch", "model/nn", "model/sd", "bench/peer"},
	"bench/loop":              {"core", "core/engine", "core/train", "model/...", "presets", "bench/peer"},
	"bench/call":              {"bench/peer", "model/mmdit", "model/nn", "model/torch", "model/weights", "model/zimage"},
	"bench/fix":               {"core", "core/engine", "core/run", "core/train", "model/torch", "presets"},
	"bench/fullsize":          {"bench/fullsize/replica", "model/backbone", "model/families", "model/torch"},
	"bench/fullsize/replica":  {"model/..."},
	"presets":                 {},
	"render":                  {},
	"tui":                     {"core", "core/notify", "core/run", "core/words", "render", "presets", "tui/picture", "tui/feed", "tui/find", "tui/chart", "tui/widget"},
	"tui/find":                {},
	"tui/picture":             {"core", "render"},
	"tui/feed":                {"core", "core/run", "core/words", "render", "tui/picture"},
	"tui/chart":               {"core/words", "render", "tui/feed", "tui/picture", "tui/widget"},
	"tui/widget":              {"render", "tui/picture"},
	"tui/internal/demo":       {"tui/picture"}, // the programs of the terminal tests
	"tui/internal/sample":     {"core", "core/run"},
	"tui/internal/watch":      {"core/run", "tui", "tui/internal/sample"},
}

func TestImports(t *testing.T) {
	const module = "focusnfix"
	for pkg, imports := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
		if name == "" {
			name = "."
		}
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s has no line in mayImport: say there what it may import", name)
			continue
		}
		for _, imported := range imports {
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			if isOurs && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, ours) }) {
				t.Errorf("%s imports %s, which mayImport does not allow: the code is in the wrong place", name, ours)
			}
		}
	}
}

// packages returns the imports of every package of the module, tests left out.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	watchSources(t)
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		found[words[0]] = words[1:]
	}
	return found
}

// watchSources reads the module's folders, which tells the go command that this test's cached result
// is void when a source file changes; it cannot see what `go list` reads.
func watchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{"build", "runs", "testdata", ".git"}, d.Name()) {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// covers reports whether the entry of the table allows the package.
func covers(entry, pkg string) bool {
	dir, below := strings.CutSuffix(entry, "/...")
	if below {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return entry == pkg
}

// A direct dependency is pinned, and has its reason on the page of decision 4; fourteen at most.
func TestDependenciesHaveAReason(t *testing.T) {
	const page = "../docs/decisions/0004-direct-dependencies.md"
	reasons, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(words) != 2 || !strings.HasPrefix(words[1], "v") {
			continue // not a module, or an indirect one
		}
		direct++
		if !strings.Contains(string(reasons), "\n| "+words[0]+" |") {
			t.Errorf("go.mod: %s has no line with its reason in %s", words[0], page)
		}
	}
	if direct == 0 || direct > 14 {
		t.Errorf("go.mod has %d direct dependencies, want 1 to 14", direct)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		entry, pkg string
		want       bool
	}{
		{"core", "core", true},
		{"core", "core/run", false},
		{"model/...", "model/sd", true},
		{"model/...", "model", true},
		{"model/...", "modelling", false},
	} {
		if got := covers(c.entry, c.pkg); got != c.want {
			t.Errorf("covers(%q, %q) = %v, want %v", c.entry, c.pkg, got, c.want)
		}
	}
}
