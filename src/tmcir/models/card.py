"""The model card: README.md of a model directory."""

from __future__ import annotations

FRONT_MATTER = """---
library_name: tmcir
tags:
- composed-image-retrieval
---
"""
"""Metadata of every card, for the hub."""

USE = """## Use

```python
import tmcir

model = tmcir.load("path/or/hub/id")
queries = model.compose(["reference.jpg"], ["in red, more formal"])  # float32 [1, D]
gallery = model.encode_images(["a.jpg", "b.jpg"])  # float32 [2, D]
best = (queries @ gallery.T).argmax()
```

`tmcir index` and `tmcir search` do the same over a folder of photos. The weights are safetensors;
nothing in this directory is code.
"""
"""How to use any of our models."""

TEMPLATE = f"""---
{{{{ card_data }}}}
---

# A TMCIR model for composed image retrieval

A reference image and a modification text become one query embedding, by adaptive token fusion
(TMCIR, https://arxiv.org/abs/2504.10995) unless `config.json` names another method. No figures are
on record for these weights: measure them with `tmcir evaluate` before you rely on them.

{USE}"""
"""The default card, a Jinja template of huggingface_hub."""
