package backbone

import (
	"slices"

	"focusnfix/model/weights"
)

// What a model is stored as.
const (
	FolderLayout = "diffusers folder"
	SingleLayout = "single file"
)

// Facts are what can be found out about a model without loading it into libtorch.
type Facts struct {
	Kind       string      `json:"family"`     // "SD 1", "SDXL", "Stable Diffusion 3.5"
	Pipeline   string      `json:"pipeline"`   // the class that diffusers draws it with
	Layout     string      `json:"layout"`     // FolderLayout or SingleLayout
	Prediction string      `json:"prediction"` // epsilon, v_prediction, or velocity of the transformers
	Scheduler  string      `json:"scheduler"`
	Pixels     int64       `json:"pixels"` // of a side that the model was trained on
	Parts      []PartFacts `json:"parts"`
	Odd        []string    `json:"odd"` // what is taken for granted, and what would not load
}

// PartFacts describe the weights of one part.
type PartFacts struct {
	Name       string   `json:"name"`
	File       string   `json:"file"`
	Tensors    int      `json:"tensors"`
	Parameters int64    `json:"parameters"`
	Bytes      int64    `json:"bytes"`
	DTypes     []string `json:"dtypes"`
}

// Add counts one part's weights. With every, all are read in search of NaN and infinity.
func (f *Facts) Add(part, name string, tensors []weights.Tensor, every bool) {
	p := PartFacts{Name: part, File: name, Tensors: len(tensors)}
	for _, t := range tensors {
		n := int64(1)
		for _, s := range t.Shape {
			n *= s
		}
		p.Parameters += n
		p.Bytes += int64(len(t.Bytes))
		if !slices.Contains(p.DTypes, string(t.DType)) {
			p.DTypes = append(p.DTypes, string(t.DType))
		}
		if every && !t.IsFinite() {
			f.Odd = append(f.Odd, t.Path+": "+t.Key+": holds NaN or infinity")
		}
	}
	slices.Sort(p.DTypes)
	f.Parts = append(f.Parts, p)
}
