package core

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile has one of each kind that Clean must stop: OSC 52, CSI, DCS, APC, PM, OSC 8, RIS, C1 in UTF-8
// and as bare bytes, DEL, NUL, bidirectional controls and isolates, separators, tags.
const hostile = "\x1b]52;c;QUFB\x07\x1b[2J\x1bPq#0\x1b\\\x1b_Ga=d\x1b\\\x1b^pm\x1b\\\x1b]8;;http://x/\x1b\\y\x1bc" +
	"\u009b31m\u009d52;c;eA==\u009c\x9b3J\x7f\x00\u202eevil\u202c\u2066x\u2069\u200f\u061c\u2028\U000e0041\r\n\t"

// notClean reports what a terminal could act on.
func notClean(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, isUnsafe)
}

func TestClean(t *testing.T) {
	for _, plain := range []string{"", "a chef in the park", "50 % ~", "Größe 漢字 שלום 👩‍🍳"} {
		if got := Clean(plain); got != plain {
			t.Errorf("Clean(%q) = %q, want it unchanged", plain, got)
		}
	}
	if got := Clean("one\r\ntwo\tthree"); got != "one  two three" {
		t.Errorf("lines and tabs became %q", got)
	}
	if got := Clean(hostile); notClean(got) || !strings.Contains(got, "evil") {
		t.Errorf("Clean left %q", got)
	}
	if got := CleanLines("a\x1b[2J\nb\u202e"); got != "a\ufffd[2J\nb\ufffd" {
		t.Errorf("CleanLines gave %q", got)
	}
}

func TestCleanStrings(t *testing.T) {
	type inner struct{ Text string }
	v := struct {
		Text  string
		Inner *inner
		List  []inner
		Words []string
		Map   map[string]inner
		Any   any
		Bytes []float64
		none  string
	}{hostile, &inner{hostile}, []inner{{hostile}}, []string{hostile}, map[string]inner{hostile: {hostile}}, &inner{hostile}, []float64{1}, hostile}
	CleanStrings(&v)
	want := Clean(hostile)
	if v.Text != want || v.Inner.Text != want || v.List[0].Text != want || v.Words[0] != want || v.Any.(*inner).Text != want {
		t.Errorf("left %+v", v)
	}
	if len(v.Map) != 1 || v.Map[want].Text != want {
		t.Errorf("map %q", v.Map)
	}
}

// Every string of an event is clean when it is read, whichever field it is in.
func TestEventsAreReadClean(t *testing.T) {
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	text := `"` + strings.Trim(string(quoted), `"`) + "\u202e\u009b" + "\x9b\x7f" + `"` // raw in the file, too
	line := strings.ReplaceAll(`{"kind":S,"state":S,"message":S,"path":S,"step":3,
		"train":{"loss":1,"aspects":[{"aspect":S,"base":1}]},
		"pictures":[{"index":1,"prompt":S,"seed":1,"path":S,"reference":S,"aspects":[{"aspect":S}]}],
		"evaluation":{"pictures":2,"aspects":[{"aspect":S}],"statistics":{S:1}},
		"alarm":{"name":S,"subject":S,"value":1,"limit":2,"action":S},
		"control":{"key":S,"from":S,"to":S},
		"prompt":{"path":S,"prompt":S,"negative":S,"seed":1,"aspects":[{"aspect":S}],"unknown_words":S}}`, "S", text)
	var e Event
	if err := e.ParseJSON([]byte(line)); err != nil {
		t.Fatal(err)
	}
	read := e
	CleanStrings(&read)
	want, got := read.AppendJSON(nil), e.AppendJSON(nil)
	if string(want) != string(got) || notClean(string(got)) {
		t.Errorf("read as %s", got)
	}
	if strings.Count(string(got), "evil") != 22 {
		t.Errorf("%d of 22 strings arrived: %s", strings.Count(string(got), "evil"), got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Add("a chef")
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text)
		if notClean(got) || Clean(got) != got {
			t.Errorf("Clean(%q) = %q", text, got)
		}
		if !notClean(text) && !strings.ContainsAny(text, "\t\n\r") && got != text {
			t.Errorf("Clean(%q) = %q, want it unchanged", text, got)
		}
	})
}
