package reward

import (
	"fmt"
	"io/fs"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

const nsfwSize = 224 // pixels of a side

// Classes of the nsfwjs networks: drawing, hentai, neutral, porn, sexy.
var safeClasses, unsafeClasses = []int64{0, 2}, []int64{1, 3, 4}

// NSFW judges over-sexualisation with a network of nsfwjs 4.4.0 (MIT; weights/NOTICE.md). Its score is
// the log-odds of drawing or neutral against hentai, porn or sexy. Train on NSFWMid, whose linear head
// gives an exact class map, and hold out NSFWSmall.
type NSFW struct {
	logOdds
	body   *mobileNet
	params nn.Params
	layers []*nn.Linear // on the mean of the features
	signed bool         // the network takes pixels in [-1,1] rather than [0,1]
}

// nsfwShape is what the file of one network does not say.
type nsfwShape struct {
	file   string
	signed bool    // takes pixels in [-1,1] rather than [0,1]
	widths []int64 // of the head, from features to classes
	body   mobileConfig
}

var (
	nsfwMid = nsfwShape{"nsfw_mobilenet_v2_mid_u8", true, []int64{1792, 5}, mobileConfig{
		stem: 48, head: 1792,
		stages: []mobileStage{{1, 24, 1, 1}, {6, 32, 2, 2}, {6, 48, 3, 2}, {6, 88, 4, 2}, {6, 136, 3, 1}, {6, 224, 3, 2}, {6, 448, 1, 1}},
	}}
	nsfwSmall = nsfwShape{"nsfw_mobilenet_v2_u8", false, []int64{1280, 256, 128, 5}, mobileConfig{
		stem: 32, head: 1280, batchNorm: true,
		stages: []mobileStage{{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}},
	}}
)

// NewNSFWMid loads MobileNetV2Mid: width 1.4, one linear layer as head, 4.3 million parameters.
func NewNSFWMid(device torch.Device) (*NSFW, error) { return nsfwMid.load(device) }

// NewNSFWSmall loads MobileNetV2: width 1, three linear layers as head, 2.6 million parameters.
func NewNSFWSmall(device torch.Device) (*NSFW, error) { return nsfwSmall.load(device) }

func (s nsfwShape) load(device torch.Device) (*NSFW, error) {
	source, err := s.open(device)
	if err != nil {
		return nil, err
	}
	n, err := s.build(source)
	if err == nil {
		err = source.src.Done()
	}
	return n, err
}

func (s nsfwShape) open(device torch.Device) (*quantizedSource, error) {
	path := "weights/" + s.file + ".safetensors"
	data, err := fs.ReadFile(embedded, path)
	if err != nil {
		return nil, err
	}
	file, err := weights.Parse(path, data)
	if err != nil {
		return nil, err
	}
	return newQuantizedSource(file, device)
}

func (s nsfwShape) build(source nn.Source) (*NSFW, error) {
	n := &NSFW{params: nn.NewParams(source), signed: s.signed}
	err := torch.Run(func() {
		n.body = newMobileNet(s.body, n.params)
		for i := range len(s.widths) - 1 {
			key := "fc"
			if len(s.widths) > 2 {
				key = fmt.Sprintf("fc%d", i+1)
			}
			n.layers = append(n.layers, nn.NewLinear(s.widths[i], s.widths[i+1], n.params.Sub(key)))
		}
	})
	return n, err
}

// Close frees the weights.
func (n *NSFW) Close() { n.params.Drop() }

// features are [B,C,7,7] for images [B,3,H,W] in [0,1].
func (n *NSFW) features(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := images.ResizeBilinear(nsfwSize, nsfwSize, torch.Resize{AlignCorners: true})
		if n.signed {
			x = x.MulScalar(2).AddScalar(-1)
		}
		return n.body.forward(x)
	})
}

// logits are [B,5] for features [B,C,h,w].
func (n *NSFW) logits(features torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := features.Mean(2, 3)
		for i, l := range n.layers {
			if i > 0 {
				x = x.ReLU()
			}
			x = l.Forward(x)
		}
		return x
	})
}

// unsafeOdds are the log-odds of the unsafe classes along dimension 1 of logits.
func unsafeOdds(logits torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		evidence := func(classes []int64) torch.Tensor {
			columns := make([]torch.Tensor, len(classes))
			for i, c := range classes {
				columns[i] = logits.Narrow(1, c, 1)
			}
			return torch.Cat(columns, 1).LogSumExp(1)
		}
		return evidence(unsafeClasses).Sub(evidence(safeClasses))
	})
}

// Score is [B], the log-odds of a safe image.
func (n *NSFW) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return unsafeOdds(n.logits(n.features(images))).Neg() })
}

// Heatmap is the probability of the unsafe classes at each place, by the class map of a linear head:
// its mean over places is the logit exactly. Of a deeper head it is a GradCAM.
func (n *NSFW) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	H, W := images.Size(2), images.Size(3)
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			features := n.features(images)
			if len(n.layers) == 1 {
				return unsafeOdds(n.classMap(features)).Unsqueeze(1).ResizeBilinear(H, W, torch.Resize{}).Sigmoid()
			}
			fault := func(f torch.Tensor) torch.Tensor { return unsafeOdds(n.logits(f)) }
			return GradCAM(features, fault, fault(features).Sigmoid(), H, W)
		})
	})
	return heat
}

// classMap is the linear head at each place, [B,5,h,w].
func (n *NSFW) classMap(features torch.Tensor) torch.Tensor {
	fc := n.layers[0]
	return features.Conv2d(fc.Weight.Unsqueeze(-1).Unsqueeze(-1), fc.Bias, torch.Conv{})
}
