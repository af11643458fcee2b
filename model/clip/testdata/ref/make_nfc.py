"""Writes tokenizer_nfc.txt, the tables behind normalisation form C, from Python's
copy of the Unicode Character Database.

    python make_nfc.py > ../../tokenizer_nfc.txt
"""

import unicodedata

print("# Canonical decompositions and combining classes of the Unicode Character Database")
print(f"# {unicodedata.unidata_version}, reduced by testdata/ref/make_nfc.py; licence in tokenizer_nfc.LICENSE.")
print("# CODE=FIRST [SECOND]   decomposition; with '<' in place of '=' it is never composed")
print("# CLASS:FIRST-LAST ...  combining class and the code points that have it")
classes = {}
for code in range(0x110000):
    if 0xAC00 <= code < 0xD7A4:  # Hangul syllables follow a rule
        continue
    char = chr(code)
    parts = unicodedata.decomposition(char)
    if parts and not parts.startswith("<"):
        composed = "".join(chr(int(p, 16)) for p in parts.split())
        sign = "=" if unicodedata.normalize("NFC", composed) == char else "<"
        print(f"{code:X}{sign}{parts}")
    if unicodedata.combining(char):
        spans = classes.setdefault(unicodedata.combining(char), [])
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
for number, spans in sorted(classes.items()):
    print(f"{number}:" + " ".join(f"{a:X}-{b:X}" for a, b in spans))
