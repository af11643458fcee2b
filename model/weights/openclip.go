package weights

import (
	"fmt"
	"strings"
)

// FromOpenCLIP names the tensors of a whole CLIP in OpenCLIP's layout (visual.conv1.weight,
// transformer.resblocks.0...) as transformers' CLIPModel does, without copying. What it does not know
// keeps its key.
func FromOpenCLIP(f *File) ([]Tensor, error) {
	var tensors []Tensor
	for _, t := range f.Tensors {
		tower, name := openCLIPText, t.Key
		if rest, ok := strings.CutPrefix(t.Key, "visual."); ok {
			tower, name = openCLIPVision, rest
		}
		as, err := tower.tensors(t, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Path, t.Key, err)
		}
		if len(as) == 0 {
			as = []Tensor{t}
		}
		tensors = append(tensors, as...)
	}
	return tensors, nil
}

// tensors names a tensor of OpenCLIP's encoder; the query, key and value weights,
// stored as one, become three.
func (o openCLIPTower) tensors(t Tensor, name string) ([]Tensor, error) {
	for _, suffix := range []string{"weight", "bias"} {
		layer, ok := strings.CutSuffix(name, ".attn.in_proj_"+suffix)
		if !ok {
			continue
		}
		rest, ok := strings.CutPrefix(layer, o.layers.ldm)
		if !ok || len(t.Shape) == 0 || t.Shape[0]%3 != 0 || t.DType.Bits()%8 != 0 {
			return nil, fmt.Errorf("%s %s cannot be cut into query, key and value", t.DType, shapeString(t.Shape))
		}
		var three []Tensor
		for i, proj := range []string{"q_proj", "k_proj", "v_proj"} {
			cut := t.Rows(int64(i)*t.Shape[0]/3, t.Shape[0]/3)
			cut.Name = o.layers.diffusers + rest + ".self_attn." + proj + "." + suffix
			three = append(three, cut)
		}
		return three, nil
	}
	renamed, ok := o.rename(name, ldmName, diffusersName)
	if !ok {
		return nil, nil
	}
	t.Name = renamed
	if name == o.transposed {
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("shape %s, want a matrix", shapeString(t.Shape))
		}
		t.Shape = []int64{t.Shape[1], t.Shape[0]}
		t.Transposed = true
	}
	return []Tensor{t}, nil
}
