// Package mmdit is the transformer of Stable Diffusion 3 and 3.5 (MM-DiT; Esser et al., arXiv
// 2403.03206): text and image tokens in two streams with weights of their own, which meet in one
// attention.
//
// Configurations and keys are those of diffusers' SD3Transformer2DModel; fields follow the keys.
package mmdit
