package weights

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// JoinTransformer is the way back from SplitTransformer: the entries, for Write, of the single file of the original programs
// that holds the given parts: the transformer with its projections fused, autoencoder and, of Stable Diffusion 3,
// text encoders. What has no place in it is an error.
func JoinTransformer(kind Kind, parts map[string][]Tensor) ([]Entry, error) {
	var entries []Entry
	for _, part := range sortedKeys(parts) {
		var joined []Entry
		var err error
		if part == transformerPart {
			joined, err = joinTransformer(kind, parts[part])
		} else {
			joined, err = joinBeside(kind, part, parts[part])
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, joined...)
	}
	return entries, nil
}

// joinBeside are the entries of another part than the transformer.
func joinBeside(kind Kind, part string, tensors []Tensor) (entries []Entry, err error) {
	text := slices.IndexFunc(singleTexts, func(s struct{ prefix, part string }) bool { return s.part == part && kind == SD3 })
	for _, t := range tensors {
		var e Entry
		ok := text >= 0
		if ok {
			e = t.Entry()
			e.Name = singleTexts[text].prefix + t.Name
		} else {
			e, ok = t.joined(kind, part, nil)
		}
		if !ok {
			return nil, fmt.Errorf("%s: %s: has no place in a single file of %s", part, t.Name, kind)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func joinTransformer(kind Kind, tensors []Tensor) (entries []Entry, err error) {
	var width int64
	for _, t := range tensors {
		if strings.HasSuffix(t.Name, ".attn.to_out.0.weight") {
			width = t.Shape[0]
		}
	}
	thirds := map[string][3]*Tensor{}
	for i, t := range tensors {
		module, ending := splitEnding(t.Name)
		name, third := wholeName(kind, module)
		if third >= 0 {
			of := thirds[name+ending]
			of[third] = &tensors[i]
			thirds[name+ending] = of
			continue
		}
		if kind == SD3 && len(t.Shape) > 0 {
			t.Swapped = t.Swapped != scaleFirst(name, t.Shape[0], width)
		}
		e := t.Entry()
		e.Name = unetPrefix + name + ending
		entries = append(entries, e)
	}
	for _, name := range sortedKeys(thirds) {
		e, failed := joinThirds(unetPrefix+name, thirds[name])
		err = errors.Join(err, failed)
		entries = append(entries, e)
	}
	return entries, err
}

// joinThirds is the entry of a fused tensor.
func joinThirds(name string, thirds [3]*Tensor) (Entry, error) {
	first := thirds[0]
	for _, t := range thirds {
		if t == nil || first == nil || t.stored() != first.stored() || !slices.Equal(t.Shape, first.Shape) || len(t.Shape) == 0 {
			return Entry{}, fmt.Errorf("%s: want three parts of it, of one type and shape", name)
		}
	}
	return Entry{
		Name: name, DType: first.stored(), Shape: append([]int64{3 * first.Shape[0]}, first.Shape[1:]...),
		Data: func(w io.Writer) (err error) {
			for _, t := range thirds {
				err = errors.Join(err, t.writeTo(w))
			}
			return err
		},
	}, nil
}

// splitEnding cuts .weight or .bias off a name.
func splitEnding(name string) (module, ending string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 && slices.Contains([]string{".weight", ".bias"}, name[i:]) {
		return name[:i], name[i:]
	}
	return name, ""
}

// wholeName is the name of a module in a single file; third is its place in a fused one, -1 where it is not fused. LoRA
// files of Z-Image have diffusers' names; single files do not.
func wholeName(kind Kind, module string) (name string, third int) {
	if kind == SD3 {
		return originalName(module)
	}
	for own, theirs := range map[string]string{"x_embedder": "all_x_embedder.2-1", "final_layer": "all_final_layer.2-1"} {
		if rest, ok := strings.CutPrefix(module, theirs); ok {
			return own + rest, -1
		}
	}
	m := zImageBlock.FindStringSubmatch(module)
	if m == nil {
		return module, -1
	}
	block, inside := m[1]+".", m[2]+m[3]
	if third = slices.Index(zImageFused.thirds[:], inside); third >= 0 {
		return block + zImageFused.whole, third
	}
	if renamed, ok := renamed(zImageNames, inside, diffusersName, ldmName); ok {
		inside = renamed
	}
	return block + inside, -1
}
