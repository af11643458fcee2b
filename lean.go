//go:build lean

package main

import (
	"log"
	"os"

	"focusnfix/bench/fullsize/replica"
)

// The program of `make gpu-bundle` also writes the models of real size that bench/gpu.sh trains: `focusnfix replica`.
func init() {
	if len(os.Args) < 2 || os.Args[1] != "replica" {
		return
	}
	if err := replica.Main(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	os.Exit(0)
}
