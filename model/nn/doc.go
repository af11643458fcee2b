// Package nn has the layers that Stable Diffusion, CLIP and the reward models are made of.
//
// A network has one constructor, whatever its weights come from: it asks Params for each parameter
// by the name that checkpoints use, and Params reads it from a checkpoint (FromWeights) or makes it up
// (Random). Params also keeps the books, so that a network can be listed, saved, trained, and given
// low-rank updates (Adapter) without a second description of its structure.
//
// Layers run in the element type of their weights. Normalization and softmax compute in float32.
package nn
