"""Makes the reference ids of the tokenizer tests with transformers' CLIPTokenizer.

    python make_tokens.py            # reads ../../openai and ../learned, writes tokens.json
    python make_tokens.py VOCAB_GZ   # first cuts ../../openai/merges.txt.gz out of OpenAI's file

VOCAB_GZ is bpe_simple_vocab_16e6.txt.gz as OpenAI published it with CLIP (MIT); the
wheels of open-clip-torch 3.3.0 and clip-anytorch 2.6.0 carry it (sha256 924691ac...).
Its first 48894 merges are the ones that CLIP uses.
"""

import gzip
import json
import os
import random
import sys
import tempfile

import tokenizers
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
OPENAI = os.path.join(HERE, "..", "..", "openai", "merges.txt.gz")
random.seed(11)


def cut_merges(path):
    lines = gzip.open(path).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    with open(OPENAI, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(("#version: 0.2\n" + "\n".join(lines) + "\n").encode())


def byte_runes():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def openai_folder(folder, files):
    text = gzip.open(OPENAI).read().decode()
    runes = byte_runes()
    vocab = runes + [r + "</w>" for r in runes]
    vocab += ["".join(line.split()) for line in text.split("\n")[1:] if line]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    json.dump({v: i for i, v in enumerate(vocab)}, open(os.path.join(folder, "vocab.json"), "w"))
    open(os.path.join(folder, "merges.txt"), "w").write(text)
    for name, value in files.items():
        json.dump(value, open(os.path.join(folder, name), "w"))
    return transformers.CLIPTokenizer.from_pretrained(folder)


def token(text, **extra):
    return {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False} | extra


START, END = "<|startoftext|>", "<|endoftext|>"
CONFIGS = {  # the forms these files have in published models
    "sd1": {
        "tokenizer_config.json": {
            "bos_token": token(START, __type="AddedToken"),
            "eos_token": token(END, __type="AddedToken"),
            "unk_token": token(END, __type="AddedToken"),
            "pad_token": END,
            "model_max_length": 77,
        },
        "special_tokens_map.json": {
            "bos_token": token(START),
            "eos_token": token(END),
            "unk_token": token(END),
            "pad_token": END,
        },
    },
    "sd2": {
        "tokenizer_config.json": {
            "bos_token": token(START, __type="AddedToken"),
            "eos_token": token(END, __type="AddedToken"),
            "unk_token": token(END, __type="AddedToken"),
            "pad_token": END,
            "model_max_length": 77,
        },
        "special_tokens_map.json": {
            "bos_token": token(START),
            "eos_token": token(END),
            "unk_token": token(END),
            "pad_token": "!",
        },
    },
    "sdxl2": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "0": token("!", normalized=False, special=True),
                "49406": token(START, special=True),
                "49407": token(END, special=True),
            },
            "bos_token": START,
            "eos_token": END,
            "unk_token": END,
            "pad_token": "!",
            "model_max_length": 77,
        },
        "special_tokens_map.json": {"pad_token": END},
    },
}

WORDS = """a an the photo painting of portrait astronaut riding horse knight dragon castle in on under neon city
street rain highly detailed 8k artstation by greg rutkowski soft light golden hour two three 17 1024x768 chef's
don't they're we've I'm he'll she'd unreal-engine trending cinematic (masterpiece:1.2) [ugly] {best} bokeh f/1.8
über façade naïve crème brûlée Ångström İstanbul ΑΘΗΝΑ ὈΔΥΣΣΕΎΣ ΣΊΣΥΦΟΣ Москва Київ 東京 北京 서울 กรุงเทพ हिन्दी עִברִית العَرَبِية
🙂 👩‍🚀 🏳️‍🌈 ❤️ 🇩🇪 ½ ² Ⅷ № ™ … – — “quoted” ‘single’ «guillemets» "straight" it’s ﬁne DŽ ǅ ß ẞ""".split()
SPECIAL = [
    "", " ", "\t\n\r\f\v", "\u00a0\u2003\u3000\u2028\u0085", "a\u00a0cat\u3000sat", "a\u200bcat\ufeff", "tab\there", "line\nfeed",
    "\u0000null", "bell\u0007 escape\u001b[31m", "\u001c\u001d\u001e\u001f", "\u007f\u0080\u009f", "\ufffd\uffff\U0010ffff",
    "<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|EndOfText|>", "a<|endoftext|>b", "x <|startoftext|> y <|endoftext|> z",
    "<|endoftext", "<||>", "<|endoftext|><|endoftext|>", "<start_of_text>", "!", "!!", "a cat! dog!!", "wow!it's!", "! !", "¡hola!",
    "'s", "'S", "''s", "'''", "it''s", "'re're", "'r e", "don't DON'T DoN'T", "l'été", "rock'n'roll", "'tis the 'd", "a's'b't",
    "café cafe\u0301 CAFE\u0301", "A\u030a \u212b \u00c5", "\u1100\u1161\u11a8 각 \u1112\u1161\u11ab", "\u0958 \u0915\u093c", "q\u0307\u0323 q\u0323\u0307",
    "\u0344 \u0390 \u03b9\u0308\u0301", "\u0f73\u0f75", "\U0001d15e \U0001d157\U0001d165", "\u2126 \u212a", "\ufa10 \uf900 \u2f800", "x\u0301\u0301\u0301\u0301",
    "\u0301alone", "Ja\u09e4\u09a0\u093c\u0327\u09fe", "İ I ı i i\u0307", "ΟΔΟΣ Σ ς", "ꭰ Ꭰ", "Ა ა", "ﬀ ﬁ ﬂ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "Ⓐ ⓐ", "ᴬ ᵃ ª º", "Ǆ ǅ ǆ", "a_b_c", "a-b--c---d", "1,234.56", "3.14159265358979",
    "1234567890", "٣٤٥ १२३ 五六", "½¼¾ ⅓ ①②③ ⒈", "𝟘𝟙𝟚", "x²+y²=z²", "E=mc²", "50% $20 €30 £40 ¥50 ₿1", "#hash @at &amp; &lt; &#39;", "http://example.org/?a=b&c=d#e",
    "C:\\path\\to\\file", "a/b\\c|d", "(((very))) [[weak]] {a|b}", "<lora:name:0.8>", "...", "…", "?!?!", "----", "====", "~~~", "^_^ :-) ;-P <3",
    "👨‍👩‍👧‍👦", "👍🏽👍🏿", "🇺🇸🇯🇵", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "☕️☕", "1️⃣ 2️⃣", "©®™", "♥♦♣♠", "←↑→↓", "∀x∈ℝ: ⌈x⌉", "┌─┐", "▁▂▃▄▅▆▇█",
    "一只戴着帽子的猫，站在雨中。", "猫が座っている、夕暮れの東京", "ｆｕｌｌｗｉｄｔｈ ＡＢＣ１２３", "ｶﾞｷﾞｸﾞ", "カ\u3099", "고양이 한 마리", "แมวนั่งอยู่บนเสื่อ", "एक बिल्ली", "বাংলা বিড়াল", "தமிழ் பூனை", "መልካም ቀን", "ខ្មែរ", "ပင်လယ်",
    "კატა", "կատու", "Кошка сидит на окне", "Ёжик в тумане", "Γάτα", "חתול על המחצלת", "قطة على السجادة", "پیشی‌نامه", "ٱلْحَمْدُ", "con mèo ngồi", "Ö̈ ở ậ", "zażółć gęślą jaźń", "ŁÓDŹ", "ÆØÅ æøå", "ĲSSEL ĳ", "ŉ ǰ", "Ǻ ǻ",
    "a" * 300, "ab" * 200, "supercalifragilisticexpialidocious " * 3, "word " * 75, "word " * 76, "word " * 77, "!" * 80, "猫" * 90, "🙂" * 40, " ".join("abcdefghij") * 20,
    " leading", "trailing ", "  many   spaces  ", "MiXeD CaSe TeXT", "ALL CAPS", "newline\n\n\nnewline", "a\r\nb", "\\n not newline", "NaN inf -0", "null None undefined", "<b>html</b>", "```code```", "a+b=c", "é", "e\u0301", "ﷺ", "\u202eabc\u202c", "\u2066x\u2069", "a\u00adb", "a\u2060b", "\u180e\u200b\u200c\u200d",
]


def prompts():
    made = list(SPECIAL)
    while len(made) < 500:
        count = random.choice([3, 5, 8, 12, 20, 40, 200]) if len(made) < 320 else random.choice([4, 9, 15])
        words = [random.choice(WORDS) for _ in range(count)]
        if random.random() < 0.1:
            words.insert(random.randrange(len(words)), random.choice([START, END, END.upper(), "!"]))
        made.append(random.choice([" ", " ", " ", ", ", "\u00a0", "  ", "\n"]).join(words))
    return made


def encode(tokenizer, text):
    full = tokenizer(text)["input_ids"]
    ids = tokenizer(text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True)["input_ids"]
    lost = full[tokenizer.model_max_length - 1 : -1]
    count = min(len(full), tokenizer.model_max_length)
    assert ids[count:] == [tokenizer.pad_token_id] * (tokenizer.model_max_length - count)
    return {"ids": ids[:count], "lost": len(lost)}


def main():
    if len(sys.argv) > 1:
        cut_merges(sys.argv[1])
    texts = prompts()
    made = f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    out = {"made_with": made, "configs": {}, "prompts": texts, "results": {}}
    for name, files in CONFIGS.items():
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = openai_folder(folder, files)
            out["configs"][name] = {k: json.dumps(v) for k, v in files.items()}
            results = [encode(tokenizer, t) for t in texts]
            base = out["results"].get("sd1", [None] * len(texts))
            out["results"][name] = [None if r == b else r for r, b in zip(results, base)]
    learned = transformers.CLIPTokenizer.from_pretrained(os.path.join(HERE, "..", "learned"))
    out["results"]["learned"] = [encode(learned, t) for t in texts]
    with open(os.path.join(HERE, "tokens.json"), "w") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
    print(made, len(texts), "prompts")


main()
