"""The rendered catalogue: garments whose attributes are known exactly, drawn from a seed.

vocabulary, palette, garment   the attributes, and which kind of garment has which
sampling      random garments, and edits of them
changes       what a text asks for, to be checked against any garment
grammar       texts from what two garments differ in (phrases, words, typos)
descriptions  texts that describe one garment
nuisance, drawing, photos      a garment as a picture, and pictures as files
collection, catalogue          the items of a split, and the dataset
"""
