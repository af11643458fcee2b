package picture

import (
	"bytes"
	"testing"
)

func TestNextToken(t *testing.T) {
	cases := []struct {
		in   string
		kind tokenKind
		n    int // bytes of the token; 0 when more must come
	}{
		{"abc\x1b", tokenText, 3},
		{"日本", tokenText, 6},
		{"a日"[:3], tokenText, 1},
		{"日"[:2], tokenText, 0},
		{"\xff\xfe", tokenText, 2},
		{"\r\n", tokenControl, 1},
		{"\x1b", tokenText, 0},
		{"\x1b[", tokenText, 0},
		{"\x1b[1;2", tokenText, 0},
		{"\x1b[1;2Hx", tokenCSI, 6},
		{"\x1b[?25l", tokenCSI, 6},
		{"\x1b[?2026$p", tokenCSI, 9},
		{"\x1b[1\nH", tokenBroken, 3},
		{"\x1b7x", tokenEscape, 2},
		{"\x1b(B", tokenEscape, 3},
		{"\x1b\x1b[H", tokenBroken, 1},
		{"\x1b]0;title\x07x", tokenString, 10},
		{"\x1b]0;title\x1b\\x", tokenString, 11},
		{"\x1bPq#0~\x07~\x1b\\", tokenString, 10}, // BEL ends only OSC
		{"\x1bPq#0~\x1b", tokenText, 0},
		{"\x1bPq#0~\x1b[H", tokenBroken, 6},
		{"\x1b_Gi=1\x18x", tokenBroken, 7},
	}
	for _, c := range cases {
		tok, ok := nextToken([]byte(c.in))
		if ok != (c.n > 0) || ok && (tok.kind != c.kind || len(tok.raw) != c.n) {
			t.Errorf("%q: kind %d, %q, %v; want kind %d, %d bytes", c.in, tok.kind, tok.raw, ok, c.kind, c.n)
		}
	}
}

func TestTokenParams(t *testing.T) {
	tok, _ := nextToken([]byte("\x1b[12;;0;99999999;4:3m"))
	for i, want := range []int{12, 7, 7, 65535, 4, 7} {
		if got := tok.param(i, 7); got != want {
			t.Errorf("parameter %d: %d, want %d", i, got, want)
		}
	}
}

// FuzzTokens cuts any bytes into tokens: nothing may get lost, and it must not matter where writes are cut.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("\x1b[?1049h\x1b[2J\x1b[1;31mé日\x1b]8;;http://x\x07y\x1b\\\x1bPq\"1;1;2;2#0~~\x1b\\"), 3)
	f.Add([]byte("\x1b\x1b[\x1b_\x1b\x18\xf4\x80\x80"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		tokens := func(parts ...[]byte) (all []byte, kinds []byte) {
			var held []byte
			for _, p := range parts {
				held = append(held, p...)
				for {
					tok, ok := nextToken(held)
					if !ok {
						break
					}
					all = append(all, tok.raw...)
					if len(kinds) == 0 || tok.kind != tokenText || kinds[len(kinds)-1] != byte(tokenText) {
						kinds = append(kinds, byte(tok.kind)) // text may come in pieces
					}
					held = held[len(tok.raw):]
				}
			}
			return append(all, held...), kinds
		}
		whole, kinds := tokens(b)
		if !bytes.Equal(whole, b) {
			t.Fatalf("%q became %q", b, whole)
		}
		cut = min(max(cut, 0), len(b))
		if _, cutKinds := tokens(b[:cut], b[cut:]); !bytes.Equal(kinds, cutKinds) {
			t.Fatalf("%q: kinds %v, cut at %d %v", b, kinds, cut, cutKinds)
		}
	})
}
