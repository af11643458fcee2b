package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func tensorsNamed(names ...string) []Tensor {
	var tensors []Tensor
	for _, name := range names {
		tensors = append(tensors, Tensor{Name: name, Key: name, DType: F32, Shape: []int64{320, 9, 3, 3}, Path: "unet.safetensors"})
	}
	return tensors
}

// A model's constructor walks down its own structure and reports at the end.
func ExampleSource() {
	f, err := Open("testdata/ref/sharded/model.safetensors.index.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	checkpoint := NewSource("model", f.Tensors)
	weight, err := checkpoint.Sub("layers.4").Tensor("weight", 4, 8)
	fmt.Println(weight.Name, weight.DType, weight.Shape, filepath.Base(weight.Path), weight.Offset, err)
	fmt.Println(checkpoint.Done("layers.[0-2].*"))
	// Output:
	// layers.4.weight F32 [4 8] model-00003-of-00003.safetensors 112 <nil>
	// model: no use for layers.3.weight; the model differs from its config.json, or is of another kind
}

func TestSourceTakesByPrefix(t *testing.T) {
	s := NewSource("unet.safetensors", tensorsNamed("conv_in.weight", "down.0.a", "down.0.b.c", "down.1.a"))
	down := s.Sub("down").Sub("0")
	if got := down.Names(); !slices.Equal(got, []string{"a", "b.c"}) {
		t.Errorf("names %q", got)
	}
	if down.Prefix() != "down.0" || !down.Has("b.c") || down.Has("c") {
		t.Errorf("prefix %q, has b.c %v, has c %v", down.Prefix(), down.Has("b.c"), down.Has("c"))
	}
	for _, take := range []func() (Tensor, error){
		func() (Tensor, error) { return s.Tensor("conv_in.weight", 320, 9, -1, 3) },
		func() (Tensor, error) { return down.Tensor("a") },
		func() (Tensor, error) { return down.Sub("b").Tensor("c", 320, 9, 3, 3) },
	} {
		if _, err := take(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Done("down.1.*"); err != nil {
		t.Error(err)
	}
}

func TestSourceReportsWhatDoesNotFit(t *testing.T) {
	tensors := append(tensorsNamed("conv_in.weight", "conv_in.weight", "extra.position_ids"),
		Tensor{Name: "mid.to_q.weight", Key: "mid.query.weight", Path: "unet.safetensors"})
	s := NewSource("unet.safetensors", tensors)
	want := "unet.safetensors: conv_in.weight: shape [320,9,3,3], want [320,4,*,3]"
	if _, err := s.Tensor("conv_in.weight", 320, 4, -1, 3); err == nil || err.Error() != want {
		t.Errorf("shape: %v, want %s", err, want)
	}
	if _, err := s.Sub("mid").Tensor("norm.bias", 4); err == nil || err.Error() != "unet.safetensors: mid.norm.bias: missing" {
		t.Errorf("missing: %v", err)
	}
	_, _ = s.Sub("mid").Tensor("norm.bias", 4) // asked for twice, reported once
	err := s.Done("*.position_ids")
	want = "unet.safetensors: conv_in.weight: both conv_in.weight and conv_in.weight stand for it\n" + want + "\n" +
		"unet.safetensors: missing mid.norm.bias; is it a checkpoint of this kind of model?\n" +
		"unet.safetensors: no use for mid.to_q.weight (mid.query.weight); the model differs from its config.json, or is of another kind"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestSourceListsFewOfMany(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("t%02d", i))
	}
	err := NewSource("x", tensorsNamed(names...)).Done()
	if err == nil || !strings.Contains(err.Error(), "t06, t07 and 12 more;") {
		t.Errorf("%v", err)
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ part, name, want string }{
		{"vae", "encoder.mid_block.attentions.0.query.weight", "encoder.mid_block.attentions.0.to_q.weight"},
		{"vae", "decoder.mid_block.attentions.0.proj_attn.bias", "decoder.mid_block.attentions.0.to_out.0.bias"},
		{"vae", "decoder.mid_block.attentions.0.to_out.0.bias", "decoder.mid_block.attentions.0.to_out.0.bias"},
		{"vae", "decoder.mid_block.attentions.0.group_norm.bias", "decoder.mid_block.attentions.0.group_norm.bias"},
		{"vae", "key.weight", "key.weight"},
		{"text_encoder", "encoder.layers.0.mlp.fc1.bias", "text_model.encoder.layers.0.mlp.fc1.bias"},
		{"text_encoder", "text_model.final_layer_norm.bias", "text_model.final_layer_norm.bias"},
		{"text_encoder_2", "text_projection.weight", "text_projection.weight"},
		{"unet", "encoder.x", "encoder.x"},
	} {
		renamed := Rename(tensorsNamed(c.name), Canonical(c.part))
		if renamed[0].Name != c.want || renamed[0].Key != c.name {
			t.Errorf("%s %s: name %s, key %s, want %s", c.part, c.name, renamed[0].Name, renamed[0].Key, c.want)
		}
	}
}

func TestPicklesAreRefusedWithTheCommandThatConvertsThem(t *testing.T) {
	for _, data := range []string{"PK\x03\x04rest of a zip", "\x80\x02}q\x00.rest"} {
		path := writeFile(t, "model's.bin", []byte(data))
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), "is a Python pickle; `focusnfix convert ") {
			t.Errorf("%v", err)
		}
	}
	path := writeFile(t, "diffusion_pytorch_model.bin", nil)
	if _, err := OpenDir(filepath.Dir(path), ""); err == nil || !strings.Contains(err.Error(), "Python pickle") {
		t.Errorf("folder: %v", err)
	}
}

// BenchmarkOpen4GB opens a sparse file of 4 GB with the tensor count of a UNet of
// SDXL and looks at one tensor.
func BenchmarkOpen4GB(b *testing.B) {
	var entries []Entry
	var sizes []uint64
	const count, each = 1680, 2_400_000 // bytes
	for i := range count {
		name := fmt.Sprintf("down_blocks.1.attentions.0.transformer_blocks.0.attn1.number_%d.weight", i)
		entries = append(entries, Entry{Name: name, DType: F16, Shape: []int64{each / 2 / 640, 640}})
		sizes = append(sizes, each/2/640*640*2)
	}
	head, err := encodeHeader(map[string]string{"format": "pt"}, entries, sizes)
	if err != nil {
		b.Fatal(err)
	}
	path := writeFile(b, "big.safetensors", head)
	if err := os.Truncate(path, int64(len(head))+count*int64(sizes[0])); err != nil {
		b.Skip("no sparse files here:", err)
	}
	for b.Loop() {
		start := time.Now()
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		first, _ := f.Tensor(entries[0].Name)
		if first.Bytes[len(first.Bytes)-1] != 0 {
			b.Fatal("not sparse")
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/open")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
