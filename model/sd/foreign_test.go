package sd

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/weights"
)

// rewrite replaces the weights of a folder's UNet by what change makes of each tensor.
func rewrite(t *testing.T, dir string, change func(weights.Entry) weights.Entry) {
	t.Helper()
	f, err := weights.OpenDir(filepath.Join(dir, "unet"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []weights.Entry
	for _, tensor := range f.Tensors {
		entries = append(entries, change(tensor.Entry()))
	}
	if err := weights.Write(f.Path, nil, entries); err != nil {
		t.Fatal(err)
	}
}

func tinyCopy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sd1")
	if err := os.CopyFS(dir, os.DirFS("testdata/ref/sd1")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// filled has every element as the bytes of one.
func filled(e weights.Entry, dtype weights.DType, one []byte) weights.Entry {
	n := int64(1)
	for _, s := range e.Shape {
		n *= s
	}
	e.DType, e.Data = dtype, weights.FromBytes(slices.Repeat(one, int(n)))
	return e
}

// Weights that would draw noise without a word are one line each.
func TestLoadRefusesWeights(t *testing.T) {
	for name, c := range map[string]struct {
		key, want string
		change    func(weights.Entry) weights.Entry
	}{
		"nan": {"conv_in.bias", "conv_in.bias: holds NaN or infinity", func(e weights.Entry) weights.Entry {
			return filled(e, weights.F32, binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.NaN()))))
		}},
		"inf": {"conv_in.bias", "conv_in.bias: holds NaN or infinity", func(e weights.Entry) weights.Entry {
			return filled(e, weights.F32, binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.Inf(-1)))))
		}},
		"int8": {"conv_in.weight", "conv_in.weight: element type I8 is not supported, want a float type", func(e weights.Entry) weights.Entry {
			return filled(e, weights.I8, []byte{1})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tinyCopy(t)
			rewrite(t, dir, func(e weights.Entry) weights.Entry {
				if e.Name == c.key {
					return c.change(e)
				}
				return e
			})
			_, err := Load(dir, backbone.LoadOptions{Device: "cpu"})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// A folder whose weights are 8-bit floats draws what the same numbers in float32 draw.
func TestLoadEightBitFloats(t *testing.T) {
	eight, wide := tinyCopy(t), tinyCopy(t)
	value := map[weights.DType][]byte{weights.F8E4M3: {0x10}, weights.F32: binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.03125))}
	for dir, dtype := range map[string]weights.DType{eight: weights.F8E4M3, wide: weights.F32} {
		rewrite(t, dir, func(e weights.Entry) weights.Entry {
			if strings.HasSuffix(e.Name, "attn1.to_q.weight") {
				return filled(e, dtype, value[dtype])
			}
			return e
		})
	}
	if !slices.Equal(draw(t, eight, backbone.LoadOptions{}), draw(t, wide, backbone.LoadOptions{})) {
		t.Error("another image")
	}
}

func TestVariantThatIsNowhere(t *testing.T) {
	dir := tinyCopy(t)
	_, err := Load(dir, backbone.LoadOptions{Device: "cpu", Variant: "fp8"})
	if want := dir + `: no files of variant "fp8"; there are `; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A folder whose parts are links to folders converts as a whole.
func TestConvertLinkedParts(t *testing.T) {
	from, err := filepath.Abs("testdata/ref/sd1")
	if err != nil {
		t.Fatal(err)
	}
	links, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(links, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := Convert(links, out, ConvertOptions{ShardBytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(draw(t, out, backbone.LoadOptions{}), draw(t, from, backbone.LoadOptions{})) {
		t.Error("another image")
	}
}

// A rewritten LoRA keeps what its header says about training, has the element type asked for, and never
// replaces a file.
func TestConvertLoRAKeepsTheHeader(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "b.safetensors")
	f, err := weights.Open("testdata/ref/sd1_lora.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lora, err := weights.ReadLoRA(f)
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]string{"ss_tag_frequency": "{}", "modelspec.title": "x", "sshs_model_hash": "1", "other": "2"}
	if err := weights.WriteLoRA(from, weights.Kohya, lora.Modules, header); err != nil {
		t.Fatal(err)
	}
	if err := backbone.ConvertLoRA(from, to, weights.PEFT, weights.F16); err != nil {
		t.Fatal(err)
	}
	got, err := weights.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for key, want := range map[string]string{"ss_tag_frequency": "{}", "modelspec.title": "x", "sshs_model_hash": "", "other": ""} {
		if got.Metadata[key] != want {
			t.Errorf("%s is %q, want %q", key, got.Metadata[key], want)
		}
	}
	for _, tensor := range got.Tensors {
		if tensor.DType != weights.F16 {
			t.Errorf("%s is %s, want F16", tensor.Key, tensor.DType)
		}
	}
	for _, target := range []string{from, to} {
		if err := backbone.ConvertLoRA(from, target, weights.PEFT, ""); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("onto %s: %v", target, err)
		}
	}
}
