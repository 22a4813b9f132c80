// Connected parts of a map above a threshold: the same numbers as benchmark/prediction/findings.py.
"use strict";
const THIRDS = [["upper left", "upper", "upper right"], ["left", "centre", "right"], ["lower left", "lower", "lower right"]];

function findParts(map, width, height, threshold, field, fieldPx) {
  const labels = new Int32Array(width * height);
  const stack = new Int32Array(width * height);
  const found = [];
  for (let start = 0; start < map.length; start++) {
    if (labels[start] || map[start] / 255 <= threshold) continue;
    const part = { area: 0, shown: 0, x: 0, y: 0, sum: 0, max: 0, left: width, top: height, right: 0, bottom: 0 };
    let depth = 0;
    stack[depth++] = start;
    labels[start] = found.length + 1;
    while (depth) {
      const place = stack[--depth];
      const x = place % width, y = (place - x) / width;
      part.area++; if (field[place]) part.shown++; part.x += x; part.y += y; part.sum += map[place]; part.max = Math.max(part.max, map[place]);
      part.left = Math.min(part.left, x); part.right = Math.max(part.right, x);
      part.top = Math.min(part.top, y); part.bottom = Math.max(part.bottom, y);
      for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
        const nx = x + dx, ny = y + dy;
        if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
        const next = ny * width + nx;
        if (labels[next] || map[next] / 255 <= threshold) continue;
        labels[next] = found.length + 1;
        stack[depth++] = next;
      }
    }
    found.push(part);
  }
  const order = found.map((_, i) => i).sort((a, b) => found[b].area - found[a].area || a - b);
  return order.map((i, rank) => {
    const one = found[i];
    const x = one.x / one.area, y = one.y / one.area;
    const third = (value, side) => Math.min(2, Math.floor(3 * (value + 0.5) / side));
    return {
      number: rank + 1, area_px: one.area, area_share: one.shown / fieldPx,
      box_px: [one.left, one.top, one.right - one.left + 1, one.bottom - one.top + 1],
      centre_px: [x, y], position: THIRDS[third(y, height)][third(x, width)],
      mean_prob: one.sum / one.area / 255, max_prob: one.max / 255,
    };
  });
}
