/* Draws masks and predictions onto the images of the report, and moves thresholds.
 *
 * The layers of a case are PNGs of one size: `mask` and `prediction` hold 254 * coverage
 * (255 in a mask: ignored), `probability` 255 * p. Outlines are traced between pixels
 * (marching squares), the Dice of a thumbnail is counted from two histograms.
 */
(function () {
  'use strict';

  const SCALE = 2; // canvas pixels for each pixel of a layer
  const HALF = 126.5; // of 254: a pixel that is covered by half counts as covered
  const IGNORED = 255;
  const css = getComputedStyle(document.documentElement);
  const COLOURS = {
    mask: css.getPropertyValue('--mask').trim(),
    prediction: css.getPropertyValue('--prediction').trim(),
  };

  /** Read the grey levels of an image of a data URI. */
  async function readLayer(img) {
    await img.decode();
    const canvas = document.createElement('canvas');
    canvas.width = img.naturalWidth;
    canvas.height = img.naturalHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(img, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const levels = new Uint8Array(canvas.width * canvas.height);
    for (let i = 0; i < levels.length; i++) levels[i] = pixels[4 * i];
    return {levels, width: canvas.width, height: canvas.height};
  }

  /** The level above which 255 * p is foreground, half-way between two levels. */
  function levelOf(threshold) {
    return Math.floor(255 * threshold + 1e-9) + 0.5;
  }

  /** Trace the closed outlines of what is above a level, as a path. */
  function trace(layer, level) {
    const {levels, width, height} = layer;
    const across = width + 1;
    const cells = across * (height + 1);
    const at = (x, y) => {
      if (x < 0 || y < 0 || x >= width || y >= height) return -1;
      const value = levels[y * width + x];
      return layer.isMask && value === IGNORED ? -1 : value;
    };
    // Edges of cells by number: 2 * cell is its top edge, 2 * cell + 1 its left edge.
    const next = new Int32Array(2 * cells + 2 * across + 2).fill(-1);
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        const kind = (at(x - 1, y - 1) > level) | (at(x, y - 1) > level) << 1
          | (at(x, y) > level) << 2 | (at(x - 1, y) > level) << 3;
        if (kind === 0 || kind === 15) continue;
        const cell = y * across + x;
        const edges = [2 * cell, 2 * (cell + 1) + 1, 2 * (cell + across), 2 * cell + 1];
        for (const [from, to] of STEPS[kind]) next[edges[from]] = edges[to];
      }
    }
    const path = new Path2D();
    for (let start = 0; start < next.length; start++) {
      if (next[start] < 0) continue;
      let edge = start;
      let first = true;
      while (next[edge] >= 0) {
        const [x, y] = crossing(edge);
        if (first) path.moveTo(x, y); else path.lineTo(x, y);
        first = false;
        const following = next[edge];
        next[edge] = -1;
        edge = following;
      }
      path.closePath();
    }
    return path;

    /** Where an outline crosses an edge, in canvas pixels. */
    function crossing(edge) {
      const cell = edge >> 1;
      const x = cell % across;
      const y = Math.floor(cell / across);
      const isTop = edge % 2 === 0;
      const a = at(x - 1, y - 1);
      const b = isTop ? at(x, y - 1) : at(x - 1, y);
      const part = a < 0 || b < 0 ? 0.5 : (level - a) / (b - a);
      const u = x - 0.5 + (isTop ? part : 0);
      const v = y - 0.5 + (isTop ? 0 : part);
      return [SCALE * u, SCALE * v];
    }
  }

  // For each kind of cell (bits: corners top left, top right, bottom right, bottom left
  // above the level) the steps from edge to edge (top, right, bottom, left), with what
  // is above on the same hand all around. Saddles keep diagonal neighbours apart.
  const STEPS = [
    [], [[0, 3]], [[1, 0]], [[1, 3]], [[2, 1]], [[0, 3], [2, 1]], [[2, 0]], [[2, 3]],
    [[3, 2]], [[0, 2]], [[1, 0], [3, 2]], [[1, 2]], [[3, 1]], [[0, 1]], [[3, 0]], [],
  ];

  /** Dice for every level: [k] is that of "level > k", from histograms in and out of the mask. */
  function diceByLevel(layer, mask) {
    const inside = new Float64Array(257);
    const outside = new Float64Array(257);
    for (let i = 0; i < layer.levels.length; i++) {
      if (mask.levels[i] === IGNORED) continue;
      (mask.levels[i] > HALF ? inside : outside)[layer.levels[i]] += 1;
    }
    const unit = inside.reduce((a, b) => a + b, 0);
    const scores = new Float64Array(256);
    let hits = 0;
    let extra = 0;
    for (let k = 255; k >= 0; k--) {
      hits += inside[k + 1];
      extra += outside[k + 1];
      const total = hits + extra + unit;
      scores[k] = total === 0 ? 1 : 2 * hits / total;
    }
    return scores;
  }

  /** Share of the pixels above a level. */
  function share(layer, level) {
    let count = 0;
    for (const value of layer.levels) count += value > level;
    return count / layer.levels.length;
  }

  function outline(context, path, colour, dashes) {
    context.lineJoin = 'round';
    context.setLineDash([]);
    context.strokeStyle = 'rgba(20, 10, 30, 0.75)';
    context.lineWidth = 6;
    context.stroke(path);
    context.setLineDash(dashes);
    context.strokeStyle = colour;
    context.lineWidth = 3.5;
    context.stroke(path);
  }

  /** Make a figure interactive. */
  async function start(figure) {
    const layers = {};
    for (const img of figure.querySelectorAll('[data-layer]')) {
      layers[img.dataset.layer] = await readLayer(img);
    }
    if (layers.mask) layers.mask.isMask = true;
    const canvas = figure.querySelector('canvas');
    const context = canvas.getContext('2d');
    const slider = figure.querySelector('input[type=range]');
    const button = figure.querySelector('.reset');
    const output = figure.querySelector('output');
    canvas.parentNode.style.setProperty('--ratio', canvas.width / canvas.height);
    const enlarge = figure.querySelector('.enlarge');
    enlarge.addEventListener('click', () => {
      const isLarge = figure.classList.toggle('large');
      enlarge.setAttribute('aria-pressed', isLarge);
      figure.scrollIntoView({block: 'nearest'});
    });
    const boxes = {};
    for (const box of figure.querySelectorAll('[data-show]')) boxes[box.dataset.show] = box;
    const maskPath = layers.mask && trace(layers.mask, HALF);
    const savedPath = trace(layers.prediction, HALF);
    const scores = layers.mask && layers.probability
      && diceByLevel(layers.probability, layers.mask);
    const marker = scores && addProfile(slider, scores);
    let threshold = null; // none: the mask as it was saved

    function draw() {
      const path = threshold === null
        ? savedPath : trace(layers.probability, levelOf(threshold));
      context.clearRect(0, 0, canvas.width, canvas.height);
      const shown = [];
      if (boxes.mask && boxes.mask.checked) shown.push([maskPath, COLOURS.mask, []]);
      if (boxes.prediction.checked) shown.push([path, COLOURS.prediction, []]);
      if (boxes.fill.checked) {
        context.globalAlpha = 0.35;
        for (const [shape, colour] of shown) {
          context.fillStyle = colour;
          context.fill(shape, 'evenodd');
        }
        context.globalAlpha = 1;
      }
      for (const [shape, colour] of shown) {
        outline(context, shape, colour, colour === COLOURS.mask ? [12, 7] : []);
      }
    }

    function tell() {
      const isSaved = threshold === null;
      const layer = isSaved ? layers.prediction : layers.probability;
      const level = isSaved ? HALF : levelOf(threshold);
      const figures = layers.mask
        ? 'Dice ' + (isSaved ? diceByLevel(layer, layers.mask)[Math.floor(HALF)]
          : scores[Math.floor(level)]).toFixed(3)
        : 'Foreground ' + (100 * share(layer, level)).toFixed(1) + ' %';
      const what = isSaved ? 'as saved' : 'threshold ' + threshold.toFixed(2);
      output.textContent = figures + ' (thumbnail, ' + what + ')';
      if (button) button.hidden = isSaved;
      if (marker) marker(isSaved ? Number(slider.value) : threshold);
    }

    for (const box of Object.values(boxes)) box.addEventListener('change', draw);
    if (slider) {
      const initial = slider.value;
      slider.addEventListener('input', () => {
        threshold = Number(slider.value);
        draw();
        tell();
      });
      button.addEventListener('click', () => {
        slider.value = initial;
        threshold = null;
        draw();
        tell();
        slider.focus();
      });
    }
    draw();
    tell();
    figure.dataset.ready = '';
  }

  /** Draw Dice against the threshold above a slider; returns what moves the marker. */
  function addProfile(slider, scores) {
    const make = name => document.createElementNS('http://www.w3.org/2000/svg', name);
    const svg = make('svg');
    svg.setAttribute('class', 'profile');
    svg.setAttribute('viewBox', '0 0 255 100');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    const path = make('path');
    path.setAttribute('d', 'M' + Array.from(scores, (y, x) => x + ' ' + (100 - 100 * y).toFixed(1)).join('L'));
    const line = make('line');
    line.setAttribute('y1', 0);
    line.setAttribute('y2', 100);
    svg.append(path, line);
    slider.before(svg);
    return threshold => {
      line.setAttribute('x1', 255 * threshold);
      line.setAttribute('x2', 255 * threshold);
    };
  }

  for (const all of document.querySelectorAll('[data-all]')) {
    all.addEventListener('change', () => {
      for (const box of document.querySelectorAll('[data-show="' + all.dataset.all + '"]')) {
        if (box.checked === all.checked) continue;
        box.checked = all.checked;
        box.dispatchEvent(new Event('change'));
      }
    });
  }
  document.documentElement.classList.add('js');
  (async () => {
    for (const figure of document.querySelectorAll('.case')) await start(figure);
    document.documentElement.dataset.ready = '';
  })();
})();
