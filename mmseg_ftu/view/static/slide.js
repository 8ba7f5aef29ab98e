/* The zoomable picture (OpenSeadragon), the canvas over it, and the scale bar. */

import {levelsOf} from './grey_layer.js';

const {OpenSeadragon} = window;
const OPTIONS = {
  drawer: 'canvas',
  showNavigationControl: false, // our own buttons need no pictures
  showNavigator: true,
  navigatorPosition: 'BOTTOM_RIGHT',
  navigatorSizeRatio: 0.16,
  navigatorAutoFade: false,
  navigatorBackground: '#d9d7de',
  navigatorBorderColor: '#8d8897',
  navigatorDisplayRegionColor: '#5b2a86',
  navigatorOpacity: 1,
  gestureSettingsMouse: {clickToZoom: false},
  gestureSettingsTouch: {pinchRotate: false},
  maxZoomPixelRatio: 16,
  minZoomImageRatio: 0.6,
  visibilityRatio: 0.2,
  animationTime: 0.4,
  imageLoaderLimit: 6,
  timeout: 600000, // ms
};
const LENGTHS = [1, 2, 5];

export class Slide {
  /**
   * @param {function} onDraw Called with the context and the view, to draw on top.
   * @param {function} onPick Called with a place on the image, px, that was clicked.
   * @param {function} onFault Called with the address of a tile that did not come.
   */
  constructor(onDraw, onPick, onFault) {
    Object.assign(this, {onDraw, onPick});
    this.canvas = document.getElementById('overlay');
    this.viewer = new OpenSeadragon.Viewer({element: 'slide', ...OPTIONS});
    this.viewer.canvas.append(this.canvas); // over the picture, under the small map
    this.viewer.innerTracker.keyHandler = null; // keys are the page's
    this.viewer.innerTracker.keyDownHandler = null;
    for (const event of ['update-viewport', 'open', 'resize']) {
      this.viewer.addHandler(event, () => this.draw());
    }
    this.viewer.addHandler('canvas-click', (event) => {
      if (event.quick && this.image) this.onPick(...this.toImage(event.position));
    });
    this.viewer.addHandler('tile-load-failed', (event) => onFault(event.tile.getUrl()));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Show an image; resolves when it can be moved. */
  async open(image, url) {
    const {picture, tile} = image;
    const most = levelsOf(picture.width, picture.height, tile).length - 1;
    this.image = null;
    // of a file without smaller levels the first overview takes long, and not all of
    // the viewer's parts would wait for it
    await fetch(`${url}/${most}/0_0.jpg`).then((answer) => answer.blob());
    const opened = new Promise((resolve) => this.viewer.addOnceHandler('open', resolve));
    this.viewer.open({
      width: picture.width,
      height: picture.height,
      tileSize: tile,
      minLevel: 0,
      maxLevel: most,
      getTileUrl: (level, x, y) => `${url}/${most - level}/${x}_${y}.jpg`,
    });
    await opened;
    this.image = image;
    this.draw();
  }

  /** How the image lies on the canvas. */
  view() {
    const ratio = window.devicePixelRatio || 1;
    const {viewport} = this.viewer;
    const {picture, width, height} = this.image;
    const aspect = picture.height / picture.width;
    const from = viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    const to = viewport.pixelFromPoint(new OpenSeadragon.Point(1, aspect), true);
    return {
      ratio,
      x: from.x * ratio,
      y: from.y * ratio,
      sx: (to.x - from.x) / width * ratio,
      sy: (to.y - from.y) / height * ratio,
      width: this.canvas.width,
      height: this.canvas.height,
    };
  }

  toImage(position) {
    const {x, y, sx, sy, ratio} = this.view();
    return [(position.x * ratio - x) / sx, (position.y * ratio - y) / sy];
  }

  /** Draw the canvas at once. */
  draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (this.canvas.width !== Math.round(width * ratio)
        || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext('2d');
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.image) return;
    const view = this.view();
    this.onDraw(context, view);
    this.drawScale(view);
  }

  /** Draw the canvas soon, once for all that ask until then. */
  redraw() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.draw();
    });
  }

  drawScale({sx, ratio}) {
    const bar = document.getElementById('scale');
    const size = this.image.pixel_size;
    bar.hidden = !size;
    if (!size) return;
    const most = 140 * size / (sx / ratio); // um that 140 px of the page show
    const power = 10 ** Math.floor(Math.log10(most));
    const um = power * LENGTHS.findLast((length) => length * power <= most);
    bar.firstElementChild.style.width = `${um / size * sx / ratio}px`;
    bar.firstElementChild.textContent = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
  }

  /** Show a box of the image, left, top, right and bottom, with what is around it. */
  jump([left, top, right, bottom]) {
    const {width, height, picture} = this.image;
    const side = Math.max(right - left, bottom - top, 64);
    const x = (left + right) / 2, y = (top + bottom) / 2;
    const aspect = picture.height / picture.width;
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(
      (x - 1.5 * side) / width, (y - 1.5 * side) / height * aspect,
      3 * side / width, 3 * side / height * aspect,
    ));
  }

  zoom(factor) {
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  pan(x, y) {
    const {viewport} = this.viewer;
    const size = viewport.getBounds().width / 8;
    viewport.panBy(new OpenSeadragon.Point(x * size, y * size));
    viewport.applyConstraints();
  }

  home() {
    this.viewer.viewport.goHome();
  }
}
