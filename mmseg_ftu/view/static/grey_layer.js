/* A layer of one channel: loads the tiles that are in sight and draws them. */

import {trace} from './outline.js';

const MOST_TILES = 300; // kept, 260 kB each
const AT_ONCE = 4; // requests
const DENSE = 60000; // lines of a tile, from which on it is filled and not outlined
const CROWDED = 0.05; // lines a pixel of a tile, from which on dots stand for units

/** Width and height of each level of an image, as the server has them. */
export function levelsOf(width, height, tile) {
  const levels = [[width, height]];
  while (Math.max(...levels.at(-1)) > tile) {
    levels.push(levels.at(-1).map((side) => Math.ceil(side / 2)));
  }
  return levels;
}

export class GreyLayer {
  /**
   * @param {string} url Address of its tiles, without level and place.
   * @param {object} about What the server says: kind, name, width, height.
   * @param {object} image Width, height and tile of the image that it covers.
   * @param {function} onLoad Called when a tile has come.
   * @param {function} onFault Called with a sentence when one cannot be had.
   */
  constructor(url, about, image, onLoad, onFault) {
    Object.assign(this, {url, about, image, onLoad, onFault});
    this.levels = levelsOf(about.width, about.height, image.tile);
    this.tiles = new Map();
    this.wanted = [];
    this.loading = 0;
  }

  /** Stop loading. */
  close() {
    this.wanted = [];
    this.closed = true;
  }

  /** Whether nothing is on its way. */
  get isIdle() {
    return this.loading === 0 && this.wanted.length === 0;
  }

  /**
   * Draw what is in sight.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {object} view Scale sx, sy (canvas px for each px of the image), place x, y of
   *   the image's corner, width, height of the canvas, and px for each px of the page.
   * @param {object} style above, colour, fill (0..1), heat: whether probabilities are
   *   shown as colour, isTiny: whether most units are but a few px large.
   */
  draw(context, view, style) {
    const px = view.sx * this.image.width / this.about.width;
    const level = Math.min(
      Math.max(0, Math.floor(Math.log2(1 / px) + 0.4)), this.levels.length - 1,
    );
    const places = this.inSight(level, view);
    this.wanted = places.filter(([column, row]) => (
      !this.tiles.has(`${level}/${column}_${row}`)
    )).map((place) => [level, ...place]);
    // all dark edges before all lines, or they would cut the lines where tiles meet
    for (const pass of [this.paintTile, this.edgeTile, this.strokeTile]) {
      for (const [column, row] of places) {
        this.drawBest(context, view, style, level, column, row, pass);
      }
    }
    this.load();
  }

  /** The part of the canvas that a tile covers: x, y, width, height, and its scales. */
  place(level, column, row, view) {
    const {width, height, tile} = this.image;
    const [w, h] = this.levels[level];
    const scaleX = view.sx * width / this.about.width * 2 ** level;
    const scaleY = view.sy * height / this.about.height * 2 ** level;
    return {
      x: view.x + column * tile * scaleX,
      y: view.y + row * tile * scaleY,
      columns: Math.min(tile, w - column * tile),
      rows: Math.min(tile, h - row * tile),
      scaleX, scaleY,
    };
  }

  inSight(level, view) {
    const {tile} = this.image;
    const {scaleX, scaleY} = this.place(level, 0, 0, view);
    const [w, h] = this.levels[level];
    const clip = (place, most) => Math.max(0, Math.min(place, most));
    const first = [
      clip(Math.floor(-view.x / (tile * scaleX)), w),
      clip(Math.floor(-view.y / (tile * scaleY)), h),
    ];
    const end = [
      clip(Math.ceil((view.width - view.x) / (tile * scaleX)), Math.ceil(w / tile)),
      clip(Math.ceil((view.height - view.y) / (tile * scaleY)), Math.ceil(h / tile)),
    ];
    const found = [];
    for (let row = first[1]; row < end[1]; row++) {
      for (let column = first[0]; column < end[0]; column++) found.push([column, row]);
    }
    return found;
  }

  /** Draw a tile, or as long as it is not there the part of a smaller level. */
  drawBest(context, view, style, level, column, row, pass) {
    const tile = this.tiles.get(`${level}/${column}_${row}`);
    if (tile?.levels) {
      this.drawTile(context, view, style, tile, pass);
      return;
    }
    for (let up = 1; level + up < this.levels.length; up++) {
      const key = `${level + up}/${column >> up}_${row >> up}`;
      const above = this.tiles.get(key);
      if (!above?.levels) continue;
      const {x, y, columns, rows, scaleX, scaleY} = this.place(level, column, row, view);
      context.save();
      context.beginPath();
      context.rect(x, y, columns * scaleX, rows * scaleY);
      context.clip();
      this.drawTile(context, view, style, above, pass);
      context.restore();
      return;
    }
  }

  drawTile(context, view, style, tile, pass) {
    const place = this.place(tile.level, tile.column, tile.row, view);
    if (tile.above !== style.above || tile.colour !== style.colour) {
      const {columns, rows} = place;
      Object.assign(tile, trace(tile.levels, columns + 2, rows + 2, style.above));
      Object.assign(tile, {above: style.above, colour: style.colour});
      Object.assign(tile, {filled: null, heat: null});
    }
    pass.call(this, context, view, style, tile, place);
  }

  /** Draw probabilities as colour, and what is above the threshold as a filling. */
  paintTile(context, view, style, tile, {x, y, columns, rows, scaleX, scaleY}) {
    const paint = (picture, alpha) => {
      const left = Math.round(x), top = Math.round(y); // so that tiles leave no seam
      const right = Math.round(x + columns * scaleX);
      const bottom = Math.round(y + rows * scaleY);
      context.globalAlpha = alpha;
      context.imageSmoothingEnabled = scaleX < 1;
      context.drawImage(picture, left, top, right - left, bottom - top);
      context.globalAlpha = 1;
    };
    if (!tile.inside) return;
    if (style.heat) {
      tile.heat ??= this.picture(tile, columns, rows, style.colour, (v) => v);
      paint(tile.heat, 0.75);
    }
    const isPlain = tile.count > DENSE && !style.isTiny; // too many lines to draw
    const fill = isPlain ? Math.max(style.fill, 0.6) : style.fill;
    if (fill && style.above < 255) {
      const alpha = (v) => (v > style.above ? 255 : 0);
      tile.filled ??= this.picture(tile, columns, rows, style.colour, alpha);
      paint(tile.filled, fill);
    }
  }

  edgeTile(context, view, style, tile, place) {
    if (style.isTiny) return;
    this.line(context, 4 * view.ratio, 'rgba(20, 16, 28, .55)', tile, place);
  }

  strokeTile(context, view, style, tile, place) {
    const dense = tile.count > CROWDED * place.columns * place.rows;
    if (style.isTiny && dense) return; // dots and the filling show them
    const width = style.isTiny ? 0.5 : 2;
    this.line(context, width * view.ratio, style.colour, tile, place);
  }

  line(context, width, colour, tile, {x, y, scaleX, scaleY}) {
    if (tile.count === 0 || tile.count > DENSE) return;
    context.save();
    context.translate(x, y);
    context.scale(scaleX, scaleY);
    context.lineCap = 'round';
    context.lineWidth = width / scaleX;
    context.strokeStyle = colour;
    context.stroke(tile.path);
    context.restore();
  }

  /** Make a picture of one colour; alpha gives its opacity for each value. */
  picture(tile, columns, rows, colour, alpha) {
    const canvas = new OffscreenCanvas(columns, rows);
    const context = canvas.getContext('2d');
    context.fillStyle = colour;
    context.fillRect(0, 0, columns, rows);
    const data = context.getImageData(0, 0, columns, rows);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const value = tile.levels[(y + 1) * (columns + 2) + x + 1];
        data.data[4 * (y * columns + x) + 3] = alpha(value);
      }
    }
    context.putImageData(data, 0, 0);
    return canvas;
  }

  /** Ask for the tiles that are in sight and not there, a few at a time. */
  async load() {
    while (this.loading < AT_ONCE && this.wanted.length) {
      const [level, column, row] = this.wanted.shift();
      const key = `${level}/${column}_${row}`;
      if (this.tiles.has(key)) continue;
      this.loading++;
      this.tiles.set(key, {}); // on its way
      this.fetchTile(key, level, column, row);
    }
  }

  async fetchTile(key, level, column, row) {
    try {
      const answer = await fetch(`${this.url}/${key}`);
      if (!answer.ok) throw new Error((await answer.json()).error);
      const levels = new Uint8Array(await answer.arrayBuffer());
      this.tiles.set(key, {levels, level, column, row, inside: levels.some(Boolean)});
      // the oldest go; those in sight are asked for again
      for (const old of this.tiles.keys()) {
        if (this.tiles.size <= MOST_TILES) break;
        this.tiles.delete(old);
      }
    } catch (error) {
      this.onFault(`A part of "${this.about.name}" cannot be shown: ${error.message}`);
    } finally {
      this.loading--;
      if (!this.closed) {
        this.onLoad();
        this.load();
      }
    }
  }
}
