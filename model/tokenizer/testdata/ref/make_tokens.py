"""Makes small tokenizers of the kinds that T5, Qwen3 and BERT have, and the ids that the tokenizers library gives
nasty prompts -> NAME.json.gz, tokens.json.gz

    python make_tokens.py        (tokenizers 0.23.3, sentencepiece 0.2.3, transformers 5.24.0)

The vocabularies are learned here from the text below. The table of the Precompiled normalizer is sentencepiece's
nmt_nfkc (Apache 2.0, notice in charsmap.LICENSE), as the released T5 has it.
"""

import gzip
import io
import json
import os
import random

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
random.seed(5)

CORPUS = """
a chef in the park, holding a tree; two cats and a dog near the river. It's the detective's hat, isn't it?
a photograph of an astronaut riding a horse on mars, highly detailed, 8k, trending, studio lighting, f/1.8
Ein Königspinguin läuft über die Straße. Une fée près du château. El niño comió una piña. Żółta łódka płynie.
зимний лес на рассвете, снег и туман; кот сидит на крыше. 一只猫坐在屋顶上,红色的灯笼。東京の夜、雨に濡れた道。
서울의 밤거리와 비. صورة قطة على السطح. बिल्ली छत पर बैठी है। แมวนั่งอยู่บนหลังคา mèo ngồi trên mái nhà
a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z 0 1 2 3 4 5 6 7 8 9
the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs! (1234567890) [x] {y} <z> #tag @me
""".strip().split("\n")

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def sentencepiece_model():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 8), model_writer=out, model_type="unigram", vocab_size=240, character_coverage=0.98,
        normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, num_threads=1)
    return sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())


def unigram(old):
    m = sentencepiece_model()
    vocab = [(p.piece, p.score) for p in m.pieces]
    t = Tokenizer(models.Unigram(vocab, 2, False))
    table = m.normalizer_spec.precompiled_charsmap
    if old:
        t.normalizer = normalizers.Precompiled(table)
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")])
    else:
        t.normalizer = normalizers.Sequence(
            [normalizers.Precompiled(table), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
        t.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    t.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    plain = dict(normalized=False, special=True)
    t.add_special_tokens([AddedToken(x, **plain) for x in ("<pad>", "</s>", "<unk>", "<extra_id_0>")])
    t.add_tokens([AddedToken("Café", normalized=True), AddedToken("<l>", lstrip=True, normalized=False),
                  AddedToken("<r>", rstrip=True, normalized=False), AddedToken("solo", single_word=True, normalized=False)])
    return t


def bpe():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(CORPUS * 8, trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    return t


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(CORPUS * 8, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    return t


PIECES = [
    "a chef", "in the park", "  ", " ", "\t", "\n", "\r\n", "\n\n  ", "It's", "it'S", "WE'LL", "don't", "x'd", "'", "’s", "123", "4", "½", "①", "Ⅷ", "٣",
    "Café", "Cafe\u0301", "e\u0301", "o\u0308\u0323", "ﬁ", "Ａｂｃ", "１２", "﻿", "\u200b", "\u200d", "\u00a0", "\u3000", "\u2028", "\u00ad", "\x00", "\x07", "\x7f",
    "👩‍🚀", "🏳️‍🌈", "😀", "🇩🇪", "👍🏽", "猫", "東京の夜", "서울", "ㅎㅏㄴ", "قطة", "ﷺ", "बिल्ली", "แมว", "ß", "ẞ", "İ", "ſ", "Å", "Å", "Ω", "™", "…", "—",
    "</s>", "<pad>", "<unk>", "<extra_id_0>", "<l>", " <l>", "<r> ", "solo", "solos", "xsolo", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|", "▁", "▁▁",
    "!!!", "?!", "...", "(a)", "[b]", "{c}", "#1", "@me", "http://x.y/z?q=1", "C++", "f/1.8", "--", "\\n", "\"q\"", "a" * 40, "ab " * 20, "\ufffd", "\ue000", "𝔘", "𐍈",
    "ⁿ", "㎏", "㈱", "ｶﾞ", "が", "か\u3099", "Ḋ\u0323", "\u0301", "\u0344", "한국어", "ÅÅ", "ﬃ", "№", "℃", "﹏", "﷽", "\u180e", "\u2060", "\u061c",
]


def prompts():
    out = ["", " ", "  a", "a  ", "\n"] + PIECES
    while len(out) < 600:
        out.append(random.choice(["", " ", ""]).join(random.choices(PIECES, k=random.randint(2, 9))))
    while len(out) < 700:
        out.append("".join(chr(random.choice([random.randint(1, 0x24F), random.randint(0x300, 0x3FF), random.randint(0x2000, 0x33FF),
                                              random.randint(0xF900, 0xFFFD), random.randint(0x1F300, 0x1FAFF)])) for _ in range(random.randint(1, 12))))
    return out


def zipped(name, value):
    with open(os.path.join(HERE, name), "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(value.encode() + b"\n")


def main():
    texts = prompts()
    made = {"unigram_old": unigram(True), "unigram": unigram(False), "bpe": bpe(), "wordpiece": wordpiece()}
    for name, t in made.items():
        zipped(f"{name}.json.gz", t.to_str())
    ids = {name: [t.encode(p).ids for p in texts] for name, t in made.items()}
    zipped("tokens.json.gz", json.dumps(dict(
        made_with=dict(tokenizers=tokenizers.__version__, sentencepiece=sentencepiece.__version__), prompts=texts, ids=ids)))


if __name__ == "__main__":
    main()
