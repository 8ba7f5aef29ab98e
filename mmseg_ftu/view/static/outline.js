/* Traces where pixels of one channel pass a level (marching squares). */

/** Corners of a cell, clockwise from the upper left one, as bits 1, 2, 4 and 8; of each
 * of the 16 cases the edges that its lines join (0 top, 1 right, 2 bottom, 3 left). */
const LINES = [
  [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 2], [0, 1]], [[0, 2]], [[3, 2]],
  [[2, 3]], [[2, 0]], [[0, 3], [1, 2]], [[2, 1]], [[1, 3]], [[1, 0]], [[0, 3]], [],
];

/**
 * Trace a tile.
 *
 * @param {Uint8Array} levels Pixels of the tile with a margin of one pixel around it.
 * @param {number} width Width with the margins.
 * @param {number} height Height with the margins.
 * @param {number} above A pixel with a larger value is inside; halves are allowed.
 * @returns {{path: Path2D, count: number}} Lines in px of the tile without margins, and
 *   how many there are. Lines of neighbouring tiles join.
 */
export function trace(levels, width, height, above) {
  const path = new Path2D();
  let count = 0;
  const share = (a, b) => (above - a) / (b - a);
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const i = y * width + x;
      const a = levels[i], b = levels[i + 1];
      const c = levels[i + width + 1], d = levels[i + width];
      const kind = (a > above) | (b > above) << 1 | (c > above) << 2 | (d > above) << 3;
      if (kind === 0 || kind === 15) continue;
      const point = (edge) => {
        if (edge === 0) return [x + share(a, b), y];
        if (edge === 1) return [x + 1, y + share(b, c)];
        if (edge === 2) return [x + share(d, c), y + 1];
        return [x, y + share(a, d)];
      };
      for (const [from, to] of LINES[kind]) {
        const [x0, y0] = point(from), [x1, y1] = point(to);
        // the centre of the first pixel without margin is at .5, that of the margin -.5
        path.moveTo(x0 - 0.5, y0 - 0.5);
        path.lineTo(x1 - 0.5, y1 - 0.5);
        count++;
      }
    }
  }
  return {path, count};
}
