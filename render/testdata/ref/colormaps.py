"""Writes colormaps.csv, the 256 colours of matplotlib's viridis, magma and turbo, and prints the 33 colours
of each that colormap.go holds. Needs matplotlib; made with 3.11.2.

viridis and magma: Stefan van der Walt, Nathaniel Smith, Eric Firing; CC0.
turbo: Anton Mikhailov, Copyright 2019 Google LLC; Apache-2.0.
"""
import matplotlib

names = ["viridis", "magma", "turbo"]
maps = {n: [tuple(int(v * 255 + 0.5) for v in matplotlib.colormaps[n](i)[:3]) for i in range(256)] for n in names}
with open("colormaps.csv", "w") as f:
    f.write("# matplotlib " + matplotlib.__version__ + ": index, then red, green, blue of " + ", ".join(names) + "\n")
    for i in range(256):
        f.write(",".join(str(v) for v in [i, *maps["viridis"][i], *maps["magma"][i], *maps["turbo"][i]]) + "\n")
for n in names:
    at = [i * 255 / 32 for i in range(33)]
    cmap = matplotlib.colormaps[n]
    cols = []
    for a in at:
        i, t = min(int(a), 254), a - min(int(a), 254)
        cols.append([int((p * (1 - t) + q * t) * 255 + 0.5) for p, q in zip(cmap(i)[:3], cmap(i + 1)[:3])])
    text = "".join("%02x%02x%02x" % tuple(c) for c in cols)
    worst = 0
    for i in range(256):
        a = i * 32 / 255
        k, t = min(int(a), 31), a - min(int(a), 31)
        for c in range(3):
            worst = max(worst, abs(cols[k][c] * (1 - t) + cols[k + 1][c] * t - maps[n][i][c]))
    print(n, "worst", round(worst, 2))
    for i in range(0, len(text), 66):
        print('\t"' + text[i:i + 66] + '" +')
