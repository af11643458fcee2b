// Package zimage is the transformer of Z-Image and Z-Image-Turbo (arXiv 2511.22699): one stream of
// image and caption tokens, which a few refining layers prepare apart first.
//
// Configurations and keys are those of diffusers' ZImageTransformer2DModel; fields follow the keys.
package zimage
