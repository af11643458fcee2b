package clip

import (
	"maps"

	"focusnfix/model/config"
)

// Why a key of transformers does not matter here.
const (
	inTraining = "in training only"
	generation = "of text generation"
	aboutFile  = "about the file or the class, not the network"
	aboutCall  = "what a call returns, or how it computes the same"
	aboutInit  = "how weights began"
)

// commonKeys are those that transformers writes, or wrote, into every configuration.
var commonKeys = map[string]string{
	"transformers_version": aboutFile, "architectures": aboutFile, "model_type": aboutFile, "torch_dtype": aboutFile, "dtype": aboutFile,
	"finetuning_task": aboutFile, "id2label": aboutFile, "label2id": aboutFile, "num_labels": aboutFile, "problem_type": aboutFile, "tokenizer_class": aboutFile,
	"prefix": generation, "task_specific_params": generation, "torchscript": aboutCall, "use_bfloat16": aboutCall,
	"tf_legacy_loss": aboutCall, "return_dict": aboutCall, "output_hidden_states": aboutCall, "output_attentions": aboutCall,
	"chunk_size_feed_forward": aboutCall, "use_cache": generation, "gradient_checkpointing": inTraining,
	"is_encoder_decoder": generation, "is_decoder": generation, "cross_attention_hidden_size": generation, "tie_encoder_decoder": generation,
	"tie_word_embeddings": generation, "max_length": generation, "min_length": generation, "do_sample": generation, "early_stopping": generation,
	"num_beams": generation, "num_beam_groups": generation, "diversity_penalty": generation, "temperature": generation, "top_k": generation,
	"top_p": generation, "typical_p": generation, "repetition_penalty": generation, "length_penalty": generation,
	"no_repeat_ngram_size": generation, "encoder_no_repeat_ngram_size": generation, "bad_words_ids": generation,
	"num_return_sequences": generation, "output_scores": generation, "return_dict_in_generate": generation,
	"forced_bos_token_id": generation, "forced_eos_token_id": generation, "remove_invalid_values": generation,
	"exponential_decay_length_penalty": generation, "suppress_tokens": generation, "begin_suppress_tokens": generation,
	"bos_token_id": generation, "pad_token_id": generation, "eos_token_id": generation, "sep_token_id": generation,
	"decoder_start_token_id": generation,
	"attention_dropout":      inTraining, "dropout": inTraining, "initializer_range": aboutInit, "initializer_factor": aboutInit,
}

// plainKeys are common keys that would change the network.
var plainKeys = map[string][]any{"add_cross_attention": {false}, "pruned_heads": {map[string]any{}}, "quantization_config": {}}

var (
	textKeys   = config.Keys{Plain: plainKeys, Irrelevant: commonKeys}
	visionKeys = config.Keys{Plain: plainKeys, Irrelevant: commonKeys}
	wholeKeys  = config.Keys{Plain: plainKeys, Irrelevant: with(commonKeys, map[string]string{
		"text_config": "read on its own", "vision_config": "read on its own",
		"text_config_dict": "read with text_config", "vision_config_dict": "read with vision_config",
		"logit_scale_init_value": aboutInit,
	})}
)

func with(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
