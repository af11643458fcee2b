package sd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"focusnfix/model/weights"
)

// What the UNet of a single file predicts, and how its noise ends, no weight says. Programs leave marks:
// keys without a use (v_pred and ztsnr of NoobAI's training, edm_* of Playground), and entries of the header
// (modelspec of Stability AI).

// marks are what a single file says of itself.
type marks struct {
	prediction string // as in scheduler_config.json; "" says nothing
	zeroSNR    bool   // the last timestep is pure noise: rescaled betas, and trailing timesteps to reach it
	guess      bool   // the prediction follows from a statistic of the weights
}

// Keys of the marks.
const (
	vPredKey  = "v_pred"
	ztsnrKey  = "ztsnr"
	specKey   = "modelspec.prediction_type"
	specVPred = "v"
)

// readMarks finds the marks of a single file. SD 2 with none is told by a norm of the UNet, whose biases
// spread much wider in models of v-prediction, as ComfyUI does it.
// overruled is true where the user says the prediction, so that the header's need not be understood.
func readMarks(file *weights.File, kind weights.Kind, unet []weights.Tensor, overruled bool) (m marks, err error) {
	if m.prediction, err = predictionOfHeader(file.Metadata); err != nil && !overruled {
		return m, fmt.Errorf("%s: %w", file.Path, err)
	}
	for _, t := range file.Tensors {
		switch {
		case strings.HasPrefix(t.Key, "edm_vpred."), t.Key == "edm_mean", t.Key == "edm_std":
			return m, fmt.Errorf("%s: %s: the model is preconditioned as EDM (CosXL, Playground v2.5), which no single file can be drawn with; use its diffusers folder, if its scheduler is EDMEulerScheduler or EDMDPMSolverMultistepScheduler", file.Path, t.Key)
		case t.Key == vPredKey:
			m.prediction = "v_prediction"
		case t.Key == ztsnrKey:
			m.zeroSNR = true
		}
	}
	if m.zeroSNR && m.prediction == "" {
		m.prediction = "v_prediction" // pure noise says nothing to a model of noise
	}
	if m.prediction == "" && kind == weights.SD2 {
		m.prediction, m.guess = predictionOfSpread(unet)
	}
	return m, nil
}

// predictionOfHeader reads modelspec's entry, and the older predict_key.
func predictionOfHeader(header map[string]string) (string, error) {
	for _, key := range []string{specKey, "prediction_type", "modelspec.predict_key", "predict_key"} {
		switch value := strings.ToLower(header[key]); value {
		case "":
		case "v", "v_prediction", "v-prediction", "vpred", "v_pred":
			return "v_prediction", nil
		case "epsilon", "eps":
			return "epsilon", nil
		case "sample", "x0":
			return "sample", nil
		default:
			return "", fmt.Errorf("%s: %.40q in the header is not supported, want epsilon or v; --prediction says it", key, value)
		}
	}
	return "", nil
}

// spreadOfV lies between the spreads that published models of both kinds have.
const spreadOfV = 0.09

// predictionOfSpread guesses by the standard deviation of one norm's biases; ok is false without the norm.
func predictionOfSpread(unet []weights.Tensor) (prediction string, ok bool) {
	const norm = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias" // output_blocks.11.1 of the file
	i := slices.IndexFunc(unet, func(t weights.Tensor) bool { return t.Name == norm })
	if i < 0 {
		return "", false
	}
	values, err := floats(unet[i])
	if err != nil || len(values) == 0 {
		return "", false
	}
	mean, variance := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(len(values))
	}
	if math.Sqrt(variance) > spreadOfV {
		return "v_prediction", true
	}
	return "epsilon", true
}

// floats reads a small tensor.
func floats(t weights.Tensor) ([]float64, error) {
	wide, err := weights.Cast(t.Entry(), weights.F32)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if err := wide.Data(&raw); err != nil {
		return nil, err
	}
	values := make([]float64, raw.Len()/4)
	for i := range values {
		values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw.Next(4))))
	}
	return values, nil
}

// overrule puts what the user says over what the file does.
func (m marks) overrule(prediction string, zeroSNR *bool) marks {
	if prediction != "" {
		m.prediction, m.guess = prediction, false
		if prediction == "epsilon" {
			m.zeroSNR = false
		}
	}
	if zeroSNR != nil {
		m.zeroSNR = *zeroSNR
	}
	return m
}

// apply changes a scheduler's configuration to what the marks say.
func (m marks) apply(c *SchedulerConfig) {
	if m.prediction != "" {
		c.PredictionType = m.prediction
	}
	if m.zeroSNR {
		c.RescaleBetasToZero, c.TimestepSpacing = true, "trailing"
	} else if c.PredictionType == "epsilon" && m.prediction != "" {
		c.RescaleBetasToZero = false
	}
}

// entries are the marks as a single file has them: tensors, and entries of the header.
func (m marks) entries() (tensors []weights.Entry, header map[string]string) {
	header = map[string]string{}
	if m.prediction == "v_prediction" {
		header[specKey] = specVPred
		tensors = append(tensors, weights.Entry{Name: vPredKey, DType: weights.F32, Shape: []int64{0}, Data: weights.FromBytes(nil)})
	}
	if m.zeroSNR {
		tensors = append(tensors, weights.Entry{Name: ztsnrKey, DType: weights.F32, Shape: []int64{0}, Data: weights.FromBytes(nil)})
	}
	return tensors, header
}

// marksOf are the marks that a scheduler's configuration stands for.
func marksOf(c SchedulerConfig) marks {
	return marks{prediction: c.PredictionType, zeroSNR: c.RescaleBetasToZero}
}

// checkPrediction refuses what no scheduler computes.
func checkPrediction(prediction string, zeroSNR *bool) error {
	if !slices.Contains([]string{"", "epsilon", "v_prediction", "sample"}, prediction) {
		return fmt.Errorf("prediction %.40q, want epsilon, v_prediction or sample", prediction)
	}
	if zeroSNR != nil && *zeroSNR && prediction == "epsilon" {
		return errors.New("zero terminal SNR does not go with epsilon: pure noise says nothing about the image to it")
	}
	return nil
}
