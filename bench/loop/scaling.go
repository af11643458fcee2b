package main

import (
	"fmt"
	"runtime"
	"slices"

	"focusnfix/bench/peer"
	"focusnfix/model/torch"
)

// scale prints what a step takes with different numbers of workers. All have their own copy of everything but the
// references and take turns, so that a busy machine slows them alike.
func scale(references string) error {
	var sides []*ours
	var counts []int
	for n := 1; n <= runtime.NumCPU(); n *= 2 {
		o, _, err := open(references, n)
		if err != nil {
			return err
		}
		defer o.close()
		sides, counts = append(sides, o), append(counts, n)
	}
	walls, cpus := make([][]float64, len(sides)), make([][]float64, len(sides))
	for round := range *rounds + 1 {
		for i, o := range sides {
			before, _ := peer.Usage()
			seconds, err := o.measure()
			if err != nil {
				return err
			}
			after, _ := peer.Usage()
			if round > 0 { // the first warms up and draws the references
				walls[i], cpus[i] = append(walls[i], seconds), append(cpus[i], (after-before)/float64(*steps))
			}
		}
	}
	fmt.Printf("libtorch %s, %d cores, %d rounds of %d steps in turn\n\n", torch.Version(), runtime.NumCPU(), *rounds, *steps)
	fmt.Println("| workers | wall seconds of a step, median (least) | CPU seconds | times as fast as 1, median (min - max) |\n|---|---|---|---|")
	for i, n := range counts {
		ratios := make([]float64, len(walls[i]))
		for k := range ratios {
			ratios[k] = walls[0][k] / walls[i][k]
		}
		slices.Sort(ratios)
		fmt.Printf("| %d | %.3f (%.3f) | %.3f | %.2f (%.2f - %.2f) |\n", n, peer.Median(walls[i]), slices.Min(walls[i]), peer.Median(cpus[i]),
			peer.Median(ratios), ratios[0], ratios[len(ratios)-1])
	}
	return nil
}
