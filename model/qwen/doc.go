// Package qwen is the decoder of Qwen3 (arXiv 2505.09388) as a text encoder: Z-Image and FLUX.2 read
// prompts with its states. Configurations and keys are those of transformers' Qwen3Model.
package qwen
