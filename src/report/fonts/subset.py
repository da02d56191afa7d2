"""Makes regular.otf and semibold.otf: Inter 3.19 with Latin letters only, and in regular digits that are all equally wide.

    subset.py FOLDER-OF-INTER-OTF    (needs fonttools)
"""

import pathlib
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

FAMILY = "Netquota Sans"  # Not Inter: another font with fewer letters should not pass for it.
LETTERS = [*range(0x20, 0x7F), *range(0xA0, 0x100), 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2026, 0x20AC]


def tabular_digits(font):
    table = font["GSUB"].table
    wide = {}
    for feature in table.FeatureList.FeatureRecord:
        if feature.FeatureTag == "tnum":
            for index in feature.Feature.LookupListIndex:
                for part in table.LookupList.Lookup[index].SubTable:
                    wide.update(getattr(getattr(part, "ExtSubTable", part), "mapping", {}))
    for table in font["cmap"].tables:
        if table.isUnicode():
            for digit in range(0x30, 0x3A):
                table.cmap[digit] = wide.get(table.cmap[digit], table.cmap[digit])


def rename(font, weight):
    names = {1: FAMILY, 2: weight, 3: f"NetquotaSans-{weight}", 4: f"{FAMILY} {weight}", 6: f"NetquotaSans-{weight}"}
    names |= {16: FAMILY, 17: weight}
    for record in font["name"].names:
        record.string = names.get(record.nameID, record.toUnicode())
    font["CFF "].cff.fontNames = [names[6]]
    top = font["CFF "].cff.topDictIndex[0]
    top.FamilyName, top.FullName = FAMILY, names[4]


for weight in ("Regular", "SemiBold"):
    font = TTFont(pathlib.Path(sys.argv[1]) / f"Inter-{weight}.otf")
    if weight == "Regular":  # Large figures stand alone.
        tabular_digits(font)
    options = subset.Options()
    options.layout_features, options.hinting = ["kern"], False
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14, 16, 17]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=LETTERS)
    subsetter.subset(font)
    rename(font, weight)
    font.save(pathlib.Path(__file__).parent / f"{weight.lower()}.otf")
