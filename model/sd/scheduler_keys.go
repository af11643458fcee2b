package sd

import "focusnfix/model/config"

// noiseKeys are those that all but the EDM schedulers have.
var noiseKeys = []string{
	"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
	"timestep_spacing", "steps_offset",
}

var (
	thresholdKeys = []string{"thresholding", "dynamic_thresholding_ratio", "sample_max_value"}
	spacingKeys   = []string{"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"}
	flowKeys      = []string{"use_flow_sigmas", "flow_shift", "use_dynamic_shifting", "time_shift_type"}
	clipKeys      = []string{"clip_sample", "clip_sample_range"}
)

// schedulerKeys are the keys of each class, those of its constructor in diffusers.
var schedulerKeys = map[string][]string{
	DDIM: keyList(noiseKeys, thresholdKeys, clipKeys, []string{"set_alpha_to_one", "rescale_betas_zero_snr"}),
	DDPM: keyList(noiseKeys, thresholdKeys, clipKeys, []string{"variance_type", "rescale_betas_zero_snr"}),
	PNDM: keyList(noiseKeys, []string{"skip_prk_steps", "set_alpha_to_one"}),
	LCM:  keyList(noiseKeys, thresholdKeys, clipKeys, distilledKeys),
	TCD:  keyList(noiseKeys, thresholdKeys, clipKeys, distilledKeys),
	Euler: keyList(noiseKeys, spacingKeys, []string{
		"interpolation_type", "sigma_min", "sigma_max", "timestep_type", "rescale_betas_zero_snr", "final_sigmas_type",
	}),
	EulerAncestral: keyList(noiseKeys, []string{"rescale_betas_zero_snr"}),
	Heun:           keyList(noiseKeys, spacingKeys, clipKeys),
	DPMSolver: keyList(noiseKeys, thresholdKeys, spacingKeys, flowKeys, []string{
		"solver_order", "algorithm_type", "solver_type", "lower_order_final", "euler_at_final", "use_lu_lambdas",
		"final_sigmas_type", "lambda_min_clipped", "variance_type", "rescale_betas_zero_snr",
	}),
	UniPC: keyList(noiseKeys, thresholdKeys, spacingKeys, flowKeys, []string{
		"solver_order", "predict_x0", "solver_type", "lower_order_final", "disable_corrector", "solver_p",
		"final_sigmas_type", "rescale_betas_zero_snr", "sigma_min", "sigma_max", "shift_terminal",
	}),
	DEIS: keyList(noiseKeys, thresholdKeys, spacingKeys, flowKeys, []string{
		"solver_order", "algorithm_type", "solver_type", "lower_order_final",
	}),
	EDMEuler: edmKeys,
	EDMDPMSolver: keyList(edmKeys, thresholdKeys, []string{
		"solver_order", "algorithm_type", "solver_type", "lower_order_final", "euler_at_final",
	}),
}

var (
	distilledKeys = []string{"original_inference_steps", "set_alpha_to_one", "timestep_scaling", "rescale_betas_zero_snr"}
	edmKeys       = []string{
		"sigma_min", "sigma_max", "sigma_data", "sigma_schedule", "num_train_timesteps", "prediction_type", "rho", "final_sigmas_type",
	}
)

func keyList(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// foreignSchedulerKeys are keys that one class or another has: in the file of a class that does not, they
// are left over from a conversion, and nothing reads them.
var foreignSchedulerKeys = func() map[string]bool {
	keys := map[string]bool{}
	for _, list := range schedulerKeys {
		for _, key := range list {
			keys[key] = true
		}
	}
	for _, key := range []string{ // of classes that are not built here
		"stochastic_sampling", "shift", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len",
		"invert_sigmas", "snr_shift_scale", "noise_sampler_seed", "s_churn", "s_noise", "s_tmin", "s_tmax",
	} {
		keys[key] = true
	}
	return keys
}()

// plainSchedulerKeys are keys of the built classes that belong to flow matching, which no UNet here does.
var plainSchedulerKeys = config.Keys{
	Plain: map[string][]any{
		"use_flow_sigmas": {false}, "use_dynamic_shifting": {false}, "shift_terminal": {}, "solver_p": {},
	},
	Irrelevant: map[string]string{
		"flow_shift": "read with use_flow_sigmas only", "time_shift_type": "read with use_dynamic_shifting only",
	},
}
