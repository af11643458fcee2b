package weights

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrayPickle is a numpy array of float32, pickled with protocol 3, which bare gives no frame of its own.
func arrayPickle(bare bool, values ...float32) []byte {
	var data []byte
	for _, v := range values {
		data = append(data, floatTensor("", nil, v).Bytes...)
	}
	body := "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR" +
		"(K\x01K" + string([]byte{byte(len(values))}) + "\x85cnumpy\ndtype\n(X\x02\x00\x00\x00f4K\x00K\x01tR" +
		"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B" +
		string(binary.LittleEndian.AppendUint32(nil, uint32(len(data)))) + string(data) + "tb"
	if bare {
		return []byte(body)
	}
	return []byte("\x80\x03" + body + ".")
}

func TestConvertPickle(t *testing.T) {
	for name, c := range map[string]struct {
		data  []byte
		dtype DType
		want  string
	}{
		"prompts.p": {arrayPickle(false, 1, 2, 3), "", "prompts F32 [3] [1 2 3]"},
		"half.p":    {arrayPickle(false, 1, 2), F16, "half F16 [2] [1 2]"},
		"rows.p":    {slices.Concat([]byte("\x80\x03]("), arrayPickle(true, 1, 2), arrayPickle(true, 3, 4), []byte("e.")), "", "rows F32 [2,2] [1 2 3 4]"},
		"named.ckpt": {
			slices.Concat([]byte("\x80\x03}(X\x01\x00\x00\x00a"), arrayPickle(true, 5), []byte("X\x01\x00\x00\x00nK\x07u.")), "",
			"a F32 [1] [5]",
		},
	} {
		from := writeFile(t, name, c.data)
		to := filepath.Join(t.TempDir(), "out.safetensors")
		if !IsPickle(from) || IsPickle(to) {
			t.Errorf("%s: IsPickle", name)
		}
		summary, err := ConvertPickle(from, to, c.dtype)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f := open(t, to)
		values, err := f.Tensors[0].Float32s()
		got := fmt.Sprint(f.Tensors[0].Name, " ", f.Tensors[0].DType, " ", shapeString(f.Tensors[0].Shape), " ", values)
		if err != nil || got != c.want || summary.Tensors != 1 || summary.Others != map[bool]int{true: 1}[name == "named.ckpt"] {
			t.Errorf("%s: %s, %+v, %v, want %s", name, got, summary, err, c.want)
		}
		if _, err := ConvertPickle(from, to, ""); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("a second time: %v", err)
		}
	}
	from := writeFile(t, "evil.pt", []byte("\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR."))
	if _, err := ConvertPickle(from, filepath.Join(t.TempDir(), "x.safetensors"), ""); err == nil || !strings.Contains(err.Error(), "asks Python for posix.system") {
		t.Errorf("os.system: %v", err)
	}
}
