package picture

import (
	"bytes"
	"unicode/utf8"
)

// tokenKind says how a terminal reads a run of bytes.
type tokenKind uint8

const (
	tokenText    tokenKind = iota // printable UTF-8
	tokenControl                  // one C0 byte or DEL
	tokenEscape                   // ESC, intermediates, final
	tokenCSI                      // ESC [ ... final
	tokenString                   // OSC, DCS, APC, PM or SOS with its terminator
	tokenBroken                   // a sequence cut short by a byte that cannot be in it
)

// token is one step of a terminal's input.
type token struct {
	kind   tokenKind
	raw    []byte
	prefix byte   // CSI: one of <=>? or 0
	inter  byte   // last intermediate byte or 0
	final  byte   // CSI, escape: the final byte; string: the introducer's second byte
	params []byte // CSI: parameter bytes without the prefix
}

// maxHeld bounds a sequence whose end has not come yet, in bytes. Longer ones go out as they are.
const maxHeld = 1 << 20

// nextToken cuts the first token off b. It returns false when b ends inside a sequence or a rune, so
// that the caller can wait for the rest.
func nextToken(b []byte) (token, bool) {
	if len(b) == 0 {
		return token{}, false
	}
	switch c := b[0]; {
	case c == 0x1b:
		return escapeToken(b)
	case c < 0x20 || c == 0x7f:
		return token{kind: tokenControl, raw: b[:1], final: c}, true
	}
	n := 0
	for n < len(b) && b[n] >= 0x20 && b[n] != 0x7f {
		n++
	}
	if n == len(b) {
		n = wholeRunes(b)
	}
	return token{kind: tokenText, raw: b[:n]}, n > 0
}

// wholeRunes is the length of b without a rune that is cut off at its end.
func wholeRunes(b []byte) int {
	for back := 1; back <= utf8.UTFMax-1 && back <= len(b); back++ {
		c := b[len(b)-back]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-back:]) {
				return len(b) - back
			}
			break
		}
	}
	return len(b)
}

func escapeToken(b []byte) (token, bool) {
	if len(b) < 2 {
		return token{}, false
	}
	switch b[1] {
	case '[':
		return csiToken(b)
	case ']', 'P', 'X', '^', '_':
		return stringToken(b)
	}
	t := token{kind: tokenEscape}
	i := 1
	for ; i < len(b) && b[i] >= 0x20 && b[i] <= 0x2f; i++ {
		t.inter = b[i]
	}
	if i == len(b) {
		return token{}, false
	}
	if b[i] < 0x30 || b[i] > 0x7e {
		return token{kind: tokenBroken, raw: b[:i]}, true
	}
	t.final, t.raw = b[i], b[:i+1]
	return t, true
}

func csiToken(b []byte) (token, bool) {
	t := token{kind: tokenCSI}
	i := 2
	if i < len(b) && b[i] >= '<' && b[i] <= '?' {
		t.prefix = b[i]
		i++
	}
	start := i
	for i < len(b) && b[i] >= 0x30 && b[i] <= 0x3f {
		i++
	}
	t.params = b[start:i]
	for ; i < len(b) && b[i] >= 0x20 && b[i] <= 0x2f; i++ {
		t.inter = b[i]
	}
	if i == len(b) {
		return token{}, false
	}
	if b[i] < 0x40 || b[i] > 0x7e {
		return token{kind: tokenBroken, raw: b[:i]}, true
	}
	t.final, t.raw = b[i], b[:i+1]
	return t, true
}

func stringToken(b []byte) (token, bool) {
	for i := 2; i < len(b); i++ {
		switch b[i] {
		case 0x18, 0x1a: // CAN, SUB
			return token{kind: tokenBroken, raw: b[:i+1]}, true
		case 0x07:
			if b[1] == ']' {
				return token{kind: tokenString, final: b[1], raw: b[:i+1]}, true
			}
		case 0x1b:
			if i+1 == len(b) {
				return token{}, false
			}
			if b[i+1] == '\\' {
				return token{kind: tokenString, final: b[1], raw: b[:i+2]}, true
			}
			return token{kind: tokenBroken, raw: b[:i]}, true
		}
	}
	return token{}, false
}

// param is the i-th CSI parameter, or def when it is missing or 0. Values are clamped to 65535 and
// sub-parameters are not looked at.
func (t token) param(i, def int) int {
	fields := bytes.SplitN(t.params, []byte{';'}, i+2)
	if i >= len(fields) {
		return def
	}
	v := 0
	for _, c := range fields[i] {
		if c < '0' || c > '9' {
			break
		}
		v = min(v*10+int(c-'0'), 0xffff)
	}
	if v == 0 {
		return def
	}
	return v
}

// body is what stands between a string token's introducer and its terminator.
func (t token) body() []byte {
	b := t.raw[2:]
	if n := len(b); n >= 2 && b[n-2] == 0x1b {
		return b[:n-2]
	}
	return b[:len(b)-1]
}
