package presets

import (
	"slices"
	"strings"
)

// A preset of a real model is composed of two files. models/NAME.toml says, below its name, how the model
// is used and pulled, what every reward of it has in common, and its settings. aspects/NAME.toml says what
// is repaired and by which judges; its settings win. A new model is one file.

// together is the aspect that has no judges of its own, but those of the aspects named here.
const together = "all-aspects"

var aspects = []string{"violence", "oversexualization", "artifacts", "misalignment"}

// layer is a TOML file in parts: the comment that it begins with, and its tables in their order.
type layer struct {
	title  string   // the first line of the comment
	notes  []string // its other lines
	pulls  []string // those lines of it that pull something
	tables []table
}

type table struct {
	header string // "[train]"
	lines  []string
}

func parseLayer(text []byte) (l layer) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "["):
			l.tables = append(l.tables, table{header: line})
		case len(l.tables) > 0:
			last := &l.tables[len(l.tables)-1]
			last.lines = append(last.lines, line)
		case l.title == "":
			l.title = strings.TrimPrefix(line, "# ")
		case strings.HasPrefix(line, "#   focusnfix pull "):
			l.pulls = append(l.pulls, line)
		default:
			l.notes = append(l.notes, line)
		}
	}
	return l
}

// readLayer parses a file whose name is among the embedded ones.
func readLayer(path string) layer {
	text, err := files.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return parseLayer(text)
}

// compose is the text of a preset: what it does, how it is run, what it needs, and its settings.
func compose(name, modelName, aspectName string) []byte {
	model, aspect := readLayer("models/"+modelName+".toml"), readLayer("aspects/"+aspectName+".toml")
	judges := []layer{aspect}
	if aspectName == together {
		judges = nil
		for _, a := range aspects {
			judges = append(judges, readLayer("aspects/"+a+".toml"))
		}
	}
	lines := []string{"# " + strings.ReplaceAll(aspect.title, "MODEL", model.title), "#   focusnfix train -p " + name}
	lines = append(lines, model.notes...)
	lines = append(lines, "# What it needs, in the folder where it is started:")
	lines = append(lines, model.pulls...)
	lines = append(lines, gather(judges, func(j layer) []string { return j.pulls })...)
	lines = append(lines, gather(judges, func(j layer) []string { return j.notes })...)
	for _, t := range mergeTables(model.tables, aspect.tables, judges) {
		lines = append(append(lines, t.header), t.lines...)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// gather lists the lines of several layers, each line once.
func gather(layers []layer, lines func(layer) []string) (all []string) {
	for _, l := range layers {
		for _, line := range lines(l) {
			if !slices.Contains(all, line) {
				all = append(all, line)
			}
		}
	}
	return all
}

// mergeTables puts the aspect's settings over the model's, whose [[reward]] holds for each of the judges'.
func mergeTables(model, aspect []table, judges []layer) (merged []table) {
	const reward = "[[reward]]"
	of := func(tables []table, header string) (lines []string) {
		for _, t := range tables {
			if t.header == header {
				lines = append(lines, t.lines...)
			}
		}
		return lines
	}
	for _, j := range judges {
		merged = append(merged, table{reward, mergeLines(of(j.tables, reward), of(model, reward))})
	}
	for _, t := range model {
		if t.header != reward {
			merged = append(merged, table{t.header, mergeLines(of(aspect, t.header), t.lines)})
		}
	}
	for _, t := range aspect {
		if t.header != reward && of(model, t.header) == nil {
			merged = append(merged, t)
		}
	}
	return merged
}

// mergeLines lists settings, and those of below with other keys after them.
func mergeLines(above, below []string) []string {
	key := func(line string) string {
		k, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(k)
	}
	merged := slices.Clone(above)
	for _, line := range below {
		if !slices.ContainsFunc(above, func(l string) bool { return key(l) == key(line) }) {
			merged = append(merged, line)
		}
	}
	return merged
}
