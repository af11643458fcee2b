package workshop

import "math/rand/v2"

// random is a small stream of random numbers without allocations. Streams with different (seed,
// index, purpose) are independent of each other.
type random struct{ pcg rand.PCG }

// purposes keep the layout of a scene, its faults, its background and its caption on separate streams.
const (
	purposeLayout uint64 = iota + 1
	purposeFaults
	purposeBackground
	purposeWords
)

func (r *random) seed(seed, index, purpose uint64) {
	r.pcg.Seed(mix(seed^mix(purpose)), mix(index^mix(seed+purpose)))
}

// mix is the finalizer of SplitMix64: it spreads neighboring numbers over all 64 bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit returns a number in [0,1).
func (r *random) unit() float64 { return float64(r.pcg.Uint64()>>11) / (1 << 53) }

// between returns a number in [low,high).
func (r *random) between(low, high float64) float64 { return low + (high-low)*r.unit() }

// chance is true with probability p.
func (r *random) chance(p float64) bool { return r.unit() < p }

// below returns a whole number in [0,n).
func (r *random) below(n int) int { return int(r.unit() * float64(n)) }

// count returns a whole number in [low,high].
func (r *random) count(low, high int) int { return low + r.below(high-low+1) }

// sign returns -1 or 1.
func (r *random) sign() float64 {
	if r.chance(0.5) {
		return -1
	}
	return 1
}
