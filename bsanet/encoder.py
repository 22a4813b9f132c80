"""Encoder: ResNeXt blocks in place of plain convolution blocks, giving the feature maps f_i.

Source: paper section 3, first paragraph; the block after Xie et al., "Aggregated Residual Transformations for
Deep Neural Networks" (CVPR 2017), figure 3(c).
"""

from torch import Tensor, nn

from bsanet.config import Config


def conv_norm(
    num_in: int, num_out: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution without bias, size-preserving at stride 1, and its batch norm."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(num_in, num_out, kernel, stride, padding, dilation=dilation, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(num_out)]


class ConvBlock(nn.Sequential):
    """The paper's `Conv`: 3x3 convolution, batch norm, ReLU. (B, num_in, H, W) -> (B, num_out, H, W)."""

    def __init__(self, num_in: int, num_out: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            *conv_norm(num_in, num_out, stride=stride, dilation=dilation),
            nn.ReLU(inplace=True),
        )

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch norm, whose scale is the block's initial weight in a residual sum."""
        norm = self[1]
        assert isinstance(norm, nn.BatchNorm2d)
        return norm


class ResNeXtBlock(nn.Module):
    """1x1, grouped 3x3, 1x1, each with batch norm, and a shortcut.

    A shortcut that halves the map takes means of 2x2 pixels: a strided 1x1 convolution would never see three
    quarters of them.
    """

    def __init__(self, num_in: int, inner: int, num_out: int, *, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(num_in, inner, 1),
            nn.ReLU(inplace=True),
            *conv_norm(inner, inner, stride=stride, groups=groups),
            nn.ReLU(inplace=True),
            *conv_norm(inner, num_out, 1),
        )
        shrink: list[nn.Module] = [] if stride == 1 else [nn.AvgPool2d(stride)]
        same = stride == 1 and num_in == num_out
        self.shortcut = nn.Sequential(*([] if same else [*shrink, *conv_norm(num_in, num_out, 1)]))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, num_in, H, W) -> (B, num_out, H/stride, W/stride)."""
        return self.act(self.body(x) + self.shortcut(x))


class Encoder(nn.Module):
    """ResNeXt's stem (7x7 at stride 2, maximum pooling) and four levels of blocks, each projected to the width of the
    Swin blocks.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm(3, config.stem_width, 7, stride=2), nn.ReLU(inplace=True))
        self.entry = nn.MaxPool2d(3, stride=2, padding=1)
        self.levels, self.projections = nn.ModuleList(), nn.ModuleList()
        num_in, stride = config.stem_width, 1
        for num_out, inner, depth in zip(
            config.encoder_widths, config.encoder_inner, config.encoder_depths, strict=True
        ):
            blocks = [
                ResNeXtBlock(num_out if i else num_in, inner, num_out, stride=1 if i else stride, groups=config.groups)
                for i in range(depth)
            ]
            self.levels.append(nn.Sequential(*blocks))
            # Batch norm, no ReLU: zero-mean unit-variance tokens are what pretrained Swin blocks have seen.
            self.projections.append(nn.Sequential(*conv_norm(num_out, config.width, 1)))
            num_in, stride = num_out, 2

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Fine feature and the maps f_1..f_4.

        Args:
            image: (B, 3, H, W).
        Returns:
            (B, stem_width, H/2, W/2) and four maps (B, width, H/s, W/s), s = 4, 8, 16, 32.
        """
        fine = self.stem(image)  # (B, stem, H/2, W/2)
        maps, x = [], self.entry(fine)  # (B, stem, H/4, W/4)
        for level, project in zip(self.levels, self.projections, strict=True):
            x = level(x)
            maps.append(project(x))
        return fine, maps
