package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"testing"
)

// TestTour: every function that docs/tour.md names is in the file that it names.
func TestTour(t *testing.T) {
	text, err := os.ReadFile("../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	stops := regexp.MustCompile("`([a-z_/]+\\.go):([A-Za-z.]+)`").FindAllStringSubmatch(string(text), -1)
	if len(stops) < 10 {
		t.Fatalf("%d functions in docs/tour.md", len(stops))
	}
	for _, stop := range stops {
		names, err := functions("../" + stop[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if !names[stop[2]] {
			t.Errorf("docs/tour.md: no function %s in %s", stop[2], stop[1])
		}
	}
}

// functions are those of a file: "clip", "Trainer.Step", and methods of interfaces.
func functions(path string) (map[string]bool, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			name := n.Name.Name
			if n.Recv != nil {
				name = receiver(n.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.TypeSpec:
			if i, ok := n.Type.(*ast.InterfaceType); ok {
				for _, m := range i.Methods.List {
					for _, name := range m.Names {
						names[n.Name.Name+"."+name.Name] = true
					}
				}
			}
		}
		return true
	})
	return names, nil
}

func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return "?"
}
