package nn

import "focusnfix/model/torch"

// Embedding is a table of vectors.
type Embedding struct {
	Weight torch.Tensor // [N,D]
}

// NewEmbedding makes a table of n vectors of the given width: key weight.
func NewEmbedding(n, width int64, p Params) *Embedding {
	return &Embedding{p.Param("weight", Normal(0.02), n, width)}
}

// Forward looks int64 ids [...] up and gives [...,D].
func (e *Embedding) Forward(ids torch.Tensor) torch.Tensor { return torch.Embedding(e.Weight, ids) }
