package core

import "math"

// Wilson is the 95 % confidence interval of a share of which k of n were seen (Wilson, 1927): unlike the usual one
// it stays within 0 and 1 and has a width for k = 0 and k = n.
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964 // of a normal distribution, 97.5 %
	share, count := float64(k)/float64(n), float64(n)
	center := share + z*z/(2*count)
	width := z * math.Sqrt(share*(1-share)/count+z*z/(4*count*count))
	return max((center-width)/(1+z*z/count), 0), min((center+width)/(1+z*z/count), 1)
}
