package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits of one stream. A checkpoint of SDXL needs some 150,000 values; what goes beyond these is no checkpoint.
const (
	maxValues = 1 << 19 // values made, of some 64 bytes each
	maxText   = 32 << 20
	maxStack  = 1 << 16
	maxMemo   = 1 << 19
)

// The values that the machine makes: nil, bool, int64, float64, string, []byte, and these.
type (
	tuple  []any
	list   struct{ items []any }
	global string // "torch FloatStorage": a name, never looked up
	mark   struct{}
	opaque struct{ what string } // an object whose content does not matter

	dict struct {
		keys, values []any
		at           map[string]int // of string keys
	}
)

// machine runs one pickle: a list of instructions for a stack. Nothing of Python is ever called: the few
// globals that tensors need have their meaning in globals.go, and everything else ends the run.
type machine struct {
	data    []byte
	at      int
	stack   []any
	memo    map[int64]any
	values  int
	text    int
	storage func(id tuple) (*storage, error) // of a persistent id
}

// run executes instructions up to STOP and returns what is on the stack then.
func (m *machine) run() (any, error) {
	m.memo = map[int64]any{}
	for {
		start := m.at
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			return m.pop()
		}
		step := instructions[op[0]]
		if step == nil {
			if name := refusedOpcodes[op[0]]; name != "" {
				return nil, fmt.Errorf("instruction %s at byte %d is refused: no checkpoint needs it", name, start)
			}
			return nil, fmt.Errorf("no pickle: byte %#02x at %d is not an instruction", op[0], start)
		}
		if err := step(m); err != nil {
			return nil, err
		}
		if len(m.stack) > maxStack {
			return nil, fmt.Errorf("more than %d values on the stack", maxStack)
		}
	}
}

var errTruncated = errors.New("truncated")

// take is the next n bytes of the stream, without copying.
func (m *machine) take(n int) ([]byte, error) {
	if n < 0 || n > len(m.data)-m.at {
		return nil, errTruncated
	}
	b := m.data[m.at : m.at+n : m.at+n]
	m.at += n
	return b, nil
}

// uint reads a little-endian number of width bytes.
func (m *machine) uint(width int) (uint64, error) {
	b, err := m.take(width)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted reads bytes whose number stands before them in width bytes.
func (m *machine) counted(width int) ([]byte, error) {
	n, err := m.uint(width)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(m.data)) {
		return nil, errTruncated
	}
	return m.take(int(n))
}

// line reads up to a line feed.
func (m *machine) line() (string, error) {
	for i := m.at; i < len(m.data) && i-m.at <= 1<<16; i++ {
		if m.data[i] == '\n' {
			text := string(m.data[m.at:i])
			m.at = i + 1
			return strings.TrimSuffix(text, "\r"), m.cost(len(text))
		}
	}
	return "", errTruncated
}

// cost counts bytes of text that are kept.
func (m *machine) cost(n int) error {
	if m.text += n; m.text > maxText {
		return fmt.Errorf("more than %d bytes of text", maxText)
	}
	return nil
}

// made counts values; a bomb of them ends the run.
func (m *machine) made(n int) error {
	if m.values += n; m.values > maxValues {
		return fmt.Errorf("more than %d values", maxValues)
	}
	return nil
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return m.made(1)
}

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, errors.New("broken: takes a value from an empty stack")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if _, ok := v.(mark); ok {
		return nil, errors.New("broken: a mark where a value should be")
	}
	return v, nil
}

// sinceMark takes the values above the last mark, and the mark.
func (m *machine) sinceMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			items := append([]any(nil), m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return items, m.made(len(items))
		}
	}
	return nil, errors.New("broken: no mark on the stack")
}

func (m *machine) top() (any, error) {
	if len(m.stack) == 0 {
		return nil, errors.New("broken: empty stack")
	}
	return m.stack[len(m.stack)-1], nil
}

// remember puts the top of the stack into the memo.
func (m *machine) remember(at int64) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if _, ok := v.(mark); ok || at < 0 || len(m.memo) >= maxMemo {
		return errors.New("broken: memo")
	}
	m.memo[at] = v
	return m.made(1)
}

func (m *machine) recall(at int64) error {
	v, ok := m.memo[at]
	if !ok {
		return fmt.Errorf("broken: memo %d is empty", at)
	}
	return m.push(v)
}

const opStop = '.'

// refusedOpcodes are those of the language that make objects of any class.
var refusedOpcodes = map[byte]string{
	'i': "INST", 'o': "OBJ", 'P': "PERSID", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x92: "NEWOBJ_EX",
	0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

// instructions are what each opcode does, of protocols 0 to 5 (Python's pickletools lists them).
var instructions = [256]func(*machine) error{
	0x80: func(m *machine) error { // PROTO
		v, err := m.uint(1)
		if err == nil && v > 5 {
			err = fmt.Errorf("pickle protocol %d, want at most 5", v)
		}
		return err
	},
	0x95: func(m *machine) error { _, err := m.take(8); return err }, // FRAME
	'(':  func(m *machine) error { return m.push(mark{}) },
	'0':  func(m *machine) error { _, err := m.pop(); return err },
	'1':  func(m *machine) error { _, err := m.sinceMark(); return err },
	'2': func(m *machine) error { // DUP
		v, err := m.top()
		if err != nil {
			return err
		}
		return m.push(v)
	},
	'N':  func(m *machine) error { return m.push(nil) },
	0x88: func(m *machine) error { return m.push(true) },
	0x89: func(m *machine) error { return m.push(false) },
	'I':  textInt, 'L': textInt, 'F': textFloat,
	'J': func(m *machine) error { // BININT
		v, err := m.uint(4)
		return errors.Join(err, m.push(int64(int32(v))))
	},
	'K':  func(m *machine) error { v, err := m.uint(1); return errors.Join(err, m.push(int64(v))) },
	'M':  func(m *machine) error { v, err := m.uint(2); return errors.Join(err, m.push(int64(v))) },
	0x8a: func(m *machine) error { b, err := m.counted(1); return errors.Join(err, m.pushLong(b)) },
	0x8b: func(m *machine) error { b, err := m.counted(4); return errors.Join(err, m.pushLong(b)) },
	'G': func(m *machine) error { // BINFLOAT
		b, err := m.take(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	},
	'S': quoted, 'V': func(m *machine) error { s, err := m.line(); return errors.Join(err, m.push(s)) },
	'U': binaryText(1), 'T': binaryText(4), 'X': binaryText(4), 0x8c: binaryText(1), 0x8d: binaryText(8),
	'B': binaryBytes(4), 'C': binaryBytes(1), 0x8e: binaryBytes(8), 0x96: binaryBytes(8),
	']':  func(m *machine) error { return m.push(&list{}) },
	'l':  func(m *machine) error { items, err := m.sinceMark(); return errors.Join(err, m.push(&list{items})) },
	'a':  func(m *machine) error { v, err := m.pop(); return m.appendTo([]any{v}, err) },
	'e':  func(m *machine) error { items, err := m.sinceMark(); return m.appendTo(items, err) },
	')':  func(m *machine) error { return m.push(tuple{}) },
	't':  func(m *machine) error { items, err := m.sinceMark(); return errors.Join(err, m.push(tuple(items))) },
	0x85: tupleOf(1), 0x86: tupleOf(2), 0x87: tupleOf(3),
	'}': func(m *machine) error { return m.push(newDict()) },
	'd': func(m *machine) error { // DICT
		items, err := m.sinceMark()
		if err == nil {
			err = m.push(newDict())
		}
		return m.setIn(items, err)
	},
	's': func(m *machine) error { // SETITEM
		value, err := m.pop()
		if err != nil {
			return err
		}
		key, err := m.pop()
		return m.setIn([]any{key, value}, err)
	},
	'u':  func(m *machine) error { items, err := m.sinceMark(); return m.setIn(items, err) },
	0x8f: func(m *machine) error { return m.push(&list{}) },                                     // EMPTY_SET
	0x90: func(m *machine) error { items, err := m.sinceMark(); return m.appendTo(items, err) }, // ADDITEMS
	0x91: func(m *machine) error { items, err := m.sinceMark(); return errors.Join(err, m.push(tuple(items))) },
	'p':  func(m *machine) error { at, err := m.lineInt(); return errors.Join(err, m.remember(at)) },
	'q':  func(m *machine) error { at, err := m.uint(1); return errors.Join(err, m.remember(int64(at))) },
	'r':  func(m *machine) error { at, err := m.uint(4); return errors.Join(err, m.remember(int64(at))) },
	0x94: func(m *machine) error { return m.remember(int64(len(m.memo))) },
	'g':  func(m *machine) error { at, err := m.lineInt(); return errors.Join(err, m.recall(at)) },
	'h':  func(m *machine) error { at, err := m.uint(1); return errors.Join(err, m.recall(int64(at))) },
	'j':  func(m *machine) error { at, err := m.uint(4); return errors.Join(err, m.recall(int64(at))) },
	'c': func(m *machine) error { // GLOBAL
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		if err != nil {
			return err
		}
		return m.pushGlobal(module, name)
	},
	0x93: func(m *machine) error { // STACK_GLOBAL
		name, err := m.pop()
		if err != nil {
			return err
		}
		module, err := m.pop()
		if err != nil {
			return err
		}
		a, ok1 := module.(string)
		b, ok2 := name.(string)
		if !ok1 || !ok2 {
			return errors.New("broken: a global without a name")
		}
		return m.pushGlobal(a, b)
	},
	'Q':  func(m *machine) error { return m.persistent() },
	'R':  func(m *machine) error { return m.reduce() },
	0x81: func(m *machine) error { return m.reduce() }, // NEWOBJ: the same for the classes that are known
	'b':  func(m *machine) error { return m.build() },
}

func textInt(m *machine) error {
	text, err := m.line()
	switch {
	case err != nil:
		return err
	case text == "00":
		return m.push(false)
	case text == "01":
		return m.push(true)
	}
	v, err := strconv.ParseInt(strings.TrimSuffix(text, "L"), 10, 64)
	if err != nil {
		return fmt.Errorf("broken: number %.40q", text)
	}
	return m.push(v)
}

func textFloat(m *machine) error {
	text, err := m.line()
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("broken: number %.40q", text)
	}
	return m.push(v)
}

func (m *machine) lineInt() (int64, error) {
	text, err := m.line()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("broken: memo %.40q", text)
	}
	return v, nil
}

// pushLong pushes a little-endian integer in two's complement. Those beyond 64 bits matter to nobody but as
// the magic number of a legacy file.
func (m *machine) pushLong(b []byte) error {
	if len(b) > 8 {
		return m.push(opaque{fmt.Sprintf("%x", b[:min(len(b), 16)])})
	}
	var wide [8]byte
	if len(b) > 0 && b[len(b)-1]&0x80 != 0 {
		wide = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	copy(wide[:], b)
	return m.push(int64(binary.LittleEndian.Uint64(wide[:])))
}

// quoted is protocol 0's text, as Python 2 prints it.
func quoted(m *machine) error {
	text, err := m.line()
	if err != nil {
		return err
	}
	if len(text) < 2 || text[0] != text[len(text)-1] || text[0] != '\'' && text[0] != '"' || strings.Contains(text, `\`) {
		return errors.New("broken: a quoted text, or one with escapes")
	}
	return m.push(text[1 : len(text)-1])
}

func binaryText(width int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.counted(width)
		if err != nil {
			return err
		}
		return errors.Join(m.cost(len(b)), m.push(string(b)))
	}
}

func binaryBytes(width int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.counted(width)
		return errors.Join(err, m.push(b))
	}
}

func tupleOf(n int) func(*machine) error {
	return func(m *machine) error {
		if len(m.stack) < n {
			return errors.New("broken: a tuple of too few values")
		}
		items := make(tuple, n)
		for i := n - 1; i >= 0; i-- {
			v, err := m.pop()
			if err != nil {
				return err
			}
			items[i] = v
		}
		return errors.Join(m.made(n), m.push(items))
	}
}

// appendTo adds items to the list below them.
func (m *machine) appendTo(items []any, err error) error {
	if err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	l, ok := v.(*list)
	if !ok {
		return errors.New("broken: items for what is no list")
	}
	l.items = append(l.items, items...)
	return m.made(len(items))
}

// setIn adds keys and values to the dict below them.
func (m *machine) setIn(items []any, err error) error {
	if err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	d, ok := v.(*dict)
	if !ok {
		return errors.New("broken: entries for what is no dict")
	}
	if len(items)%2 != 0 {
		return errors.New("broken: a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		d.set(items[i], items[i+1])
	}
	return m.made(len(items))
}

func newDict() *dict { return &dict{} }

// set adds an entry, or replaces that of a text that is there.
func (d *dict) set(key, value any) {
	text, isText := key.(string)
	if i, ok := d.at[text]; isText && ok {
		d.values[i] = value
		return
	}
	if isText {
		if d.at == nil {
			d.at = map[string]int{}
		}
		d.at[text] = len(d.keys)
	}
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// find is the value of a text key, nil if there is none.
func (d *dict) find(key string) any {
	if i, ok := d.at[key]; ok {
		return d.values[i]
	}
	return nil
}
