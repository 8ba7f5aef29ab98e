/* The list of images at the left. */

export class Gallery {
  /** @param {function} onChoose Called with the number of an image that was chosen. */
  constructor(images, onChoose) {
    this.images = images;
    this.shown = images.map((_, number) => number);
    this.onChoose = onChoose;
    this.filter = document.getElementById('filter');
    document.getElementById('images').hidden = images.length < 2;
    this.filter.hidden = images.length < 8;
    this.filter.addEventListener('input', () => this.find());
    this.list = document.getElementById('gallery');
    this.list.append(...images.map((image, number) => this.item(image, number)));
    this.find();
  }

  item(image, number) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.title = image.id;
    const picture = document.createElement('img');
    picture.alt = '';
    picture.loading = 'lazy';
    if (!image.fault) picture.src = `image/${number}/thumbnail.jpg`;
    const name = document.createElement('b');
    name.textContent = image.id;
    const facts = document.createElement('span');
    facts.className = 'soft';
    facts.textContent = image.fault ? 'failed' : [
      image.organ, image.objects && `${Number(image.objects)} unit${Number(image.objects) === 1 ? '' : 's'}`,
    ].filter(Boolean).join(', ');
    button.append(picture, name, facts);
    button.addEventListener('click', () => this.onChoose(number));
    item.append(button);
    return item;
  }

  /** Show the images whose name, organ or patient has the text in it. */
  find() {
    const text = this.filter.value.trim().toLowerCase();
    this.shown = [];
    this.images.forEach((image, number) => {
      const words = [image.id, image.organ, image.data_source, image.patient];
      const fits = words.join(' ').toLowerCase().includes(text);
      this.list.children[number].hidden = !fits;
      if (fits) this.shown.push(number);
    });
    const count = this.shown.length;
    document.getElementById('found').textContent = `${count} image${count === 1 ? '' : 's'}`;
  }

  mark(number) {
    this.list.querySelector('[aria-current]')?.removeAttribute('aria-current');
    const button = this.list.children[number].firstElementChild;
    button.setAttribute('aria-current', 'true');
    button.scrollIntoView({block: 'nearest'});
  }

  /** The image that comes so many after another, of those shown. */
  after(number, by) {
    return this.shown[this.shown.indexOf(number) + by];
  }
}
