//go:build ignore

// rooms counts what a reader of each package meets: files, package-level names, and the exported ones of them;
// tests left out. docs/architecture.md has its figures:
//
//	go run .ci/rooms.go [FOLDER]
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type room struct{ files, lines, names, exported int }

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	rooms := map[string]*room{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		name, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if rooms[name] == nil {
			rooms[name] = new(room)
		}
		return rooms[name].add(path)
	})
	if err != nil {
		log.Fatal(err)
	}
	var names []string
	for name := range rooms {
		names = append(names, name)
	}
	slices.Sort(names)
	all := room{}
	for _, name := range names {
		r := rooms[name]
		fmt.Printf("%-28s %4d files %6d lines %5d names %5d exported\n", name, r.files, r.lines, r.names, r.exported)
		all = room{all.files + r.files, all.lines + r.lines, all.names + r.names, all.exported + r.exported}
	}
	fmt.Printf("%-28s %4d files %6d lines %5d names %5d exported\n", "all", all.files, all.lines, all.names, all.exported)
}

// add counts one file. Methods belong to their type.
func (r *room) add(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	r.files++
	r.lines += strings.Count(string(text), "\n")
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				r.name(d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					r.name(s.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						r.name(n)
					}
				}
			}
		}
	}
	return nil
}

func (r *room) name(n *ast.Ident) {
	if n.Name == "_" {
		return
	}
	r.names++
	if n.IsExported() {
		r.exported++
	}
}
