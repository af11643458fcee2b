package cmd

import (
	"encoding"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
)

var update = flag.Bool("update", false, "rewrite docs/schemas.md")

const schemas = "../docs/schemas.md"

// schemaRoots are what programs may read or send, by the heading on the page.
var schemaRoots = []struct {
	heading, intro string
	of             reflect.Type
}{
	{"events.jsonl, `train --json`", "One object a line. `train --json` prints the same lines.", reflect.TypeFor[core.Event]()},
	{"run.json", "What a run is, and which process works on it.", reflect.TypeFor[run.Info]()},
	{"ls --json", "A list with an object for each run, the newest first.", reflect.TypeFor[listedRun]()},
	{"metrics --json", "A list with an object for each step and evaluation.", reflect.TypeFor[metricsRow]()},
	{"compare --json", "A list with an object for each run, in the order of the arguments; the first is the baseline.", reflect.TypeFor[comparedRun]()},
	{"eval --json", "One object, which eval also writes to a file.", reflect.TypeFor[eval.Comparison]()},
	{"doctor --json", "One object. A part that could not be found out is absent.", reflect.TypeFor[doctorReport]()},
	{"The control socket: status", "The answer to GET status.", reflect.TypeFor[run.Status]()},
	{"The control socket: generate", "The body; the answer is an event of kind `prompt`.", reflect.TypeFor[run.GenerateRequest]()},
	{"The control socket: fix", "The body; the answer is an event of kind `prompt`.", reflect.TypeFor[run.FixRequest]()},
	{"The control socket: evaluate", "The body; the answer is an event of kind `evaluation`.", reflect.TypeFor[run.EvaluateRequest]()},
}

const schemasHead = `# Schemas

Every JSON that the program writes or takes. The page is made from the structs of the code and their comments: a test
compares, and ` + "`make golden`" + ` rewrites it.

- A number that is absent or null was not measured. An empty text or list and a false may be left out.
- Readers ignore keys and kinds of events that they do not know; keys are added, not renamed.
- What ` + "`attach HOST:RUN`" + ` and its relay say to each other is in [far.md](far.md).
- Shares are in [0,1], also where the screen shows percent. Times are UTC, RFC 3339.
`

// docs/schemas.md says what the structs say.
func TestSchemas(t *testing.T) {
	p := &schemaPage{comments: map[string]string{}, read: map[string]bool{}, done: map[reflect.Type]bool{}}
	p.text.WriteString(schemasHead)
	for _, root := range schemaRoots {
		fmt.Fprintf(&p.text, "\n## %s\n\n%s\n", root.heading, root.intro)
		p.table(t, root.of)
	}
	if *update {
		if err := os.WriteFile(schemas, []byte(p.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(schemas)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != p.text.String() {
		t.Errorf("%s is not what the structs say; go test ./cmd -run Schemas -update rewrites it", schemas)
	}
}

type schemaPage struct {
	text     strings.Builder
	comments map[string]string // of a field, by "package.Type.Field"
	read     map[string]bool   // packages
	done     map[reflect.Type]bool
}

// table writes a struct and then those that it is made of, each once.
func (p *schemaPage) table(t *testing.T, of reflect.Type) {
	p.done[of] = true
	p.text.WriteString("\n| key | is | meaning |\n| --- | --- | --- |\n")
	var below []reflect.Type
	p.rows(t, of, &below)
	for _, b := range below {
		if !p.done[b] {
			fmt.Fprintf(&p.text, "\n### %s\n", b.Name())
			p.table(t, b)
		}
	}
}

func (p *schemaPage) rows(t *testing.T, of reflect.Type, below *[]reflect.Type) {
	for i := range of.NumField() {
		f := of.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && key == "":
			p.rows(t, f.Type, below)
			continue
		case !f.IsExported() || key == "-":
			continue
		case key == "":
			key = f.Name
		}
		fmt.Fprintf(&p.text, "| `%s` | %s | %s |\n", key, p.kind(f.Type, below), p.comment(t, of, f.Name))
	}
}

// kind is a type in words. Structs are put on the list of those to explain.
func (p *schemaPage) kind(t reflect.Type, below *[]reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "text"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return p.kind(t.Elem(), below)
	case reflect.Slice:
		return "list of " + p.kind(t.Elem(), below)
	case reflect.Map:
		return p.kind(t.Elem(), below) + " by name"
	case reflect.Struct:
		*below = append(*below, t)
		return "[" + t.Name() + "](#" + strings.ToLower(t.Name()) + ")"
	case reflect.Bool:
		return "true, false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return "integer"
}

// comment is what stands beside or above a field in the source.
func (p *schemaPage) comment(t *testing.T, of reflect.Type, field string) string {
	dir := ".." + strings.TrimPrefix(of.PkgPath(), "focusnfix")
	if !p.read[dir] {
		p.read[dir] = true
		p.readComments(t, dir)
	}
	return p.comments[dir+"."+of.Name()+"."+field]
}

func (p *schemaPage) readComments(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			named, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if body, ok := named.Type.(*ast.StructType); ok {
				for _, f := range body.Fields.List {
					text := f.Comment.Text()
					if text == "" {
						text = f.Doc.Text()
					}
					text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
					for _, name := range f.Names {
						p.comments[dir+"."+named.Name.Name+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
}
