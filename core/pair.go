package core

// Pair is what one image comes from. The same prompt and seed give the same starting noise, so that images of
// the base and of the tuned model differ by their weights alone.
type Pair struct {
	Prompt string
	Seed   uint64
}
