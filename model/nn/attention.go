package nn

import (
	"math"

	"focusnfix/model/torch"
)

// maxScores bounds how many attention scores exist at once without a fused operator: 64 Mi elements,
// 256 MiB in float32. A 64x64 latent has 4096 queries and keys, 2 Gi bytes for a batch of 2 x 8 heads.
const maxScores = 64 << 20

// Attention is softmax(q·kᵀ/√D + mask)·v (arXiv 1706.03762, eq. 1). q is [B,heads,N,D], k and v are
// [B,heads,M,D]. The mask is none or broadcasts to [B,heads,N,M] and is added to the scores; causal
// hides every key that comes after the query.
//
// libtorch 2 has one operator for it. Without it the softmax is spelled out, in float32, over blocks
// of queries where nothing records gradients: memory is then bounded whatever the image's size.
func Attention(q, k, v, mask torch.Tensor, causal bool) torch.Tensor {
	if torch.HasFusedAttention() {
		return fusedAttention(q, k, v, mask, causal)
	}
	return plainAttention(q, k, v, mask, causal, maxScores)
}

// AttentionWeights is softmax(q·kᵀ/√D) of Attention without a mask, [B,heads,N,M], in float32.
func AttentionWeights(q, k torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		kT := k.MulScalar(1/math.Sqrt(float64(q.Size(3)))).Transpose(2, 3)
		return wide(q.MatMul(kT)).Softmax(-1)
	})
}

func fusedAttention(q, k, v, mask torch.Tensor, causal bool) torch.Tensor {
	if causal && mask.Defined() { // the operator takes one or the other
		mask = mask.Add(causalMask(q.Size(2), k.Size(2), 0, q.DType(), q.Device()))
		causal = false
	}
	if mask.Defined() && mask.DType() != q.DType() {
		mask = mask.To(q.DType())
	}
	return torch.FusedAttention(q, k, v, mask, causal)
}

func plainAttention(q, k, v, mask torch.Tensor, causal bool, most int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, H, N, D := q.Size(0), q.Size(1), q.Size(2), q.Size(3)
		M := k.Size(2)
		kT := k.MulScalar(1/math.Sqrt(float64(D))).Transpose(2, 3) // [B,H,D,M]
		rows := max(1, min(N, most/(B*H*M)))
		if torch.GradEnabled() {
			rows = N // blocks would all be kept for the backward pass anyway
		}
		var blocks []torch.Tensor
		for from := int64(0); from < N; from += rows {
			n := min(rows, N-from)
			blocks = append(blocks, torch.Scope(func() torch.Tensor { // scores die at once
				bias := maskRows(mask, from, n)
				if causal {
					hide := causalMask(n, M, from, torch.Float32, q.Device())
					if bias.Defined() {
						hide = hide.Add(bias)
					}
					bias = hide
				}
				return attendRows(q.Narrow(2, from, n), kT, v, bias)
			}))
		}
		if len(blocks) == 1 {
			return blocks[0]
		}
		return torch.Cat(blocks, 2)
	})
}

// attendRows is attention for some queries, with keys scaled and transposed.
func attendRows(q, kT, v, bias torch.Tensor) torch.Tensor {
	scores := wide(q.MatMul(kT))
	if bias.Defined() {
		scores = scores.Add(bias)
	}
	return scores.Softmax(-1).To(v.DType()).MatMul(v)
}

// maskRows is the part of a mask for n queries; a mask of one row serves them all.
func maskRows(mask torch.Tensor, from, n int64) torch.Tensor {
	if !mask.Defined() || mask.Size(-2) == 1 {
		return mask
	}
	return mask.Narrow(-2, from, n)
}

// causalMask is [n,m]: 0 where a key is not after its query, -Inf elsewhere. from is the place of the
// first query.
func causalMask(n, m, from int64, dtype torch.DType, device torch.Device) torch.Tensor {
	return torch.Full(math.Inf(-1), dtype, device, n, m).Triu(from + 1)
}
