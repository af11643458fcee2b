// Package t5 is the encoder of T5 v1.1 (Raffel et al., arXiv 1910.10683), whose XXL size reads prompts
// for Stable Diffusion 3: configurations and keys are those of transformers' T5EncoderModel.
package t5
