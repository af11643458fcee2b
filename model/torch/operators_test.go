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

// TestCallFrames: what an operator would not read is refused, never ignored.
func TestCallFrames(t *testing.T) {
	need(t)
	for name, c := range map[string]struct {
		call func(x Tensor)
		want string
	}{
		"surplus":       {func(x Tensor) { opNeg.one(new(frame).tensor(x).int(1)) }, "too many arguments"},
		"missing":       {func(Tensor) { opNeg.one(new(frame)) }, "argument 'self' of aten::neg is missing"},
		"unknown name":  {func(x Tensor) { opSum.one(new(frame).tensor(x).name("typo").int(1)) }, "no argument 'typo'"},
		"surplus name":  {func(x Tensor) { opNeg.one(new(frame).tensor(x).name("out").tensor(x)) }, "no argument 'out'"},
		"given twice":   {func(x Tensor) { opSum.one(new(frame).tensor(x).name("self").tensor(x)) }, "no argument 'self'"},
		"order":         {func(x Tensor) { opSum.one(new(frame).tensor(x).name("dtype").int(6).int(1)) }, "behind one by name"},
		"bad tag":       {func(Tensor) { f := new(frame); f.put(77); opNeg.one(f) }, "unknown tag"},
		"short":         {func(Tensor) { f := new(frame); f.put(6 | 9<<8); opFlip.one(f) }, "ends early"},
		"no such op":    {func(x Tensor) { def("no_such_operator", "").one(new(frame).tensor(x)) }, "has no such operator"},
		"wrong type":    {func(Tensor) { opNeg.one(new(frame).string("text")) }, ""},
		"closed source": {func(Tensor) { (&Generator{handle: 99}).Randn(Float32, 1) }, "the generator was closed"},
	} {
		err := Run(func() { c.call(Ones(Float32, CPU, 2)) })
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
	}
	operators = slices.DeleteFunc(operators, func(op *operator) bool { return op.name == "aten::no_such_operator" })
}

// TestLongFrames: lists that outgrow the array of a frame arrive whole.
func TestLongFrames(t *testing.T) {
	need(t)
	err := Run(func() {
		var ts []Tensor
		for i := range 100 {
			ts = append(ts, Full(float64(i), Float32, CPU, 1))
		}
		if got := Cat(ts, 0).Sum().Item(); got != 4950 {
			t.Errorf("sum of 0..99 is %v, want 4950", got)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestManyResults: a list of results is as long as the list of arguments, whatever its length.
func TestManyResults(t *testing.T) {
	need(t)
	err := Run(func() {
		ts := Full(9, Float32, CPU, 600).Unbind(0)
		if roots := ForeachSqrt(ts); len(roots) != 600 || roots[599].Item() != 3 {
			t.Errorf("%d roots of 600 nines", len(roots))
		}
	})
	if err != nil {
		t.Error(err)
	}
}
