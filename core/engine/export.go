package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/train"
	"focusnfix/model/weights"
)

// Origin says where exported weights come from; what is not known is empty.
type Origin struct {
	Program   string // "focusnfix v1.2"
	Run       string // name of the run
	Preset    string
	ModelHash string  // fingerprint of the base model, as the run has it
	Step      int     // updates that made the weights
	Strength  float64 // that the weights are multiplied by; 0 is 1, as trained
	Started   time.Time
	Finished  time.Time
	Config    core.Config
}

// Export writes the LoRA weights of a checkpoint's folder to a file of its own, with what other programs
// want to know of it, and reads it again to see that it holds the same. Nothing is loaded onto a device.
func Export(checkpoint, to string, dialect weights.Dialect, o Origin) (err error) {
	file, err := weights.Open(train.LoRAFile(checkpoint))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lora, err := weights.ReadLoRA(file)
	if err != nil {
		return err
	}
	if o.Strength != 0 && o.Strength != 1 {
		if lora.Modules, err = scaled(lora.Modules, float32(o.Strength)); err != nil {
			return err
		}
	}
	metadata, err := o.metadata(lora, to)
	if err != nil {
		return err
	}
	if dialect == weights.Kohya {
		if metadata, err = kohyaMetadata(to, lora, metadata, o); err != nil {
			return err
		}
	}
	if err := weights.WriteLoRA(to, dialect, lora.Modules, metadata); err != nil {
		return err
	}
	written, err := dialect.Written(lora.Modules)
	if err != nil {
		return err
	}
	return verify(to, written, metadata)
}

// scaled multiplies every update by strength, in its up matrix, so that programs which do not read alpha have it too.
func scaled(modules []weights.LoRAModule, strength float32) ([]weights.LoRAModule, error) {
	all := slices.Clone(modules)
	for i := range all {
		up := &all[i].Up
		if up.DType != weights.F32 {
			return nil, fmt.Errorf("%s: up matrix of %s, want F32 as a checkpoint has it", all[i].Name(), up.DType)
		}
		up.Bytes = slices.Clone(up.Bytes)
		for at := 0; at < len(up.Bytes); at += 4 {
			v := math.Float32frombits(binary.LittleEndian.Uint32(up.Bytes[at:]))
			binary.LittleEndian.PutUint32(up.Bytes[at:], math.Float32bits(v*strength))
		}
	}
	return all, nil
}

// verify reads a LoRA file and compares it, bit for bit, with what was to be written.
func verify(path string, want []weights.LoRAModule, metadata map[string]string) (err error) {
	file, err := weights.Open(path)
	if err != nil {
		return fmt.Errorf("read again what was written: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	got, err := weights.ReadLoRA(file)
	if err != nil {
		return fmt.Errorf("read again what was written: %w", err)
	}
	same := slices.EqualFunc(got.Modules, want, func(a, b weights.LoRAModule) bool {
		return a.Name() == b.Name() && a.Alpha == b.Alpha && equalTensors(a.Down, b.Down) && equalTensors(a.Up, b.Up)
	})
	for key, value := range metadata {
		same = same && file.Metadata[key] == value
	}
	if !same {
		return fmt.Errorf("%s: what was read again differs from what was written", path)
	}
	return nil
}

func equalTensors(a, b weights.Tensor) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Bytes, b.Bytes)
}

// ours are the keys that say what this program knows; every dialect has them.
func (o Origin) ours(lora *weights.LoRA) map[string]string {
	first := lora.Modules[0]
	return map[string]string{
		"focusnfix_version": o.Program, "focusnfix_run": o.Run, "focusnfix_preset": o.Preset,
		"focusnfix_model": filepath.Base(o.Config.Model.Path), "focusnfix_model_hash": o.ModelHash,
		"focusnfix_rank": strconv.FormatInt(first.Rank(), 10), "focusnfix_alpha": formatNumber(first.Alpha),
		"focusnfix_strength": formatNumber(cmp.Or(o.Strength, 1)), "focusnfix_step": strconv.Itoa(o.Step), "focusnfix_region_weight": formatNumber(o.Config.Region.Weight),
		"focusnfix_aspects": strings.Join(aspectsOf(o.Config), " "),
	}
}

// metadata is ours and that of Stability's model metadata standard (ModelSpec 1.0), which user interfaces
// show.
func (o Origin) metadata(lora *weights.LoRA, to string) (map[string]string, error) {
	m := o.ours(lora)
	sum, err := sumOf(lora)
	if err != nil {
		return nil, err
	}
	maps.Copy(m, map[string]string{
		"modelspec.sai_model_spec": "1.0.0", "modelspec.architecture": architecture(lora),
		"modelspec.implementation": "diffusers", "modelspec.title": stem(to), "modelspec.hash_sha256": "0x" + sum,
		"modelspec.date": o.Finished.UTC().Format(time.RFC3339), "modelspec.author": o.Program,
		"modelspec.description": fmt.Sprintf("repairs %s in images of %s; %d steps of Focus-N-Fix (arXiv 2501.06481)",
			strings.Join(aspectsOf(o.Config), ", "), filepath.Base(o.Config.Model.Path), o.Step),
	})
	if o.Config.Sample.Size != (core.Size{}) {
		m["modelspec.resolution"] = o.Config.Sample.Size.String()
	}
	return m, nil
}

// architecture is the base model's, in the standard's words where it has some.
func architecture(lora *weights.LoRA) string {
	kind, _ := lora.Kind()
	name, known := map[weights.Kind]string{
		weights.SD1: "stable-diffusion-v1", weights.SD2: "stable-diffusion-v2", weights.SDXL: "stable-diffusion-xl-v1-base",
		weights.SD3: "stable-diffusion-3", weights.ZImage: "z-image",
	}[kind]
	if !known {
		name = "latent-diffusion"
	}
	return name + "/lora"
}

// sumOf is the checksum of all tensors, whatever file they are in.
func sumOf(lora *weights.LoRA) (string, error) {
	hash := sha256.New()
	for _, m := range lora.Modules {
		for _, t := range []weights.Tensor{m.Down, m.Up} {
			if _, err := hash.Write(t.Bytes); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// kohyaMetadata adds what kohya's sd-scripts write: the training (ss_), and checksums by which web user
// interfaces know the file (sshs_). These are of the file with the ss_ keys alone, which is written first.
func kohyaMetadata(to string, lora *weights.LoRA, metadata map[string]string, o Origin) (map[string]string, error) {
	ss, err := o.kohya(to)
	if err != nil {
		return nil, err
	}
	if err := weights.WriteLoRA(to, weights.Kohya, lora.Modules, ss); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(to)
	if err != nil {
		return nil, err
	}
	maps.Copy(metadata, ss)
	metadata["sshs_model_hash"], metadata["sshs_legacy_hash"] = addnetHash(data), legacyHash(bytes.NewReader(data))
	metadata["modelspec.hash_sha256"] = "0x" + metadata["sshs_model_hash"]
	return metadata, nil
}

// addnetHash is that of a safetensors file without its header.
func addnetHash(data []byte) string {
	header := 8
	for i := range 8 { // little-endian length
		header += int(data[i]) << (8 * i)
	}
	sum := sha256.Sum256(data[header:])
	return hex.EncodeToString(sum[:])
}

// legacyHash is the web user interfaces' first: eight digits of 64 KiB that lie one MiB into the file.
func legacyHash(file io.ReaderAt) string {
	const from, size = 1 << 20, 64 << 10
	hash := sha256.New()
	_, _ = io.Copy(hash, io.NewSectionReader(file, from, size)) // of a smaller file it is that of nothing
	return hex.EncodeToString(hash.Sum(nil))[:8]
}

// kohya are the ss_ keys.
func (o Origin) kohya(to string) (map[string]string, error) {
	c := o.Config
	steps, rate := strconv.Itoa(o.Step), formatNumber(c.Train.LearningRate)
	m := map[string]string{
		"ss_output_name": stem(to), "ss_training_comment": fmt.Sprintf("Focus-N-Fix, preset %s, %s", o.Preset, o.Program),
		"ss_sd_model_name": filepath.Base(c.Model.Path), "ss_steps": steps, "ss_max_train_steps": strconv.Itoa(c.Train.Steps),
		"ss_learning_rate": rate, "ss_unet_lr": rate, "ss_text_encoder_lr": "0.0", "ss_lr_scheduler": c.Train.Schedule,
		"ss_optimizer": "AdamW", "ss_max_grad_norm": formatNumber(c.Train.GradClip), "ss_seed": strconv.Itoa(c.Train.Seed),
		"ss_total_batch_size":            strconv.Itoa(c.Train.Batch * c.Train.Accumulate),
		"ss_gradient_accumulation_steps": strconv.Itoa(c.Train.Accumulate),
		"ss_training_started_at":         unixTime(o.Started), "ss_training_finished_at": unixTime(o.Finished),
	}
	if size := c.Sample.Size; size != (core.Size{}) {
		m["ss_resolution"] = fmt.Sprintf("(%d, %d)", size.Width, size.Height)
	}
	return m, addModelHashes(m, c.Model.Path)
}

// addModelHashes adds those of a base model that is one file and still there; of a folder nobody has them.
func addModelHashes(m map[string]string, path string) (err error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	m["ss_new_sd_model_hash"], m["ss_sd_model_hash"] = hex.EncodeToString(hash.Sum(nil)), legacyHash(file)
	return nil
}

func stem(path string) string { return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) }

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func unixTime(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', 3, 64) }
