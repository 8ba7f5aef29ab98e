/* The list of units: sorted columns, of which the rows in sight are in the page. */

const ROW = 26; // px, as in view.css
const TALLEST = 8e6; // px; browsers cannot scroll much more

export class UnitRows {
  /**
   * @param {function} onChoose Called with a unit that was chosen, and whether to jump.
   */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.list = document.getElementById('list');
    this.rows = document.getElementById('rows');
    this.sort = document.getElementById('sort');
    this.order = document.getElementById('order');
    this.descending = true;
    this.chosen = null;
    this.set(null, null);
    this.list.addEventListener('scroll', () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.list);
    this.sort.addEventListener('change', () => {
      this.descending = this.sort.value !== 'number';
      this.arrange();
    });
    this.order.addEventListener('click', () => {
      this.descending = !this.descending;
      this.arrange();
    });
    this.rows.addEventListener('click', (event) => {
      const row = event.target.closest('.unit');
      if (row) this.choose(Number(row.dataset.unit), true);
    });
    this.list.addEventListener('keydown', (event) => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.step(step);
    });
  }

  /** Show units, as the server lists them; pixelSize is in um, if known. */
  set(units, pixelSize) {
    this.units = units;
    this.pixelSize = pixelSize;
    this.chosen = null;
    const sides = (units?.box ?? []).map(([l, t, r, b]) => Math.max(r - l, b - t));
    this.median = Float64Array.from(sides).sort()[sides.length >> 1] ?? Infinity;
    document.getElementById('units').classList.toggle('one-class', units?.names.length === 1);
    document.getElementById('area-head').textContent = pixelSize ? 'area µm²' : 'area px';
    this.arrange();
  }

  /** Leave out classes of these names. */
  hide(names) {
    this.hidden = names;
    this.arrange();
  }

  isShown(unit) {
    return !this.hidden?.has(this.units.names[this.units.class_of[unit]]);
  }

  arrange() {
    const {units} = this;
    const column = units?.[this.sort.value] ?? [];
    this.shown = [...column.keys()].filter((unit) => this.isShown(unit));
    const sign = this.descending ? -1 : 1;
    // units without a number come last in both orders
    this.shown.sort((a, b) => {
      const [one, other] = [column[a], column[b]];
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * (one - other) || a - b;
    });
    this.order.textContent = this.descending ? '↓' : '↑';
    const left = document.getElementById('left-out');
    left.hidden = !units?.left_out;
    left.textContent = `${units?.left_out.toLocaleString('en')} smaller ones are not listed`;
    document.getElementById('count').textContent = units
      ? `${this.shown.length.toLocaleString('en')} unit${this.shown.length === 1 ? '' : 's'}`
      : 'Units ...';
    this.list.scrollTop = 0;
    this.draw();
  }

  /** Height of all rows, and which row is at the top: long lists are squeezed. */
  squeeze() {
    const full = this.shown.length * ROW;
    return full > TALLEST ? (full - this.list.clientHeight) / (TALLEST - this.list.clientHeight) : 1;
  }

  draw() {
    const squeeze = this.squeeze();
    this.rows.style.height = `${Math.min(this.shown.length * ROW, TALLEST)}px`;
    const top = this.list.scrollTop;
    const first = Math.max(0, Math.floor(top * squeeze / ROW) - 5);
    const count = Math.ceil(this.list.clientHeight / ROW) + 10;
    const offset = top - top * squeeze; // 0 unless the list is squeezed
    this.rows.replaceChildren(...this.shown.slice(first, first + count).map(
      (unit, k) => this.row(unit, (first + k) * ROW + offset),
    ));
  }

  row(unit, y) {
    const {units, pixelSize} = this;
    const row = document.createElement('div');
    row.className = 'unit';
    row.dataset.unit = unit;
    row.style.top = `${y}px`;
    row.setAttribute('role', 'option');
    row.setAttribute('aria-selected', unit === this.chosen);
    const area = units.area[unit] * (pixelSize ? pixelSize ** 2 : 1);
    const texts = [
      units.number[unit],
      units.names[units.class_of[unit]],
      Math.round(area).toLocaleString('en'),
      units.mean[unit] === null ? '' : units.mean[unit].toFixed(2),
    ];
    for (const text of texts) {
      const cell = document.createElement('span');
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }

  /** Choose a unit; null takes the choice away. */
  choose(unit, jumps) {
    this.chosen = unit;
    const place = unit === null ? -1 : this.shown.indexOf(unit);
    if (place >= 0) {
      const y = place * ROW / this.squeeze();
      const {scrollTop, clientHeight} = this.list;
      if (y < scrollTop || y + ROW > scrollTop + clientHeight) {
        this.list.scrollTop = y - clientHeight / 2;
      }
    }
    this.draw();
    this.onChoose(unit, jumps);
  }

  /** Choose the next unit, or the one before. */
  step(by) {
    if (!this.shown.length) return;
    const place = this.chosen === null ? -1 : this.shown.indexOf(this.chosen);
    const next = place < 0 ? 0 : (place + by + this.shown.length) % this.shown.length;
    this.choose(this.shown[next], true);
  }
}
