"""Writes nfc.txt, the tables behind normalisation form C, from Python's copy
of the Unicode Character Database, less what the tokenizers package does not know yet:
it normalises by Unicode 9, and we want its ids.

    python make_nfc.py > ../../nfc.txt
"""

import unicodedata

import tokenizers

reference = tokenizers.normalizers.NFC().normalize_str


def reorders(char):
    """Whether the reference moves char before a mark of another combining class."""
    return any(reference(s) != s for s in ["a" + char + "\u0334", "a\u0345" + char])


print("# Canonical decompositions and combining classes of the Unicode Character Database")
print(f"# {unicodedata.unidata_version}, as far as tokenizers {tokenizers.__version__} knows them, reduced by")
print("# testdata/ref/make_nfc.py; license in nfc.LICENSE.")
print("# CODE=FIRST [SECOND]   decomposition; with '<' in place of '=' it is never composed")
print("# CLASS:FIRST-LAST ...  combining class and the code points that have it")
classes = {}
for code in range(0x110000):
    if 0xAC00 <= code < 0xD7A4 or 0xD800 <= code < 0xE000:  # Hangul follows a rule; surrogates are no characters
        continue
    char = chr(code)
    parts = unicodedata.decomposition(char)
    if parts and not parts.startswith("<"):
        composed = "".join(chr(int(p, 16)) for p in parts.split())
        sign = "=" if unicodedata.normalize("NFC", composed) == char else "<"
        if reference(composed) == unicodedata.normalize("NFC", composed):
            print(f"{code:X}{sign}{parts}")
    if unicodedata.combining(char) and reorders(char):
        spans = classes.setdefault(unicodedata.combining(char), [])
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
for number, spans in sorted(classes.items()):
    print(f"{number}:" + " ".join(f"{a:X}-{b:X}" for a, b in spans))
