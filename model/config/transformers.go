package config

import "maps"

// Why a key of transformers does not matter.
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

// commonPlain are keys of every configuration that would change the network.
var commonPlain = map[string][]any{
	"add_cross_attention": {false}, "pruned_heads": {map[string]any{}}, "quantization_config": {},
}

// Transformers are the keys that every configuration of transformers may have beside those of its class, which more
// adds: those that do not matter, with the reason, and, in plain, values that change nothing.
func Transformers(plain map[string][]any, more map[string]string) Keys {
	k := Keys{Plain: maps.Clone(commonPlain), Irrelevant: maps.Clone(commonKeys)}
	maps.Copy(k.Plain, plain)
	maps.Copy(k.Irrelevant, more)
	return k
}
