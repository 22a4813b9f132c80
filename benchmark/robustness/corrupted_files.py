"""Write corrupted images to disk, for networks that this harness does not run."""

from __future__ import annotations

import io as bytes_io
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.data.files.read_item import read_image
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.robustness.corruptions import applicable, corrupt
from benchmark.robustness.corruptions.base import check_severity
from benchmark.store import io


def write_corrupted(
    items: Sequence[Item],
    out: Path,
    *,
    corruptions: Sequence[str] = ("core",),
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    notice: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Write the pixels that ``bench robust`` shows to networks, as ``out/<corruption>-<severity>/<test set>/<id>.png``.

    Files that exist are written again: equal commands write equal bytes. The images keep their own size.

    Args:
        items: Images of one test set.
        out: Folder; it is made.
        corruptions: Names and groups; one of a group that does not apply to the images is left out, with a notice.
        severities: 1 to 5.
        notice: Receives what was left out.
        progress: Called with files done and in all.
    Returns:
        The folders written, one per corruption and severity.
    Raises:
        BenchError: An unknown name, a severity out of range, one by name that does not apply, or a file that cannot be
            read or written.
    """
    from PIL import Image

    for severity in severities:
        check_severity(severity)
    if not items or not severities:
        raise BenchError("nothing to write: expected at least one image and one severity")
    first = items[0]
    kept, unfit = applicable(corruptions, read_image(first), f"{first.dataset} {first.id}")
    for name, fault in unfit.items():
        notice(f"{first.dataset}: {name} left out ({fault})")
    places = {(one.name, s): out / f"{one.name}-{s}" / first.dataset for one in kept for s in severities}
    done, total = 0, len(items) * len(places)
    for item in items:
        image = read_image(item)
        for (name, severity), folder in places.items():
            stream = bytes_io.BytesIO()
            made = corrupt(image, name, severity=severity, image_id=item.id)
            Image.fromarray(made).save(stream, "PNG", compress_level=1)
            io.write_bytes(folder / f"{item.id}.png", stream.getvalue())
            done += 1
            progress(done, total)
    return list(places.values())
