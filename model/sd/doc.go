// Package sd is Stable Diffusion: SD 1.x, SD 2.x and SDXL.
//
// It has the UNet and the autoencoder (VAE), the schedulers, and the pipeline from prompt to image.
// Networks are read from config.json and checkpoints of the diffusers layout, and give the numbers that
// diffusers gives; testdata/ref has the proof and the scripts that make it.
//
// Latents are [B,4,H/8,W/8], pixels RGB in [-1,1], images RGB in [0,1]. Schedulers work on float32
// latents whatever the networks compute in.
package sd
