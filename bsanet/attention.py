"""The two attention modules of a level: image space (ISAM), then feature space (FSAM).

Source: paper section 3, figure 2 and its formulas; spec items "ISAM on f_i" and "FSAM". Swin blocks are timm's.
"""

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention, window_partition
from torch import Tensor, nn

from bsanet.config import Config
from bsanet.encoder import ConvBlock

MASKED = -100.0
"""Added to an attention logit that must not count; the value that timm uses, finite also in half precision."""


PIECE = 1024
"""Tokens whose hidden layer (4 * width numbers each) stays in a CPU core's cache."""


class PiecewiseMlp(Mlp):
    """timm's, which on a CPU predicts in pieces: tokens are independent, and memory is what takes the time."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, width) -> the same shape."""
        if self.training or torch.compiler.is_compiling() or x.device.type != "cpu":
            return super().forward(x)
        whole = super().forward
        return torch.cat([whole(piece) for piece in x.flatten(0, 1).split(PIECE)]).view_as(x)


class ISAM(nn.Module):
    """Six Swin Transformer blocks, a convolution block, and the input added to their output.

    A token grid that the window does not divide is padded below and to the right, and no token ever attends to
    the padding: tables and weights are the same at every input size.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.window, self.weight = config.window, config.isam_weight
        rates = torch.linspace(0, config.drop_path, config.num_blocks).tolist()
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                config.width,
                input_resolution=(config.window, config.window),
                num_heads=config.num_heads,
                window_size=config.window,
                shift_size=config.window // 2 if j % 2 else 0,
                drop_path=rates[j],
            )
            for j in range(config.num_blocks)
        )
        for block in self.blocks:
            block.mlp = PiecewiseMlp(config.width, 4 * config.width)
        self.conv = ConvBlock(config.width, config.width)
        self._grid = (config.window, config.window)

    def forward(self, f: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape: Conv(f_6) + f_0."""
        h, w = f.shape[-2:]
        if (h, w) != self._grid:
            self._set_grid(h, w)
        self._choose_kernel(f.device)
        x = f.permute(0, 2, 3, 1).contiguous()  # (B, h, w, C)
        pad_h, pad_w = -h % self.window, -w % self.window
        if pad_h or pad_w:
            x = F.pad(x, (0, 0, 0, pad_w, 0, pad_h))
        for block in self.blocks:
            x = block(x)
        x = x[:, :h, :w].permute(0, 3, 1, 2)  # (B, C, h, w)
        return self.conv(x) + f

    def _choose_kernel(self, device: torch.device) -> None:
        """On a CPU, timm's fused attention is the faster forward, but the slower backward; compilers fuse better."""
        fused = not (torch.compiler.is_compiling() or (self.training and device.type == "cpu"))
        for block in self.blocks:
            assert isinstance(block.attn, WindowAttention)
            block.attn.fused_attn = fused  # type: ignore[misc]

    @torch.inference_mode(False)  # the masks outlive the call that made them, which may be an inference
    @torch.no_grad()
    def _set_grid(self, h: int, w: int) -> None:
        """Tell timm's blocks the grid; they then shift only along sides longer than one window."""
        like = self.conv.norm.weight
        padded = (h + -h % self.window, w + -w % self.window)
        for block in self.blocks:
            assert isinstance(block, SwinTransformerBlock)
            block.set_input_size(padded, (self.window, self.window))
            mask = _mask_of(block)
            if padded != (h, w):
                padding = _padding_mask(h, w, padded, block.window_size, block.shift_size)
                mask = padding if mask is None else mask.cpu() + padding
            block.register_buffer("attn_mask", None if mask is None else mask.to(like), persistent=False)
        self._grid = (h, w)


def _mask_of(block: SwinTransformerBlock) -> Tensor | None:
    mask = block.attn_mask
    assert mask is None or isinstance(mask, Tensor)
    return mask


def _padding_mask(h: int, w: int, padded: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """`MASKED` where the key is padding, else 0: (windows, 1, tokens) broadcast over the queries."""
    real = torch.zeros(1, *padded, 1)
    real[:, :h, :w] = 1
    real = torch.roll(real, (-shift[0], -shift[1]), dims=(1, 2))
    keys = window_partition(real, window).flatten(1)  # (windows, tokens)
    tokens = keys.shape[1]
    return (MASKED * (1 - keys))[:, None, :].expand(-1, tokens, -1).contiguous()


class FSAM(nn.Module):
    """One weight in 0..1 per channel, from what a growing receptive field sees; narrows the map as it leaves."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, context, reduced = config.width, config.context_width, config.reduced_width
        # Stride 2: nothing but two numbers per channel is read from the context, so a coarse one is enough.
        self.context = nn.Sequential(
            ConvBlock(width, context, stride=config.context_stride),
            ConvBlock(context, context, dilation=config.dilation),
        )
        self.fc = nn.Sequential(
            nn.Linear(context, config.squeeze), nn.ReLU(inplace=True), nn.Linear(config.squeeze, width)
        )
        self.conv = ConvBlock(width, reduced)
        self.shortcut = nn.Conv2d(width, reduced, 1)

    def forward(self, f: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, reduced_width, h, w)."""
        context = self.context(f)
        gap, gmp = context.mean((2, 3)), context.amax((2, 3))  # (B, context_width)
        weight = torch.sigmoid(self.fc(gap) + self.fc(gmp))  # (B, width)
        return self.shortcut(f) + self.conv(f * weight[:, :, None, None])
