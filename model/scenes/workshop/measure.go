package workshop

import (
	"math"
	"slices"
)

// areaUnderCurve is the probability that a faulty image has a higher score than a faultless one,
// equal scores counting half; NaN without one of each.
func areaUnderCurve(scores []float64, faulty []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case scores[a] < scores[b]:
			return -1
		case scores[a] > scores[b]:
			return 1
		}
		return 0
	})
	ranks, positives := 0.0, 0.0
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && scores[order[to]] == scores[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			if faulty[i] {
				ranks += float64(from+to+1) / 2 // ranks count from 1
				positives++
			}
		}
		from = to
	}
	negatives := float64(len(order)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * negatives)
}

// intersectionOverUnion is that of a heatmap above 0.5 with a mask of as many pixels.
func intersectionOverUnion(heat []float32, mask []uint8) float64 {
	both, either := 0.0, 0.0
	for i, h := range heat {
		hot, there := h > 0.5, mask[i] != 0
		if hot && there {
			both++
		}
		if hot || there {
			either++
		}
	}
	if either == 0 {
		return 1
	}
	return both / either
}

// correlation is Pearson's, NaN where one of the lists does not vary.
func correlation(a, b []float64) float64 {
	ma, mb := mean(a), mean(b)
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		ab += (a[i] - ma) * (b[i] - mb)
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
	}
	return ab / math.Sqrt(aa*bb)
}

// mean of a list, NaN of none.
func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

// share is the part of a list that is true, NaN of none.
func share(list []bool) float64 {
	n := 0.0
	for _, v := range list {
		if v {
			n++
		}
	}
	return n / float64(len(list))
}
