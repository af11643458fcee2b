// Package flow is the family of rectified-flow transformers: Stable Diffusion 3 and 3.5 (model/mmdit) and Z-Image
// (model/zimage).
//
// Text encoders are large here: a T5-XXL or a Qwen3 of four billion weights. They are loaded when prompts are
// encoded, dropped, and never lie beside the transformer on a device. Encoded prompts are kept.
package flow
