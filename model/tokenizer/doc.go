// Package tokenizer cuts prompts into the ids that language models were trained on: what a
// tokenizer.json of the tokenizers library says, as far as T5 (Unigram), Qwen (byte-level BPE) and BERT
// (WordPiece) use it, and the parts that CLIP's own tokenizer shares with them.
package tokenizer
