// Package replica writes models of real size as diffusers folders, with random weights or with none. No real ones are
// needed for time and memory.
package replica

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Replica says what to write.
type Replica struct {
	Kind   string // one of Kinds
	DType  string // float32, bfloat16 or float16
	Part   string // the only network to write, or "" for all
	Hollow bool   // files of the right size with nothing on the disk, for focusnfix plan
	Model  string // the repository's folder model, for configurations and tokenizers of its tests
}

// Main is a program that writes one: arguments -make DIR and those of Replica.
func Main(arguments []string) error {
	f := flag.NewFlagSet("replica", flag.ContinueOnError)
	var r Replica
	dir := f.String("make", "", "folder to write")
	r.Flags(f)
	if err := f.Parse(arguments); err != nil {
		return err
	}
	return r.Write(*dir)
}

// Flags adds what a replica may be told to a program's flags.
func (r *Replica) Flags(f *flag.FlagSet) {
	f.StringVar(&r.Kind, "kind", "sd15", Kinds)
	f.StringVar(&r.DType, "dtype", "float32", "element type: float32, bfloat16 or float16")
	f.StringVar(&r.Part, "part", "", "write this network alone, such as transformer, and no others")
	f.BoolVar(&r.Hollow, "hollow", false, "write files without weights, of the right size but with nothing on the disk")
	f.StringVar(&r.Model, "model", "model", "the repository's folder model, for configurations and tokenizers of its tests")
}

// Write writes the folder.
func (r Replica) Write(dir string) error {
	m, err := r.model()
	if err != nil {
		return err
	}
	index := map[string]any{"_class_name": m.class, "scheduler": []string{"diffusers", m.schedulerClass}}
	if m.class == "StableDiffusionPipeline" {
		index["safety_checker"], index["feature_extractor"], index["requires_safety_checker"] = []any{nil, nil}, []any{nil, nil}, false
	}
	for folder, t := range m.tokenizers {
		if err := r.writeTokenizer(filepath.Join(dir, folder), t); err != nil {
			return err
		}
		index[folder] = []string{"transformers", t.class}
	}
	for _, p := range m.parts {
		if r.Part != "" && p.name != r.Part {
			continue
		}
		if err := r.writePart(dir, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		index[p.name] = []string{p.library, p.class}
	}
	if err := writeFile(m.scheduler, dir, "scheduler", "scheduler_config.json"); err != nil {
		return err
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return writeFile(string(text), dir, "model_index.json")
}

// writeTokenizer writes the small tokenizer of a test: its ids are fewer than the text encoder's.
func (r Replica) writeTokenizer(dir string, t tokenizer) error {
	from := filepath.Join(r.Model, t.from)
	if !strings.HasSuffix(from, ".gz") {
		return os.CopyFS(dir, os.DirFS(from))
	}
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read only
	z, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	return writeFile(string(text), dir, "tokenizer.json")
}

func writeFile(text string, path ...string) error {
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// blockSize is the number of values that are drawn for a matrix. Larger ones repeat them, each time from another place
// on: real sizes in the time of writing, and no two rows alike.
const blockSize = 1 << 18

// blocks makes up small parameters at once, and those with rows while they are written.
type blocks struct {
	generator *torch.Generator
	inits     map[string]nn.Init // of the latter, by name
}

func (blocks) Has(string) bool { return false }

func (b blocks) Param(name string, init nn.Init, shape []int64) torch.Tensor {
	return torch.Own(torch.Scope(func() torch.Tensor {
		if len(shape) < 2 {
			return init(b.generator, shape)
		}
		b.inits[name] = init
		return torch.Zeros(torch.Float32, torch.CPU, 1).Expand(shape...)
	}))
}

// entry is a parameter in the element type of the file.
func (b blocks) entry(e weights.Entry, to weights.DType) (weights.Entry, error) {
	init := b.inits[e.Name]
	if init == nil {
		return weights.Cast(e, to)
	}
	e.DType = to
	e.Data = func(w io.Writer) error {
		rowSize, width := int64(1), int64(2)
		for _, n := range e.Shape[1:] {
			rowSize *= n
		}
		if to == weights.F32 {
			width = 4
		}
		block, err := b.block(init, append([]int64{min(e.Shape[0], max(1, blockSize/rowSize))}, e.Shape[1:]...), to)
		if err != nil {
			return err
		}
		const stride = 4099 // values, prime: rows begin elsewhere in each repetition
		left := e.Shape[0] * rowSize * width
		for at := int64(0); left > 0 && err == nil; at = (at + stride*width) % int64(len(block)) {
			part := block[at:min(int64(len(block)), at+left)]
			_, err = w.Write(part)
			left -= int64(len(part))
		}
		return err
	}
	return e, nil
}

// block is a tensor's values as they are written.
func (b blocks) block(init nn.Init, shape []int64, to weights.DType) ([]byte, error) {
	var out bytes.Buffer
	var failed error
	err := torch.Run(func() {
		var e weights.Entry
		if e, failed = weights.Cast(nn.Entry("", init(b.generator, shape)), to); failed == nil {
			failed = e.Data(&out)
		}
	})
	return out.Bytes(), errors.Join(err, failed)
}

func (r Replica) writePart(dir string, m part) error {
	if err := writeFile(m.config, dir, m.name, "config.json"); err != nil {
		return err
	}
	generator, err := torch.NewGenerator(torch.CPU, 1)
	if err != nil {
		return err
	}
	defer generator.Close()
	source := blocks{generator, map[string]nn.Init{}}
	p := nn.NewParams(source)
	defer p.Drop()
	var failed error
	if err := torch.Run(func() { failed = m.build([]byte(m.config), p) }); err != nil || failed != nil {
		return errors.Join(failed, err)
	}
	stem := "diffusion_pytorch_model"
	if m.library == "transformers" {
		stem = "model"
	}
	to := map[string]weights.DType{"float32": weights.F32, "bfloat16": weights.BF16, "float16": weights.F16}[r.DType]
	entries := p.Entries()
	if r.Hollow {
		return writeHollow(filepath.Join(dir, m.name, stem+".safetensors"), entries, to)
	}
	for i := range entries {
		if entries[i], err = source.entry(entries[i], to); err != nil {
			return err
		}
	}
	_, err = weights.WriteSharded(filepath.Join(dir, m.name), stem, map[string]string{"format": "pt"}, entries, 10e9)
	return err
}

// writeHollow writes a safetensors file whose tensors are a hole: zeros that take no room.
func writeHollow(path string, entries []weights.Entry, to weights.DType) error {
	type tensor struct {
		DType   weights.DType `json:"dtype"`
		Shape   []int64       `json:"shape"`
		Offsets [2]int64      `json:"data_offsets"`
	}
	header, at := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, int64(0)
	for _, e := range entries {
		size := int64(2)
		if to == weights.F32 {
			size = 4
		}
		for _, n := range e.Shape {
			size *= n
		}
		header[e.Name] = tensor{to, e.Shape, [2]int64{at, at + size}}
		at += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	text = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return errors.Join(os.WriteFile(path, text, 0o644), os.Truncate(path, int64(len(text))+at))
}
