package torch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// need is torchtest.Need, which this package's own tests cannot import.
func need(t testing.TB) {
	t.Helper()
	err := Load()
	switch {
	case err != nil && os.Getenv("FNF_REQUIRE_TORCH") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
}

func run(t testing.TB, f func()) {
	t.Helper()
	need(t)
	if err := Run(f); err != nil {
		t.Fatal(err)
	}
}

// since names the first libtorch that has an operator, where that is later than 1.13.
var since = map[string]string{"aten::scaled_dot_product_attention": "2.0"}

// argumentNames reads "self, weight, *, alpha" from an operator's schema.
func argumentNames(schema string) string {
	inside := schema[strings.Index(schema, "(")+1 : strings.LastIndex(schema, ") ->")]
	var names []string
	depth, start := 0, 0
	for i, c := range inside + "," {
		switch {
		case c == '[' || c == '(':
			depth++
		case c == ']' || c == ')':
			depth--
		case c == ',' && depth == 0:
			field, _, _ := strings.Cut(inside[start:i], "=")
			field = strings.TrimSpace(field)
			names = append(names, field[strings.LastIndex(field, " ")+1:])
			start = i + 1
		}
	}
	return strings.Join(names, ", ")
}

// TestOperators resolves every declared operator against the loaded libtorch and compares its
// argument names with testdata/operators.txt: names that only later versions have may follow ours.
func TestOperators(t *testing.T) {
	need(t)
	path := filepath.Join("testdata", "operators.txt")
	var lines []string
	want := map[string]string{}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(stored)) {
		name, arguments, _ := strings.Cut(strings.TrimSuffix(line, ")\n"), "(")
		want[name] = arguments
	}
	for _, op := range operators {
		schema, err := op.schema()
		if version, optional := since[op.name]; err != nil && optional {
			t.Logf("%s is absent, as before libtorch %s: %v", op, version, err)
			lines = append(lines, op.String()+"("+want[op.String()]+")\n")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", op, err)
			continue
		}
		got := argumentNames(schema)
		lines = append(lines, op.String()+"("+got+")\n")
		if w, listed := want[op.String()]; !listed {
			t.Errorf("%s(%s) is not in %s", op, got, path)
		} else if got != w && !strings.HasPrefix(got, w+", ") {
			t.Errorf("%s has the arguments\n %s, want\n %s", op, got, w)
		}
	}
	if len(want) > len(operators) {
		t.Errorf("%s lists %d operators, the package declares %d", path, len(want), len(operators))
	}
	if os.Getenv("FNF_UPDATE") != "" {
		slices.Sort(lines)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("libtorch %s: %d operators", Version(), len(operators))
}
