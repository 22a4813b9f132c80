"""ISAM and FSAM: the formulas of the paper, and windows that never look at padding."""

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock

from bsanet.attention import FSAM, ISAM
from bsanet.config import Config


@pytest.fixture
def isam() -> ISAM:
    torch.manual_seed(0)
    return ISAM(Config()).eval()


def grid(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 96, h, w, generator=torch.Generator().manual_seed(seed))


def test_six_of_timm_s_blocks_in_turn_regular_and_shifted(isam: ISAM) -> None:
    isam(grid(16, 16))
    assert [type(block) for block in isam.blocks] == [SwinTransformerBlock] * 6
    assert [block.shift_size for block in isam.blocks] == [(0, 0), (4, 4)] * 3
    assert {block.window_size for block in isam.blocks} == {(8, 8)}


def test_output_is_the_convolution_block_plus_the_input(isam: ISAM) -> None:
    f = grid(16, 16)
    x = f.permute(0, 2, 3, 1)
    isam(f)
    for block in isam.blocks:
        x = block(x)
    conv, norm, _ = isam.conv
    expected = torch.relu(norm(conv(x.permute(0, 3, 1, 2)))) + f
    torch.testing.assert_close(isam(f), expected)


@pytest.mark.parametrize(
    ("size", "shift"), [((8, 8), (0, 0)), ((4, 4), (0, 0)), ((8, 16), (0, 4)), ((9, 4), (4, 0)), ((16, 16), (4, 4))]
)
def test_a_side_no_longer_than_the_window_is_not_shifted(
    isam: ISAM, size: tuple[int, int], shift: tuple[int, int]
) -> None:
    isam(grid(*size))
    assert isam.blocks[1].shift_size == shift


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (10, 10), (12, 20), (18, 8)])
@pytest.mark.parametrize("block", [0, 1])
def test_tokens_never_attend_to_padding(isam: ISAM, size: tuple[int, int], block: int) -> None:
    """Change what the padding holds: what real tokens become must stay."""
    h, w = size
    isam(grid(h, w))
    padded = torch.randn(1, h + -h % 8, w + -w % 8, 96)
    other = padded.clone()
    other[:, h:] = 50.0
    other[:, :, w:] = -50.0
    with torch.no_grad():
        a, b = isam.blocks[block](padded), isam.blocks[block](other)
    torch.testing.assert_close(a[:, :h, :w], b[:, :h, :w])


def test_regular_windows_do_not_look_outside_theirs_and_shifted_ones_do(isam: ISAM) -> None:
    isam(grid(16, 16))
    x = torch.randn(1, 16, 16, 96)
    other = x.clone()
    other[:, :8, :8] += 1
    with torch.no_grad():
        regular = (isam.blocks[0](x) - isam.blocks[0](other)).abs().amax(-1)[0]
        shifted = (isam.blocks[1](x) - isam.blocks[1](other)).abs().amax(-1)[0]
    assert regular[8:].max() == 0 and regular[:, 8:].max() == 0
    assert shifted[8:12, 8:12].min() > 0 and shifted[12:, 12:].max() == 0


def test_both_attention_kernels_agree(isam: ISAM) -> None:
    f = grid(20, 12)
    fused = isam(f)
    assert all(block.attn.fused_attn for block in isam.blocks)
    isam.train()
    isam.conv.eval()  # batch norm aside, nothing may differ
    torch.testing.assert_close(isam(f), fused, atol=1e-5, rtol=1e-4)
    assert not any(block.attn.fused_attn for block in isam.blocks)


@pytest.mark.parametrize("batch", [1, 3])
def test_pieces_of_the_mlp_add_up_to_the_whole(isam: ISAM, batch: int) -> None:
    mlp = isam.blocks[0].mlp
    x = torch.randn(batch, 1500, 96)  # neither one piece nor a multiple of it
    pieces: list[int] = []
    handle = mlp.fc1.register_forward_hook(lambda _, args, __: pieces.append(args[0].shape[0]))
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), mlp.train()(x), atol=1e-6, rtol=1e-5)
    handle.remove()
    assert pieces == ([1024, 476] if batch == 1 else [1024] * 4 + [404]) + [batch]


def test_fsam_follows_its_formula() -> None:
    torch.manual_seed(0)
    fsam = FSAM(Config()).eval()
    f = grid(12, 12)
    context = f
    for conv, norm, _ in fsam.context:
        context = torch.relu(norm(conv(context)))
    gap, gmp = context.mean(dim=(-2, -1)), context.flatten(2).max(-1).values
    first, _, second = fsam.fc
    weight = sum(torch.relu(v @ first.weight.T + first.bias) @ second.weight.T + second.bias for v in (gap, gmp))
    attended = f * (1 / (1 + torch.exp(-weight)))[:, :, None, None]
    conv, norm, _ = fsam.conv
    torch.testing.assert_close(fsam(f), fsam.shortcut(f) + torch.relu(norm(conv(attended))), atol=1e-5, rtol=1e-4)


def test_fsam_reduces_the_dimension_and_dilates() -> None:
    config = Config()
    fsam = FSAM(config)
    assert fsam(torch.randn(2, 96, 8, 8)).shape == (2, config.reduced_width, 8, 8)
    assert config.reduced_width < config.width
    assert fsam.context[1][0].dilation == (2, 2)
