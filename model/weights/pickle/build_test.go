package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"testing"
)

// stream writes pickles of protocol 2, so that no test needs a pickle file.
type stream struct{ bytes.Buffer }

func pickled(parts ...any) []byte {
	s := &stream{}
	s.WriteString("\x80\x02")
	for _, p := range parts {
		s.add(p)
	}
	s.WriteByte('.')
	return s.Bytes()
}

// op is an instruction as it stands.
type op string

// call is a function with arguments.
type call struct {
	global string // "torch._utils _rebuild_tensor_v2"
	args   []any
}

// persistent is an id.
type persistent []any

// pairs is a dict.
type pairs []any

func (s *stream) add(v any) {
	switch v := v.(type) {
	case op:
		s.WriteString(string(v))
	case nil:
		s.WriteByte('N')
	case bool:
		s.WriteByte(map[bool]byte{true: 0x88, false: 0x89}[v])
	case int:
		s.WriteByte('J')
		_ = binary.Write(s, binary.LittleEndian, int32(v))
	case int64:
		s.WriteString("\x8a\x08")
		_ = binary.Write(s, binary.LittleEndian, v)
	case string:
		s.WriteByte('X')
		_ = binary.Write(s, binary.LittleEndian, uint32(len(v)))
		s.WriteString(v)
	case []byte:
		s.WriteByte('B')
		_ = binary.Write(s, binary.LittleEndian, uint32(len(v)))
		s.Write(v)
	case global:
		module, name, _ := bytes.Cut([]byte(v), []byte(" "))
		s.WriteString("c" + string(module) + "\n" + string(name) + "\n")
	case tuple:
		s.WriteByte('(')
		for _, item := range v {
			s.add(item)
		}
		s.WriteByte('t')
	case call:
		s.add(global(v.global))
		s.add(tuple(v.args))
		s.WriteByte('R')
	case persistent:
		s.add(tuple(v))
		s.WriteByte('Q')
	case pairs:
		s.WriteString("}(")
		for _, item := range v {
			s.add(item)
		}
		s.WriteByte('u')
	default:
		panic("cannot pickle this")
	}
}

// torchTensor is a float32 tensor of storage 0.
func torchTensor(elements int, offset int, shape, stride tuple) call {
	id := persistent{"storage", global("torch FloatStorage"), "0", "cpu", elements}
	return call{"torch._utils _rebuild_tensor_v2", []any{id, offset, shape, stride, false, call{"collections OrderedDict", nil}}}
}

// zipped is a file of torch.save with the given pickle and storages.
func zipped(t testing.TB, pkl []byte, storages map[string][]byte, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("archive/data.pkl", pkl)
	for key, data := range storages {
		put("archive/data/"+key, data)
	}
	for i := 0; i < len(more); i += 2 {
		put("archive/"+more[i], []byte(more[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// legacy is a file of torch.save before 1.6.
func legacy(facts, pkl []byte, keys []byte, tail []byte) []byte {
	magic := append(append([]byte{}, legacyMagic2...), '.')
	return bytes.Join([][]byte{magic, pickled(1001), facts, pkl, keys, tail}, nil)
}
