package pickle

import (
	"errors"
	"fmt"
	"strings"
)

// storageTypes are the element types of torch's storages and, with a small letter, of its dtypes, spelled as
// safetensors spells them.
var storageTypes = map[global]string{
	"torch FloatStorage": "F32", "torch DoubleStorage": "F64", "torch HalfStorage": "F16", "torch BFloat16Storage": "BF16",
	"torch LongStorage": "I64", "torch IntStorage": "I32", "torch ShortStorage": "I16", "torch CharStorage": "I8",
	"torch ByteStorage": "U8", "torch BoolStorage": "BOOL", "torch.storage UntypedStorage": "U8",
	"torch ComplexFloatStorage": "C64",
}

var torchTypes = map[global]string{
	"torch float32": "F32", "torch float64": "F64", "torch float16": "F16", "torch bfloat16": "BF16",
	"torch int64": "I64", "torch int32": "I32", "torch int16": "I16", "torch int8": "I8", "torch uint8": "U8", "torch bool": "BOOL",
	"torch float8_e4m3fn": "F8_E4M3", "torch float8_e5m2": "F8_E5M2", "torch uint16": "U16", "torch uint32": "U32", "torch uint64": "U64",
	"torch complex64": "C64",
}

// widths are the bytes of an element.
var widths = map[string]int64{
	"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
	"F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8, "C64": 8,
}

// calls are the functions and classes that a pickle may call, as what they make of their arguments. This list
// and the two above are all the globals that are known; no code stands behind any name.
var calls = map[global]func(args tuple) (any, error){
	"collections OrderedDict":                    newOrderedDict,
	"torch._utils _rebuild_tensor":               rebuildTensor,
	"torch._utils _rebuild_tensor_v2":            rebuildTensor,
	"torch._utils _rebuild_tensor_v3":            rebuildTyped,
	"torch._utils _rebuild_parameter":            rebuildParameter,
	"torch._utils _rebuild_parameter_with_state": rebuildParameter,
	"torch Size":                          torchSize,
	"torch device":                        inert("torch.device"),
	"numpy.core.multiarray _reconstruct":  newArray,
	"numpy._core.multiarray _reconstruct": newArray,
	"numpy.core.multiarray scalar":        inert("a numpy scalar"),
	"numpy._core.multiarray scalar":       inert("a numpy scalar"),
	"numpy.core.numeric _frombuffer":      arrayOfBuffer,
	"numpy._core.numeric _frombuffer":     arrayOfBuffer,
	"numpy dtype":                         newArrayType,
	"_codecs encode":                      encodeLatin1,
	"__builtin__ bytearray":               firstBytes,
	"builtins bytearray":                  firstBytes,
	"torch.serialization _get_layout":     inert("a layout"),
}

// names are globals that may stand as a value, and do nothing: keys of what training programs note.
var names = []string{"pytorch_lightning.callbacks.", "lightning.pytorch.callbacks."}

func inert(what string) func(tuple) (any, error) {
	return func(tuple) (any, error) { return opaque{what}, nil }
}

// pushGlobal pushes a name that is known, and refuses every other.
func (m *machine) pushGlobal(module, name string) error {
	g := global(module + " " + name)
	known := storageTypes[g] != "" || torchTypes[g] != "" || calls[g] != nil || g == "numpy ndarray" || g == "torch.nn.parameter Parameter"
	for _, prefix := range names {
		known = known || strings.HasPrefix(module, prefix)
	}
	if !known {
		return fmt.Errorf("refused: it asks Python for %s.%s, which no checkpoint of plain tensors needs", shortened(module), shortened(name))
	}
	return errors.Join(m.cost(len(g)), m.push(g))
}

// shortened is a name from a file, fit to be printed.
func shortened(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, s)
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return s
}

// reduce calls the function below the arguments.
func (m *machine) reduce() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	args, ok := v.(tuple)
	if !ok {
		return errors.New("broken: arguments that are no tuple")
	}
	f, err := m.pop()
	if err != nil {
		return err
	}
	name, ok := f.(global)
	if !ok {
		return errors.New("refused: it calls what is no function")
	}
	call := calls[name]
	if call == nil {
		return fmt.Errorf("refused: it calls %s", shortened(strings.ReplaceAll(string(name), " ", ".")))
	}
	made, err := call(args)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.ReplaceAll(string(name), " ", "."), err)
	}
	return m.push(made)
}

// build gives an object its state.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	switch object := v.(type) {
	case *array:
		return object.setState(state)
	case *arrayType:
		return object.setState(state)
	case *dict, opaque: // attributes of an OrderedDict: _metadata, versions of modules
		return nil
	case *tensor:
		return nil // attributes of a parameter
	}
	return errors.New("refused: it sets the state of an object of an unknown kind")
}

// persistent turns the id of a storage into the storage.
func (m *machine) persistent() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	id, ok := v.(tuple)
	if !ok || m.storage == nil {
		return errors.New("broken: refers to data outside of the file")
	}
	s, err := m.storage(id)
	if err != nil {
		return err
	}
	return m.push(s)
}

func newOrderedDict(args tuple) (any, error) {
	d := newDict()
	if len(args) == 0 {
		return d, nil
	}
	pairs, ok := args[0].(*list) // as Python 2 and protocol 0 write it
	if !ok || len(args) > 1 {
		return nil, errors.New("broken arguments")
	}
	for _, p := range pairs.items {
		switch pair := p.(type) {
		case *list:
			if len(pair.items) != 2 {
				return nil, errors.New("broken entries")
			}
			d.set(pair.items[0], pair.items[1])
		case tuple:
			if len(pair) != 2 {
				return nil, errors.New("broken entries")
			}
			d.set(pair[0], pair[1])
		default:
			return nil, errors.New("broken entries")
		}
	}
	return d, nil
}

func torchSize(args tuple) (any, error) {
	if len(args) == 1 {
		if sizes, ok := args[0].(tuple); ok {
			return sizes, nil
		}
	}
	return nil, errors.New("broken arguments")
}

// rebuildTensor is (storage, offset, size, stride, requires_grad, hooks, metadata); the last may be absent.
func rebuildTensor(args tuple) (any, error) {
	if len(args) < 4 || len(args) > 7 {
		return nil, errors.New("broken arguments")
	}
	s, ok := args[0].(*storage)
	if !ok {
		return nil, errors.New("a tensor without a storage")
	}
	return view(s, s.dtype, args[1:4], args[min(6, len(args)):])
}

// rebuildTyped is rebuildTensor of an untyped storage, with the dtype before the metadata.
func rebuildTyped(args tuple) (any, error) {
	if len(args) < 7 || len(args) > 8 {
		return nil, errors.New("broken arguments")
	}
	s, isStorage := args[0].(*storage)
	g, isName := args[6].(global)
	if !isStorage || !isName || torchTypes[g] == "" {
		return nil, errors.New("a tensor without a storage or of an unknown element type")
	}
	return view(s, torchTypes[g], args[1:4], args[7:])
}

// view is a tensor of (offset, size, stride); metadata, if any, must be empty.
func view(s *storage, dtype string, place, metadata tuple) (any, error) {
	if len(metadata) > 0 && !isEmpty(metadata[0]) {
		return nil, errors.New("a view that is conjugated or negated, which is not read")
	}
	t := &tensor{storage: s, dtype: dtype}
	var err error
	if t.offset, err = integer(place[0]); err == nil {
		if t.shape, err = integers(place[1]); err == nil {
			t.stride, err = integers(place[2])
		}
	}
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

func isEmpty(v any) bool {
	d, ok := v.(*dict)
	return v == nil || ok && len(d.keys) == 0
}

func rebuildParameter(args tuple) (any, error) {
	if len(args) > 0 {
		if t, ok := args[0].(*tensor); ok {
			return t, nil
		}
	}
	return nil, errors.New("a parameter without a tensor")
}

func integer(v any) (int64, error) {
	if n, ok := v.(int64); ok && n >= 0 {
		return n, nil
	}
	return 0, errors.New("broken: want a number of 0 or more")
}

const maxDims = 64

func integers(v any) ([]int64, error) {
	items, ok := v.(tuple)
	if !ok || len(items) > maxDims {
		return nil, fmt.Errorf("broken: want a tuple of at most %d numbers", maxDims)
	}
	numbers := make([]int64, len(items))
	for i, item := range items {
		var err error
		if numbers[i], err = integer(item); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// encodeLatin1 is how Python 3 writes bytes in protocol 2: as text whose characters are the bytes.
func encodeLatin1(args tuple) (any, error) {
	if len(args) != 2 || args[1] != "latin1" {
		return nil, errors.New("want latin1")
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("want text")
	}
	raw := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, errors.New("a character that is no byte")
		}
		raw = append(raw, byte(r))
	}
	return raw, nil
}

func firstBytes(args tuple) (any, error) {
	if len(args) == 0 {
		return []byte(nil), nil
	}
	if b, ok := args[0].([]byte); ok {
		return b, nil
	}
	return nil, errors.New("want bytes")
}
