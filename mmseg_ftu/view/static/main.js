/* The page: what is shown, and what each control and key does. */

import {GreyLayer} from './grey_layer.js';
import {Gallery} from './images.js';
import {Slide} from './slide.js';
import {UnitRows} from './units.js';

const $ = (id) => document.getElementById(id);
const COLOURS = ['#ffcf00', '#ff6fb5', '#8cf06a', '#ff9142', '#b9a2ff', '#f2f2f2'];
const TRUTH_COLOUR = '#00d5ff'; // as in the report
const HALF = 127.5; // of 255: where a pixel is half covered
const DOT = 5; // px of the page; smaller units are drawn as dots
const PAUSE = 400; // ms after which a moved threshold lists units anew

const state = {
  number: null, // of the image
  image: null, // what the server says of it
  layers: [],
  off: new Set(), // names of classes that are not shown
  truth: true,
  threshold: null, // null: as saved
  listed: null, // the threshold of the list of units
  mark: null, // outline of the chosen unit
};

const slide = new Slide(draw, pick, (url) => explain(url));
const rows = new UnitRows(choose);
let gallery;

/** Get JSON; an error says why there is none. */
async function ask(url) {
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error('The server has stopped. Start mmseg-ftu view again.');
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function note(text) {
  if ([...$('notes').children].some((old) => old.textContent === text)) return;
  const line = document.createElement('p');
  line.className = 'note';
  line.textContent = text;
  $('notes').append(line);
}

/** Say why a tile did not come. */
async function explain(url) {
  try {
    await ask(url);
  } catch (error) {
    note(`A part of the image cannot be shown: ${error.message}`);
  }
}

function busy(text) {
  $('busy').textContent = text;
  $('busy').hidden = !text;
}

/** Show an image. */
async function show(number) {
  document.documentElement.removeAttribute('data-ready');
  const about = gallery.images[number];
  state.layers.forEach((layer) => layer.close());
  Object.assign(state, {number, image: null, layers: [], threshold: null, mark: null});
  location.replace(`#${number + 1}`);
  gallery.mark(number);
  $('name').textContent = about.id;
  $('facts').textContent = '';
  $('notes').replaceChildren();
  rows.set(null, null);
  if (about.fault) note(`This image was not predicted: ${about.fault}`);
  busy('Opening ...');
  try {
    const image = await ask(`image/${number}.json`);
    if (state.number !== number) return;
    image.notes.forEach(note);
    if (image.whole) busy('Reading the whole file: it has no smaller levels ...');
    await slide.open(image, `image/${number}/tile`);
    if (state.number !== number) return;
    state.image = image;
    state.layers = image.layers.map((layer, place) => new GreyLayer(
      `image/${number}/layer/${place}`, layer, image, () => slide.redraw(), note,
    ));
    showFacts(about, image);
    showControls();
    await listUnits();
  } catch (error) {
    note(error.message);
  } finally {
    if (state.number === number) {
      busy('');
      document.documentElement.dataset.ready = number;
    }
  }
}

function showFacts(about, image) {
  const size = image.pixel_size;
  $('facts').textContent = [
    about.organ, about.data_source, about.patient && `patient ${about.patient}`,
    `${image.width.toLocaleString('en')} x ${image.height.toLocaleString('en')} px`,
    size ? `${Number(size.toPrecision(3))} µm/px` : 'pixel size unknown',
  ].filter(Boolean).join(' · ');
}

/** The layers of a kind. */
function of(kind) {
  return state.layers.filter((layer) => layer.about.kind === kind);
}

/** Names of the classes of the prediction, each with its colour. */
function classes() {
  const names = [...of('units'), ...of('probability')].map((layer) => layer.about.name);
  return new Map([...new Set(names)].map((name, i) => [name, COLOURS[i % COLOURS.length]]));
}

function showControls() {
  const box = (text, colour, checked, onChange) => {
    const label = document.createElement('label');
    const input = document.createElement('input');
    const swatch = document.createElement('span');
    const name = document.createElement('span');
    Object.assign(input, {type: 'checkbox', checked});
    swatch.className = 'swatch';
    swatch.style.background = colour;
    name.textContent = text;
    input.addEventListener('change', () => onChange(input.checked));
    label.append(input, swatch, name);
    return label;
  };
  const boxes = [...classes()].map(([name, colour]) => (
    box(name, colour, !state.off.has(name), (isOn) => toggle(name, isOn))
  ));
  if (of('truth').length) {
    boxes.push(box('ground truth', TRUTH_COLOUR, state.truth, (isOn) => {
      state.truth = isOn;
      slide.redraw();
    }));
  }
  $('classes').replaceChildren(...boxes);
  $('threshold').hidden = of('probability').length === 0;
  showThreshold();
}

function toggle(name, isOn) {
  if (isOn) state.off.delete(name);
  else state.off.add(name);
  rows.hide(state.off);
  slide.redraw();
}

function showThreshold() {
  const saved = state.image.threshold;
  const shown = state.threshold ?? saved;
  $('cut').value = shown;
  $('cut-value').textContent = shown.toFixed(2);
  $('reset').hidden = state.threshold === null;
  if (state.threshold !== null) {
    $('cut-note').textContent = 'probability alone, nothing filled or dropped';
  } else {
    $('cut-note').textContent = of('units').length
      ? `the mask as saved (threshold ${Number(saved.toFixed(3))})`
      : `no mask was saved: probability above ${Number(saved.toFixed(3))}`;
  }
}

let timer;

/** Draw what is above a threshold, and list its units when it rests. */
function setThreshold(value) {
  state.threshold = value;
  showThreshold();
  slide.redraw();
  clearTimeout(timer);
  timer = setTimeout(() => listUnits().catch((error) => note(error.message)), PAUSE);
}

function query() {
  return state.threshold === null ? '' : `?threshold=${state.threshold.toFixed(4)}`;
}

async function listUnits() {
  const {number, threshold} = state;
  busy('Finding units ...');
  try {
    const units = await ask(`image/${number}/units.json${query()}`);
    if (state.number !== number || state.threshold !== threshold) return;
    units.notes.forEach(note);
    Object.assign(state, {listed: threshold, mark: null});
    rows.set(units, state.image.pixel_size);
    rows.hide(state.off);
    slide.redraw();
  } finally {
    busy('');
  }
}

/** Draw the layers, dots for units too small to have an outline, and the mark. */
function draw(context, view) {
  if (!state.image) return;
  const colours = classes();
  const fill = Number($('fill').value);
  const saved = state.threshold === null && of('units').length > 0;
  const level = state.threshold ?? state.image.threshold;
  // 255 * p is above a threshold where it is above the next smaller whole number
  const cut = Math.floor(255 * level + 1e-9) + 0.5;
  const isTiny = rows.median * view.sx < DOT * view.ratio; // most units are dots now
  for (const layer of of('probability')) {
    const {name} = layer.about;
    const heat = $('heat').checked;
    if (state.off.has(name) || (saved && !heat)) continue;
    const above = saved ? 256 : cut; // nothing is outlined where the mask is
    layer.draw(context, view, {above, colour: colours.get(name), fill, heat, isTiny});
  }
  for (const layer of saved ? of('units') : []) {
    const {name} = layer.about;
    if (state.off.has(name)) continue;
    layer.draw(context, view, {above: HALF, colour: colours.get(name), fill, isTiny});
  }
  if (state.listed === state.threshold) drawDots(context, view, colours);
  for (const layer of state.truth ? of('truth') : []) {
    layer.draw(context, view, {above: HALF, colour: TRUTH_COLOUR, fill: 0});
  }
  if (state.mark) drawMark(context, view);
}

function drawDots(context, view, colours) {
  const {units} = rows;
  if (!units) return;
  const most = DOT * view.ratio / view.sx;
  const colourOf = units.names.map((name) => colours.get(name) ?? COLOURS[0]);
  const isOn = units.names.map((name) => !state.off.has(name));
  units.box.forEach(([left, top, right, bottom], unit) => {
    const kind = units.class_of[unit];
    if (right - left > most || bottom - top > most || !isOn[kind]) return;
    // as large as the unit within limits, so that thousands still show how dense they are
    const side = Math.min(3, Math.max(1, (right - left) * view.sx / view.ratio));
    const dot = Math.round(side * view.ratio);
    const x = view.x + (left + right) / 2 * view.sx;
    const y = view.y + (top + bottom) / 2 * view.sy;
    if (x < 0 || y < 0 || x > view.width || y > view.height) return;
    context.fillStyle = colourOf[kind];
    context.fillRect(Math.round(x - dot / 2), Math.round(y - dot / 2), dot, dot);
  });
}

function drawMark(context, view) {
  context.save();
  context.translate(view.x, view.y);
  context.scale(view.sx, view.sy);
  context.lineJoin = 'round';
  for (const [width, colour] of [[7, '#1d1a24'], [4, '#ffffff']]) {
    context.lineWidth = width * view.ratio / view.sx;
    context.strokeStyle = colour;
    context.stroke(state.mark);
  }
  context.restore();
}

/** Mark a unit, and move there. */
async function choose(unit, jumps) {
  state.mark = null;
  slide.redraw();
  if (unit === null) return;
  const box = rows.units.box[unit];
  if (jumps) slide.jump(box);
  const {number, threshold} = state;
  const path = new Path2D();
  try {
    const {polygons} = await ask(`image/${number}/unit/${unit}.json${query()}`);
    for (const ring of polygons.flat()) {
      ring.forEach(([x, y], k) => (k ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
    if (!polygons.length) path.rect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  } catch (error) {
    note(error.message);
    return;
  }
  if (state.number !== number || state.threshold !== threshold) return;
  if (rows.chosen !== unit) return;
  state.mark = path;
  slide.redraw();
}

/** Mark the unit that covers a place, px of the image. */
async function pick(x, y) {
  const {number, threshold, image} = state;
  if (!rows.units || state.listed !== threshold) return; // they are being listed anew
  let unit = null;
  if (x >= 0 && y >= 0 && x < image.width && y < image.height) {
    const place = `${Math.floor(x)}_${Math.floor(y)}`;
    try {
      const {units} = await ask(`image/${number}/at/${place}.json${query()}`);
      unit = units.find((one) => rows.isShown(one)) ?? null;
    } catch (error) {
      note(error.message);
      return;
    }
  }
  if (state.number === number && state.threshold === threshold) rows.choose(unit, false);
}

/** What a key does. */
const KEYS = {
  n: () => rows.step(1),
  p: () => rows.step(-1),
  o: () => {
    const names = [...classes().keys()];
    const isOn = names.some((name) => !state.off.has(name));
    names.forEach((name) => toggle(name, !isOn));
    showControls();
  },
  g: () => {
    state.truth = !state.truth;
    showControls();
    slide.redraw();
  },
  f: () => {
    $('fill').value = Number($('fill').value) ? 0 : 0.4;
    slide.redraw();
  },
  '[': () => nudge(-0.01),
  ']': () => nudge(0.01),
  '+': () => slide.zoom(1.5),
  '=': () => slide.zoom(1.5),
  '-': () => slide.zoom(1 / 1.5),
  0: () => slide.home(),
  ArrowLeft: () => slide.pan(-1, 0),
  ArrowRight: () => slide.pan(1, 0),
  ArrowUp: () => slide.pan(0, -1),
  ArrowDown: () => slide.pan(0, 1),
  PageUp: () => turn(-1),
  PageDown: () => turn(1),
  Escape: () => rows.choose(null, false),
};

function nudge(by) {
  if (!of('probability').length) return;
  const value = (state.threshold ?? state.image.threshold) + by;
  setThreshold(Math.min(1, Math.max(0, Math.round(value * 100) / 100)));
}

function turn(by) {
  const next = gallery.after(state.number, by);
  if (next !== undefined) show(next);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !state.image) return;
  const act = KEYS[event.key];
  if (!act || event.target.matches('[type=search], select')) return;
  // these move a slider itself
  if (event.target.type === 'range' && /Arrow|Page/.test(event.key)) return;
  event.preventDefault();
  act();
});
$('cut').addEventListener('input', () => setThreshold(Number($('cut').value)));
$('reset').addEventListener('click', () => setThreshold(null));
$('fill').addEventListener('input', () => slide.redraw());
$('heat').addEventListener('change', () => slide.redraw());
$('zoom-in').addEventListener('click', KEYS['+']);
$('zoom-out').addEventListener('click', KEYS['-']);
$('home').addEventListener('click', KEYS[0]);

/** For tests: whether all in sight has been drawn, and where a place of the image is. */
window.isDrawn = () => state.layers.every((layer) => layer.isIdle) && !slide.pending;
window.toPage = (x, y) => {
  const view = slide.view();
  return [view.x + x * view.sx, view.y + y * view.sy];
};

try {
  const {images, folder} = await ask('images.json');
  document.title = `${folder} - mmseg-ftu view`;
  gallery = new Gallery(images, show);
  const asked = Number(location.hash.slice(1)) - 1;
  await show(asked in images ? asked : 0);
} catch (error) {
  $('name').textContent = 'Nothing can be shown';
  note(error.message);
}
