"""Adaptive token fusion against a plain loop written from METHOD.md, equations (2) and (3)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.models.fusion import AdaptiveTokenFusion, FusionSettings

PATCHES, LENGTH, SIZE = 9, 5, 16


def make_fusion(trained: bool = True, **settings: Any) -> AdaptiveTokenFusion:
    torch.manual_seed(7)
    chosen = FusionSettings(hidden_size=12, heads=3, **settings)
    fusion = AdaptiveTokenFusion(SIZE, PATCHES, LENGTH, chosen)
    if trained:
        for parameter in fusion.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        statistics = fusion.merger.statistics
        statistics.mean.fill_(0.02)
        statistics.square.fill_(0.05)
        statistics.steps.fill_(1)
    return fusion.double().eval()


def make_features(
    lengths: list[int], seed: int = 0, width: int | None = None
) -> tuple[ImageFeatures, TextFeatures]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    count, width = len(lengths), width or max(1, *lengths)
    image = ImageFeatures(
        functional.normalize(draw(count, SIZE), dim=-1), draw(count, PATCHES, SIZE)
    )
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    text = TextFeatures(
        functional.normalize(draw(count, SIZE), dim=-1), draw(count, width, SIZE), mask
    )
    return image, text


def plain_query(
    fusion: AdaptiveTokenFusion,
    v0: torch.Tensor,
    v: torch.Tensor,
    t0: torch.Tensor,
    t: torch.Tensor,
) -> torch.Tensor:
    """One sample, one token at a time, as METHOD.md section 4 says it."""

    def cos(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a / a.norm()) @ (b / b.norm()))

    merger, reader, settings = fusion.merger, fusion.reader, fusion.merger.settings
    mean = float(merger.statistics.mean)
    theta = mean + settings.kappa * math.sqrt(float(merger.statistics.square) - mean**2)
    if settings.threshold is not None:
        theta = settings.threshold
    members: dict[int, list[int]] = {j: [] for j in range(len(t))}
    absorbed = [0.0] * len(v)
    for i in range(len(v)):
        similarities = [cos(v[i], t[j]) for j in range(len(t))]
        if not similarities or not settings.merge:
            continue
        above = max(similarities) - theta
        if settings.match_temperature is None:
            absorbed[i] = float(above >= 0)
        else:
            absorbed[i] = 1 / (1 + math.exp(-above / settings.match_temperature))
        if absorbed[i] > 0:
            members[similarities.index(max(similarities))].append(i)

    def place(position: torch.Tensor | float, kind: torch.Tensor | float) -> torch.Tensor:
        return torch.zeros_like(reader.query_token) + position + kind

    positions = merger.text_positions, merger.patch_positions
    types = torch.zeros(3, len(reader.query_token)) if merger.types is None else merger.types
    tokens, places, sizes = [], [], []
    for j in range(len(t)):
        token, size, merged = t[j], 1.0, 0.0
        position = torch.zeros(())
        if positions[0] is not None:
            position = positions[0][min(j, LENGTH - 1)]
        if members[j]:
            scores = torch.tensor(
                [
                    absorbed[i] * math.exp(cos(v[i], t[j]) / settings.merge_temperature)
                    for i in members[j]
                ],
                dtype=torch.float64,
            )
            w = scores / scores.sum()
            merged = max(absorbed[i] for i in members[j])
            strongest = max(cos(v[i], t[j]) for i in members[j])
            alpha = merged * torch.sigmoid(merger.alpha_scale * strongest + merger.alpha_offset)
            mixed = sum(w[n] * v[i] for n, i in enumerate(members[j]))
            token = (1 - alpha) * t[j] + alpha * mixed
            if positions[1] is not None:
                places_of_patches = positions[1]
                moved = sum(w[n] * places_of_patches[i] for n, i in enumerate(members[j]))
                position = position + merged * moved
            size += sum(absorbed[i] for i in members[j])
        tokens.append(token)
        places.append(place(position, (1 - merged) * types[0] + merged * types[2]))
        sizes.append(size if settings.sizes else 1.0)
    for i in range(len(v)):
        if absorbed[i] < 1 - 1e-6:
            tokens.append(v[i])
            places.append(place(0 if positions[1] is None else positions[1][i], types[1]))
            sizes.append(1 - absorbed[i])

    pooled = fusion.pooled_norm(torch.cat([v0, t0]))
    hidden = [reader.query_token + reader.pooled_input(pooled)]
    for token, where in zip(tokens, places, strict=True):
        hidden.append(reader.token_input(reader.token_norm(token)) + where)
    sequence = torch.stack(hidden)
    bias = torch.tensor([1, *sizes], dtype=torch.float64).log()
    for layer in reader.layers:
        q, k, u = layer.query_key_value(layer.attention_norm(sequence)).chunk(3, dim=-1)
        heads = []
        for q_head, k_head, u_head in zip(
            q.chunk(layer.heads, -1),
            k.chunk(layer.heads, -1),
            u.chunk(layer.heads, -1),
            strict=True,
        ):
            logits = q_head @ k_head.T / math.sqrt(q_head.shape[-1]) + bias
            heads.append(torch.softmax(logits, dim=-1) @ u_head)
        sequence = sequence + layer.attention_output(torch.cat(heads, dim=-1))
        sequence = sequence + layer.mlp(layer.mlp_norm(sequence))
    o = reader.output_norm(sequence[0])
    g_v, g_t = torch.ones(1), torch.ones(1)
    if fusion.gate is not None:
        gated = functional.gelu(fusion.gate.hidden(pooled))
        logits = fusion.gate.weights(gated)  # those of the image, then as many of the text
        half = len(logits) // 2
        g_v, g_t = 2 * torch.softmax(torch.stack([logits[:half], logits[half:]]), dim=0)
    q = g_v * v0 + g_t * t0 + fusion.output.weight @ o
    if fusion.gate is not None and fusion.gate.residual is not None:
        q = q + fusion.gate.residual(gated)
    normalised: torch.Tensor = q / q.norm()
    return normalised


# What an ablation takes away, or puts in the place of something.
ABLATIONS: dict[str, dict[str, Any]] = {
    "no merge": {"merge": False},
    "soft matching": {"match_temperature": 0.1},
    "fixed threshold": {"threshold": 0.2},
    "other kappa": {"kappa": 0.0},
    "no positions": {"positions": False},
    "no types": {"types": False},
    "no sizes": {"sizes": False},
    "scalar gate": {"gate": "scalar"},
    "no gate": {"gate": "none"},
    "no norm": {"pooled_norm": False},
    "residual": {"gate_residual": True},
}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, LENGTH + 2), min_size=1, max_size=5),
    seed=st.integers(0, 10_000),
    kappa=st.floats(-1.0, 3.0),
    ablations=st.sets(st.sampled_from(sorted(ABLATIONS)), max_size=3),
)
def test_batched_fusion_equals_a_plain_loop(
    lengths: list[int], seed: int, kappa: float, ablations: set[str]
) -> None:
    assume(not {"no gate", "residual"} <= ablations)  # the residual is a part of the gate
    changes = {key: value for name in sorted(ablations) for key, value in ABLATIONS[name].items()}
    fusion = make_fusion(**{"kappa": kappa, **changes})
    image, text = make_features(lengths, seed)
    queries = fusion(image, text).query
    for n, length in enumerate(lengths):
        expected = plain_query(
            fusion, image.pooled[n], image.tokens[n], text.pooled[n], text.tokens[n, :length]
        )
        # float32 inside: the fusion always normalises and compares in float32.
        torch.testing.assert_close(queries[n].double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", [None, *ABLATIONS])
def test_the_untrained_fusion_is_the_normalised_sum(name: str | None) -> None:
    fusion = make_fusion(trained=False, **(ABLATIONS[name] if name else {}))
    image, text = make_features([3, 5, 0, 1])
    output = fusion(image, text)
    expected = functional.normalize(image.pooled + text.pooled, dim=-1)
    torch.testing.assert_close(output.query.double(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(output.gate, torch.ones_like(output.gate))


@pytest.mark.parametrize("trained", [True, False])
def test_padding_and_company_do_not_change_a_query(trained: bool) -> None:
    fusion = make_fusion(trained=trained)
    if not trained:  # keep the untrained statistics, but a trained output
        torch.nn.init.normal_(fusion.output.weight)
    lengths = [2, 5, 0, 4]
    image, text = make_features(lengths)
    together = fusion(image, text).query
    padded = TextFeatures(
        text.pooled,
        torch.cat([text.tokens, torch.full((4, 3, SIZE), 9.0, dtype=torch.float64)], dim=1),
        functional.pad(text.mask, (0, 3)),
    )
    torch.testing.assert_close(fusion(image, padded).query, together)
    for n in range(len(lengths)):
        row = torch.tensor([n])
        alone = fusion(image.select(row), text.select(row)).query
        torch.testing.assert_close(alone, together[n : n + 1])


@pytest.mark.parametrize("kappa", [-1.0, 0.5, 100.0])
def test_samples_grouped_by_length_are_read_as_all_together(kappa: float) -> None:
    """A large batch is read in groups: the same queries, the same gradients."""
    fusion = make_fusion(kappa=kappa)
    image, text = make_features([n % (LENGTH + 1) for n in range(37)])
    weights = torch.randn(37, SIZE, generator=torch.Generator().manual_seed(1))
    outputs, gradients = [], []
    for group_by_length in (False, True):
        fusion.zero_grad()
        outputs.append(fusion(image, text, group_by_length=group_by_length))
        (outputs[-1].query * weights).sum().backward()
        gradients.append([parameter.grad for parameter in fusion.parameters()])
    together, grouped = outputs
    torch.testing.assert_close(grouped.query, together.query)
    assert grouped.sequence_length == together.sequence_length
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_layer_with_one_output_reads_all_tokens() -> None:
    layer = make_fusion().reader.layers[0]
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(4, 6, 12, generator=generator, dtype=torch.float64)
    bias = torch.randn(4, 1, 1, 6, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(layer(tokens, bias, num_outputs=1), layer(tokens, bias)[:, :1])
    changed = torch.cat([tokens[:, :-1], -tokens[:, -1:]], dim=1)
    assert not layer(changed, bias, num_outputs=1).allclose(layer(tokens, bias)[:, :1], atol=1e-3)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_changes_the_query(name: str) -> None:
    image, text = make_features([3, 4])
    # The same weights, except for those that the ablation has not got.
    whole, ablated = make_fusion(), make_fusion(**ABLATIONS[name])
    weights = {
        key: value if value.shape == ablated.state_dict()[key].shape else value[:2]
        for key, value in whole.state_dict().items()
        if key in ablated.state_dict()
    }
    ablated.load_state_dict(ablated.state_dict() | weights)
    before, after = whole(image, text).query, ablated(image, text).query
    assert (before - after).abs().max() > 1e-4
    if name in ("no positions", "no types", "no gate", "no norm"):
        assert len(weights) < len(whole.state_dict())


@pytest.mark.parametrize("name", ABLATIONS)
def test_no_weight_of_an_ablation_is_without_a_gradient(name: str) -> None:
    """Several processes would wait for one that never comes."""
    fusion = make_fusion(**ABLATIONS[name]).train()
    fusion(*make_features([3, 4])).query[:, 0].sum().backward()
    assert [key for key, weight in fusion.named_parameters() if weight.grad is None] == []


def test_soft_matching_becomes_hard_matching() -> None:
    image, text = make_features([4, 2, 5])
    hard = make_fusion(kappa=0.5)(image, text)
    soft = make_fusion(kappa=0.5, match_temperature=1e-5)(image, text)
    torch.testing.assert_close(soft.query, hard.query)
    assert torch.equal(soft.merge.assignment, hard.merge.assignment)
    torch.testing.assert_close(soft.merge.weights, hard.merge.weights)
    assert soft.sequence_length == hard.sequence_length


def test_soft_matching_absorbs_half_of_a_patch_at_the_threshold() -> None:
    image, text = make_features([4])
    similarity = make_fusion()(image, text).merge.similarity[0].amax(dim=-1)  # [P]
    theta = float(similarity[3])
    merge = make_fusion(threshold=theta, match_temperature=0.05)(image, text).merge
    torch.testing.assert_close(merge.absorbed[0], torch.sigmoid((similarity - theta) / 0.05))
    assert merge.absorbed[0, 3] == 0.5
    assert ((merge.assignment[0] >= 0) == (similarity >= theta)).all()
    assert merge.counts.sum() == pytest.approx(float(merge.absorbed.sum()))


def test_gradients_of_soft_matching_reach_patches_below_the_threshold() -> None:
    fusion = make_fusion(threshold=0.9, match_temperature=0.2).train()
    image, text = make_features([3, 4])
    image.tokens.requires_grad_()
    output = fusion(image, text)
    assert (output.merge.assignment == -1).all() and output.sequence_length == 1 + 4 + PATCHES
    alpha = output.merge.alpha.sum()
    alpha.backward()
    assert image.tokens.grad is not None and image.tokens.grad.isfinite().all()
    assert image.tokens.grad.abs().sum() > 0


def test_a_patch_that_is_wholly_absorbed_has_finite_gradients() -> None:
    fusion = make_fusion(threshold=-1.0, match_temperature=1e-3).train()
    image, text = make_features([3, 4])
    image.tokens.requires_grad_()
    output = fusion(image, text)
    assert output.sequence_length == 1 + 4
    output.query[:, 0].sum().backward()
    assert image.tokens.grad is not None and image.tokens.grad.isfinite().all()


def test_absorbed_tokens_leave_the_sequence() -> None:
    image, text = make_features([4, 4])
    everything = make_fusion(merge=False)(image, text)
    assert everything.sequence_length == 1 + 4 + PATCHES
    assert everything.merge.matched_share.tolist() == [0.0, 0.0]
    all_merged = make_fusion(kappa=-100.0)(image, text)
    assert all_merged.sequence_length == 1 + 4
    assert all_merged.merge.matched_share.tolist() == [1.0, 1.0]


def test_the_merge_map_adds_up() -> None:
    image, text = make_features([4, 2, 5])
    merge = make_fusion(kappa=0.5)(image, text).merge
    matched = merge.assignment >= 0
    assert matched.any() and not matched.all()
    has_match = (
        torch.zeros(3, 5).scatter_add_(1, merge.assignment.clamp(min=0), matched.float()) > 0
    )
    sums = merge.weights.sum(dim=1)
    torch.testing.assert_close(sums, has_match.to(sums.dtype), check_dtype=False)
    assert ((merge.alpha > 0) == has_match).all()
    assert not has_match[~text.mask].any()


def test_gradients_reach_both_modalities_through_the_merge() -> None:
    fusion = make_fusion(kappa=-100.0).train()  # every patch is absorbed
    image, text = make_features([3, 4])
    image.tokens.requires_grad_()
    text.tokens.requires_grad_()
    fusion(image, text).query[:, 0].sum().backward()
    assert image.tokens.grad is not None and text.tokens.grad is not None
    assert (image.tokens.grad.abs().sum(dim=-1) > 0).all()
    assert (text.tokens.grad[text.mask].abs().sum(dim=-1) > 0).all()
    assert (text.tokens.grad[~text.mask] == 0).all()
    assert fusion.merger.alpha_scale.grad is not None and fusion.merger.alpha_scale.grad != 0
    assert fusion.merger.patch_positions.grad is not None
    assert (fusion.merger.patch_positions.grad.abs().sum(dim=-1) > 0).all()


def test_the_threshold_follows_running_statistics_of_content_only() -> None:
    fusion = make_fusion(trained=False).train()
    image, text = make_features([1, 3])
    fusion(image, text)
    fusion.update_statistics()
    values = []
    for n, length in enumerate([1, 3]):
        v = functional.normalize(image.tokens[n], dim=-1)
        t = functional.normalize(text.tokens[n, :length], dim=-1)
        values.append((v @ t.T).flatten())
    seen = torch.cat(values)
    torch.testing.assert_close(
        fusion.merger.statistics.mean.double(), seen.mean(), atol=1e-6, rtol=0
    )
    expected = seen.mean() + fusion.merger.settings.kappa * seen.std(unbiased=False)
    threshold = fusion.eval()(image, text).merge.threshold
    torch.testing.assert_close(threshold.double(), expected.expand(2), atol=1e-6, rtol=0)


def test_statistics_do_not_depend_on_micro_batches() -> None:
    image, text = make_features([3, 1, 4, 2])
    whole, parts = make_fusion(trained=False).train(), make_fusion(trained=False).train()
    whole(image, text)
    for rows in (torch.tensor([0, 1, 2]), torch.tensor([3])):
        parts(image.select(rows), text.select(rows))
    with torch.no_grad():
        parts(image, text)  # a pass without gradients is not counted
    for fusion in (whole, parts):
        fusion.update_statistics()
    torch.testing.assert_close(whole.merger.statistics.mean, parts.merger.statistics.mean)
    torch.testing.assert_close(whole.merger.statistics.square, parts.merger.statistics.square)


def test_similarities_are_float32_under_autocast() -> None:
    fusion = make_fusion().float()
    image, text = make_features([3, 1, 4, 2])
    image = image.to(torch.device("cpu"), torch.float32)
    text = replace(text, pooled=text.pooled.float(), tokens=text.tokens.float())
    exact = fusion.merger.match(image.tokens, text)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = fusion(image, text).merge
    assert found is not None
    for name in ("similarity", "weights", "alpha", "threshold"):
        value = getattr(found, name)
        assert value.dtype == torch.float32
        assert value.equal(getattr(exact, name))
