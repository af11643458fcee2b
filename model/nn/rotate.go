package nn

import "focusnfix/model/torch"

// RotatePairs turns neighboring pairs of numbers of x [...,D] by the angles of their place (RoPE; Su et al., arXiv
// 2104.09864), whose cosines and sines broadcast to [...,D/2].
func RotatePairs(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		shape := x.Shape()
		last := len(shape) - 1
		apart := append(append([]int64{}, shape[:last]...), shape[last]/2, 2)
		pairs := x.Reshape(apart...).Unbind(int64(last + 1))
		a := pairs[0].Mul(cos).Sub(pairs[1].Mul(sin))
		b := pairs[0].Mul(sin).Add(pairs[1].Mul(cos))
		return torch.Stack([]torch.Tensor{a, b}, int64(last+1)).Reshape(shape...)
	})
}
