package find

import (
	"strings"
	"testing"
)

// thing is a subject: text, fields, and what it has.
type thing struct {
	text   string
	fields map[string]string
	has    string
}

func (t thing) Text() string { return t.text }
func (t thing) Field(name string) (string, bool) {
	v, ok := t.fields[name]
	return v, ok
}
func (t thing) Has(what string) bool { return what == t.has }

var sample = thing{
	text: "2026-11-24-violence-k3f9 the first one", has: "alarm",
	fields: map[string]string{"state": "running", "step": "120", "cfg.region.weight": "6", "model": "builtin:scenes", "note": "good, but slow"},
}

func TestQuery(t *testing.T) {
	for query, want := range map[string]bool{
		"": true, "violence": true, "VIOLENCE first": true, "artifacts": false, `"first one"`: true, `"one first"`: false,
		"state:running": true, "state:run": true, "state=run": false, "state=Running": true, "state!=done": true,
		"cfg.region.weight>=6": true, "cfg.region.weight>6": false, "step>=20": true, "step<1000": true, "step<=119": false,
		"cfg.lora.rank>=1": false, "cfg.lora.rank!=4": true, "has:alarm": true, "has:note": false, "not has:note": true,
		"artifacts or violence": true, "artifacts or misalignment": false, "violence and state:done": false,
		"violence and not state:done": true, "(artifacts or violence) state:running": true, "not (artifacts or violence)": false,
		"violence or artifacts state:done": true, `note:"good, but"`: true, "model:builtin:scenes": true, `"or"`: false, ":": false,
	} {
		q, err := Parse(query)
		if err != nil || q.Match(sample) != want {
			t.Errorf("%q: %v, %v; want %v", query, q.Match(sample), err, want)
		}
	}
	for _, query := range []string{"(", "a)", "or", "a or", "not", "a and", "(a", "()", "and b", strings.Repeat("(", 99)} {
		if _, err := Parse(query); err == nil {
			t.Errorf("%q is taken", query)
		}
	}
	if q, _ := Parse("a has:Alarm"); !q.Uses("has:alarm") {
		t.Error("a query does not know what it asks for")
	}
	if q, _ := Parse("cfg.region.weight>=6 or x"); !q.Uses("cfg.") || q.Uses("state") {
		t.Error("a query does not know its fields")
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "reward", true},
		{"rew", "total reward", true},
		{"rew*", "reward", true},
		{"rew*", "total reward", false},
		{"*psnr", "outside PSNR", true},
		{"^out|loss$", "loss", true},
		{"psnr.*", "PSNR, dB", true},
		{"[", "a [b", true},
		{"[", "b", false},
		{"s?ep", "step", true},
	} {
		if got := NewPattern(c.pattern).Match(c.name); got != c.want {
			t.Errorf("%q in %q: %v", c.pattern, c.name, got)
		}
	}
}

// No text ends the program, and what is read can be asked.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a or (b and not c)", `x:"y z`, "a>=1 <2", "((a))", "not not not"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if q, err := Parse(text); err == nil {
			q.Match(sample)
		}
		NewPattern(text).Match(text)
	})
}

// A long text is no expression: a pattern of a megabyte would take minutes.
func TestLongPattern(t *testing.T) {
	long := strings.Repeat("a?", maxExpression)
	if !NewPattern(long).Match("x"+long) || NewPattern(long).Match(strings.Repeat("a", 3*maxExpression)) {
		t.Error("a long text is not taken as it is")
	}
}
