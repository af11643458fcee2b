package scenes

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// numSeen are the aspects that an image shows without its prompt: violence, over-sexualization and
// artifacts. Misalignment takes a prompt.
const numSeen = int64(Misalignment)

// FaultNet finds the faults that an image shows by itself: a score for the whole and a heatmap
// (Liang et al., arXiv 2312.10240, predict both from one trunk, too).
type FaultNet struct {
	trunk    trunk
	heat     *nn.Conv2d
	fc1, fc2 *nn.Linear
}

// NewFaultNet makes the network on one of the two kinds of trunk, 0 or 1.
func NewFaultNet(kind int, w JudgeWidths, p nn.Params) *FaultNet {
	t := newTrunk(kind, w, p.Sub("trunk"))
	quarter, eighth := t.widths()
	return &FaultNet{
		trunk: t, heat: nn.NewConv2d(quarter, numSeen, 1, torch.Conv{}, p.Sub("heat")),
		fc1: nn.NewLinear(2*eighth+numSeen, 64, p.Sub("score").Sub("fc1")), fc2: nn.NewLinear(64, numSeen, p.Sub("score").Sub("fc2")),
	}
}

// Forward gives logits in float32: of the whole image [B,numSeen] and of its cells
// [B,numSeen,H/4,W/4]. image is [B,3,H,W] in [-1,1].
func (j *FaultNet) Forward(image torch.Tensor) (score, heat torch.Tensor) {
	out := torch.Scopes(func() []torch.Tensor {
		quarter, eighth := j.trunk.read(image)
		heat := j.heat.Forward(quarter)
		pooled := torch.Cat([]torch.Tensor{pooledBoth(eighth), heat.AMax(false, 2, 3)}, 1)
		return []torch.Tensor{j.fc2.Forward(j.fc1.Forward(pooled).SiLU()).To(torch.Float32), heat.To(torch.Float32)}
	})
	return out[0], out[1]
}

// pooledBoth is the mean and the largest of every channel, [B,2C].
func pooledBoth(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.Cat([]torch.Tensor{x.Mean(2, 3), x.AMax(false, 2, 3)}, 1)
	})
}
