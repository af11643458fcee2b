package weights

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Method is how a module's factors make its update.
type Method string

// The methods that are read. ΔW is the update of the weight W, [out,in,kh,kw] or [out,in]; s is alpha/rank.
const (
	// PlainLoRA is ΔW = s·up·down; with mid, a convolution between the two (LoCon's Tucker form).
	PlainLoRA Method = "LoRA"
	// LoHa is ΔW = s·(w1_a·w1_b) ⊙ (w2_a·w2_b) (Hyeon-Woo et al., arXiv 2108.06098).
	LoHa Method = "LoHa"
	// LoKr is ΔW = s·w1 ⊗ w2, either of which may be the product of two (LyCORIS, arXiv 2309.14859).
	LoKr Method = "LoKr"
	// IA3 is W' = W ⊙ l, or W ⊙ (1 + w) in LyCORIS' files, a vector for outputs or inputs (arXiv 2205.05638).
	IA3 Method = "IA3"
	// Full is ΔW itself.
	Full Method = "full difference"
	// BiasOnly changes no weight.
	BiasOnly Method = "bias"
)

// Factor is what a tensor is to its module.
type Factor string

// The factors, named as the methods' own programs name them.
const (
	factorDown  Factor = "lora_down"
	factorUp    Factor = "lora_up"
	factorAlpha Factor = "alpha"

	Mid       Factor = "lora_mid"   // [rank,rank,kh,kw], between down and up
	Magnitude Factor = "dora_scale" // DoRA's length of every row or column of W' (arXiv 2402.09353)
	Bias      Factor = "diff_b"     // [out], added to the layer's bias
	LoRABias  Factor = "lora_B.bias"
	Diff      Factor = "diff"
	IA3Scale  Factor = "ia3_l"     // W' = W ⊙ ia3_l
	IA3Shift  Factor = "weight"    // W' = W ⊙ (1 + weight)
	InputMark Factor = "on_input"  // 1 if IA3Shift scales inputs, 0 if outputs
	HadaW1A   Factor = "hada_w1_a" // LoHa's and LoKr's
	HadaW1B   Factor = "hada_w1_b"
	HadaW2A   Factor = "hada_w2_a"
	HadaW2B   Factor = "hada_w2_b"
	HadaT1    Factor = "hada_t1"
	HadaT2    Factor = "hada_t2"
	LokrW1    Factor = "lokr_w1"
	LokrW1A   Factor = "lokr_w1_a"
	LokrW1B   Factor = "lokr_w1_b"
	LokrW2    Factor = "lokr_w2"
	LokrW2A   Factor = "lokr_w2_a"
	LokrW2B   Factor = "lokr_w2_b"
	LokrT2    Factor = "lokr_t2"
)

// Describe names the method with what stands beside the weight's update: "LoRA with dora_scale".
func (m *LoRAModule) Describe() string {
	text := string(m.Method)
	for _, f := range []Factor{Mid, Magnitude, Bias, LoRABias} {
		if m.Method != BiasOnly && m.has(f) {
			text += " with " + string(f)
		}
	}
	return text
}

// scaled reports whether alpha matters.
func (m *LoRAModule) scaled() bool {
	return m.Method == PlainLoRA || m.Method == LoHa || m.Method == LoKr
}

// unranked reports a LoKr whose two factors are whole: they have no rank, and LyCORIS then has no scale.
func (m *LoRAModule) unranked() bool {
	return m.Method == LoKr && !m.has(LokrW1B) && !m.has(LokrW2B)
}

func (m *LoRAModule) has(factors ...Factor) bool {
	return !slices.ContainsFunc(factors, func(f Factor) bool { _, ok := m.Factors[f]; return !ok })
}

// methodFactors are the factors by which a method is known.
var methodFactors = []struct {
	method  Method
	factors []Factor
}{
	{PlainLoRA, []Factor{Mid, LoRABias}},
	{LoHa, []Factor{HadaW1A, HadaW1B, HadaW2A, HadaW2B}},
	{LoKr, []Factor{LokrW1, LokrW1A, LokrW2, LokrW2A}},
	{IA3, []Factor{IA3Scale, IA3Shift, InputMark}},
	{Full, []Factor{Diff}},
}

// findMethod sets the module's method; two of them are an error.
func (m *LoRAModule) findMethod() error {
	m.Method = BiasOnly
	for _, known := range methodFactors {
		found := slices.ContainsFunc(known.factors, func(f Factor) bool { return m.has(f) })
		if known.method == PlainLoRA {
			found = found || m.Down.Shape != nil || m.Up.Shape != nil
		}
		if !found {
			continue
		}
		if m.Method != BiasOnly {
			return fmt.Errorf("holds both %s and %s", m.Method, known.method)
		}
		m.Method = known.method
	}
	if m.Method == BiasOnly && !m.has(Bias) {
		return errors.New("holds no update, only " + m.anyKey())
	}
	return nil
}

// check finds the module's method and tests that its factors are there and fit together.
func (m *LoRAModule) check() error {
	if err := m.findMethod(); err != nil {
		return err
	}
	if m.Method == PlainLoRA {
		return m.checkLoRA()
	}
	if m.has(IA3Shift) != m.has(InputMark) {
		return errors.New("IA3 needs both weight and on_input")
	}
	if mark, ok := m.Factors[InputMark]; ok {
		v, err := mark.scalar()
		if err != nil {
			return err
		}
		m.OnInput = v != 0
		delete(m.Factors, InputMark)
	}
	if _, _, ok := m.size(); !ok {
		return fmt.Errorf("factors that are missing or do not fit together: %s", m.shapes())
	}
	return nil
}

// checkLoRA tests that the two matrices can be multiplied, and levels 1x1 convolutions.
func (m *LoRAModule) checkLoRA() error {
	down, up := m.Down.Shape, m.Up.Shape
	switch {
	case down == nil || up == nil:
		return errors.New("one of its two matrices is missing")
	case !isMatrix(down) && len(down) != 4 || !isMatrix(up):
		return fmt.Errorf("shapes %s and %s are not those of a LoRA", shapeString(down), shapeString(up))
	case up[1] != down[0] || down[0] == 0:
		return fmt.Errorf("shapes %s and %s have no common rank", shapeString(down), shapeString(up))
	case len(down) == 4:
		m.Up.Shape = []int64{up[0], up[1], 1, 1}
	default:
		m.Up.Shape = up[:2]
	}
	mid, ok := m.Factors[Mid]
	if fits := isMatrix(down) && len(mid.Shape) == 4 && mid.Shape[0] == down[0] && mid.Shape[1] == down[0]; ok && !fits {
		return fmt.Errorf("lora_mid %s does not fit between %s and %s", shapeString(mid.Shape), shapeString(down), shapeString(up))
	}
	return nil
}

// isMatrix reports a shape [a,b] or [a,b,1,1].
func isMatrix(shape []int64) bool {
	return len(shape) == 2 || len(shape) == 4 && shape[2] == 1 && shape[3] == 1
}

// pair is the size [rows,columns] of the product of two factors; with a Tucker core t [r,r,k...], of the
// weight that it makes of a [r,rows] and b [r,columns].
func (m *LoRAModule) pair(a, b, t Factor) (rows, columns int64, ok bool) {
	if !m.has(a, b) {
		return 0, 0, false
	}
	x, y := m.Factors[a].Shape, m.Factors[b].Shape
	if len(x) < 2 || len(y) < 2 || y[0] == 0 {
		return 0, 0, false
	}
	if core, has := m.Factors[t]; has {
		c := core.Shape
		ok = len(x) == 2 && len(y) == 2 && len(c) >= 2 && c[0] == x[0] && c[1] == y[0]
		return x[1], y[1] * product(c[min(2, len(c)):]), ok
	}
	return x[0], product(y[1:]), product(x[1:]) == y[0]
}

// whole is the size of a factor that is there as one, or as the product of a pair.
func (m *LoRAModule) whole(one, a, b, t Factor) (rows, columns int64, ok bool) {
	if f, has := m.Factors[one]; has {
		if len(f.Shape) < 2 || m.has(a) || m.has(b) {
			return 0, 0, false
		}
		return f.Shape[0], product(f.Shape[1:]), true
	}
	return m.pair(a, b, t)
}

func product(shape []int64) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= s
	}
	return n
}

// size is that of ΔW as a matrix, [out, in·kh·kw]; 0 stands for any. It is false for factors that are
// missing or do not fit together.
func (m *LoRAModule) size() (out, in int64, ok bool) {
	switch m.Method {
	case LoHa:
		r1, c1, ok1 := m.pair(HadaW1A, HadaW1B, HadaT1)
		r2, c2, ok2 := m.pair(HadaW2A, HadaW2B, HadaT2)
		return r1, c1, ok1 && ok2 && r1 == r2 && c1 == c2 && m.has(HadaT1) == m.has(HadaT2)
	case LoKr:
		r1, c1, ok1 := m.whole(LokrW1, LokrW1A, LokrW1B, "")
		r2, c2, ok2 := m.whole(LokrW2, LokrW2A, LokrW2B, LokrT2)
		return r1 * r2, c1 * c2, ok1 && ok2
	case Full:
		shape := m.Factors[Diff].Shape
		if len(shape) < 2 {
			return 0, 0, false
		}
		return shape[0], product(shape[1:]), true
	case IA3:
		return 0, 0, m.has(IA3Scale) != m.has(IA3Shift)
	case BiasOnly:
		return 0, 0, true
	}
	return m.Up.Shape[0], product(m.Down.Shape[1:]), true
}

// fits tests the update against the weight, [out,in] or [out,in,kh,kw]. A linear
// layer and a 1x1 convolution are the same thing.
func (m *LoRAModule) fits(weight []int64) bool {
	if len(weight) < 2 {
		return false
	}
	for _, f := range []Factor{Bias, LoRABias} {
		if b, ok := m.Factors[f]; ok && product(b.Shape) != weight[0] {
			return false
		}
	}
	if m.Method == PlainLoRA || m.Method == "" {
		return m.fitsLoRA(weight)
	}
	if m.Method == IA3 {
		n := int64(0)
		for _, f := range []Factor{IA3Scale, IA3Shift} {
			if t, ok := m.Factors[f]; ok {
				n = product(t.Shape)
			}
		}
		return n == weight[0] || n == weight[1]
	}
	out, in, ok := m.size()
	return ok && (out == 0 || out == weight[0] && in == product(weight[1:]))
}

func (m *LoRAModule) fitsLoRA(weight []int64) bool {
	trim := func(shape []int64) []int64 {
		if isMatrix(shape) {
			return shape[:2]
		}
		return shape
	}
	down := slices.Clone(m.Down.Shape)
	if mid, ok := m.Factors[Mid]; ok {
		down = append(down[:2:2], mid.Shape[2:]...)
	}
	down, weight = trim(down), trim(weight)
	if scale, ok := m.Factors[Magnitude]; ok {
		if n := product(scale.Shape); n != weight[0] && n != weight[1] {
			return false
		}
	}
	return len(down) == len(weight) && slices.Equal(down[1:], weight[1:]) && m.Up.Shape[0] == weight[0]
}

// OfPEFT reports whether a DoRA module's lengths are PEFT's, one for every output whatever their shape.
func (m *LoRAModule) OfPEFT() bool {
	return strings.Contains(m.Factors[Magnitude].Key, ".lora_magnitude_vector")
}
