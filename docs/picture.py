"""Draw the README's picture from a results folder: `python docs/picture.py RESULTS`, for example

    bench run --models all --datasets phantom --recipe smoke && python docs/picture.py results

A table and the qualitative figure as `bench tables` and `bench plots` make them, side by side, in docs/phantom.png. It
needs the extra `test` (playwright) and Chromium.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

import benchmark as bench

OUT = Path(__file__).with_name("phantom.png")
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 22px 26px; width: 1148px; background: #fff; color: #1c2430 }}
body {{ font: 15px/1.45 "DejaVu Sans", sans-serif }}
h1 {{ font-size: 17px; margin: 0 0 14px }} h1 span {{ color: #b3261e }}
main {{ display: flex; gap: 26px; align-items: flex-start }} img {{ width: 560px }}
table {{ border-collapse: collapse; width: 100%; border-top: 2px solid; border-bottom: 2px solid }}
caption {{ caption-side: bottom; text-align: left; font-size: 11.5px; color: #4a5565; padding-top: 8px }}
th, td {{ padding: 5px 7px; text-align: right; font-weight: normal; white-space: nowrap }} .l {{ text-align: left }}
thead th {{ border-bottom: 1px solid }}
</style>
<h1><span>Synthetic images</span>, two epochs from random initialisation:
what is printed, not which model is better</h1>
<main><div>{table}</div><img src="data:image/png;base64,{figure}"></main>"""


def main(results: str) -> None:
    """Write the picture."""
    (table,) = bench.tables(results, datasets="phantom-kvasir")
    with tempfile.TemporaryDirectory() as folder:
        asked = {"rows": ["best", "median", "worst"], "wide": True, "dpi": 220, "datasets": "phantom-kvasir"}
        drawn = bench.plots("qualitative", results, out=folder, **asked)
        figure = next(path for path in drawn.files if path.suffix == ".png").read_bytes()
    html = PAGE.format(table=table.to_html(), figure=base64.b64encode(figure).decode())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        found = shutil.which("chromium")
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 200})
        page.set_content(html)
        page.screenshot(path=OUT, full_page=True)
    print(OUT)


if __name__ == "__main__":
    main(sys.argv[1])
