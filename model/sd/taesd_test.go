package sd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

const taesd = "testdata/ref/taesd"

// tinyTolerance is of images in [0,1]. Before they are cut to that, the random weights make numbers of up to 178, whose float32
// results differ from the float64 ones by 2.3e-4 in PyTorch itself: about a millionth of them.
const tinyTolerance = 4e-4

// The decoder gives diffusers' images, whatever its file calls the layers.
func TestTinyDecoder(t *testing.T) {
	g := nntest.OpenGolden(t, filepath.Join(taesd, "golden.safetensors"))
	before := torch.Live()
	for _, path := range []string{taesd, taesd + "/diffusion_pytorch_model.safetensors", taesd + "/taesd_decoder.safetensors"} {
		d, err := LoadTinyDecoder(path, 4, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Run(t, func() { g.Check(t, "image", d.Decode(g.Tensor(t, "latents")), tinyTolerance) })
		d.Close()
	}
	if now := torch.Live(); now != before {
		t.Errorf("%d tensors are alive, %d before", now, before)
	}
}

func TestTinyDecoderRefuses(t *testing.T) {
	torchtest.Need(t)
	for text, want := range map[string]string{
		`{"_class_name":"AutoencoderKL"}`:                                 `_class_name: "AutoencoderKL" is not supported, want "AutoencoderTiny"`,
		`{"upsample_fn":"bilinear"}`:                                      `upsample_fn: "bilinear" is not supported`,
		`{"use_midblock_gn":true}`:                                        "use_midblock_gn: unknown key",
		`{"num_decoder_blocks":[1]}`:                                      "decoder_block_out_channels has 4 levels, num_decoder_blocks 1",
		`{"decoder_block_out_channels":[8,8,8,4]}`:                        "want equal widths",
		`{"latent_channels":16}`:                                          "decodes latents of 16 channels, the model's have 4",
		`{"decoder_block_out_channels":[8,8],"num_decoder_blocks":[1,1]}`: "no use for decoder.layers.",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(taesd + "/diffusion_pytorch_model.safetensors")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "diffusion_pytorch_model.safetensors"), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTinyDecoder(dir, 4, torch.CPU); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for path, want := range map[string]string{
		"nowhere":                     "focusnfix pull madebyollin/taesd",
		taesd + "/config.json":        "config.json",
		"testdata/ref/sd1/vae":        `_class_name: "AutoencoderKL" is not supported`,
		taesd + "/golden.safetensors": "neither a taesd_decoder.safetensors nor an AutoencoderTiny",
	} {
		if _, err := LoadTinyDecoder(path, 4, torch.CPU); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
