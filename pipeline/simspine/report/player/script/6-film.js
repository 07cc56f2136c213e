// Pictures of one camera at a time, with the body and what was detected drawn on them.

const KEPT_PICTURES = 48;
const AHEAD = 2; // pictures that are decoded before they are needed, while playing

class Film {
  constructor(root, data) {
    this.data = data;
    this.root = root;
    this.screen = root.querySelector('[data-part="screen"]');
    this.buttons = [...root.querySelectorAll("[data-camera]")];
    this.drawn = true;
    this.seen = true;
    this.bytes = [];
    this.pictures = new Map();
    this.asked = new Set();
    this.frame = 0;
    this.pen = this.screen.getContext("2d", { alpha: false });
    this.slow = false; // without a graphics card fewer pictures are shown while playing
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.choose(i)));
    new ResizeObserver(() => this.resize()).observe(this.screen.parentElement);
    const seen = this.buttons.map((_, i) => data.arrays[`seen/${i}`].filter(Number.isFinite).length);
    this.choose(seen.indexOf(Math.max(...seen))); // begins with the camera that saw most: the back's, with markers on it
  }

  choose(camera) {
    this.camera = camera;
    this.film = this.data.header.films[camera];
    for (const bitmap of this.pictures.values()) bitmap.close();
    this.pictures.clear();
    this.asked.clear();
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === camera)));
    this.screen.setAttribute("aria-label", `Camera ${this.film.name} with the fitted body drawn on its picture`);
    this.resize();
  }

  // As many dots as the screen shows, no more: each costs time.
  resize() {
    if (matchMedia("print").matches) return; // a picture of another size would come too late for the paper
    const { clientWidth, clientHeight } = this.screen.parentElement;
    const [width, height] = this.film.size;
    const fit = Math.min(clientWidth / width, clientHeight / height) || 1;
    this.scale = fit * Math.min(2, window.devicePixelRatio || 1);
    const [across, down] = [Math.round(width * this.scale), Math.round(height * this.scale)];
    if (across === this.screen.width && down === this.screen.height && this.pictures.size) return;
    [this.screen.width, this.screen.height] = [across, down];
    delete this.screen.dataset.frame; // setting the size wipes the picture
    for (const bitmap of this.pictures.values()) bitmap.close();
    this.pictures.clear();
    this.asked.clear();
    this.painted = -1;
    this.show(this.frame, false);
  }

  // what: "drawn", the fitted body, or "seen", the points that were detected.
  toggle(what, on) {
    this[what] = on;
    this.show(this.frame, false);
  }

  next() {
    this.choose((this.camera + 1) % this.data.header.films.length);
  }

  // The bytes of the chosen camera, read when they are first needed.
  read() {
    if (!this.bytes[this.camera]) {
      const text = atob(document.getElementById(`${this.root.id}-film-${this.camera}`).textContent.trim());
      const bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      this.bytes[this.camera] = bytes;
    }
    return this.bytes[this.camera];
  }

  ask(number) {
    const { film, pictures, asked } = this;
    if (number >= film.ends.length - 1 || pictures.has(number) || asked.has(number)) return;
    asked.add(number);
    const part = this.read().subarray(film.ends[number], film.ends[number + 1]);
    // At the size of the screen, so that painting one only copies it: making it smaller each time takes far longer.
    const { width, height } = this.screen;
    const size = { resizeWidth: width, resizeHeight: height, resizeQuality: "medium" };
    createImageBitmap(new Blob([part], { type: "image/jpeg" }), size).then((bitmap) => {
      if (this.film !== film || this.screen.width !== width || this.screen.height !== height) return bitmap.close();
      asked.delete(number);
      pictures.set(number, bitmap);
      if (pictures.size > KEPT_PICTURES) {
        const oldest = pictures.keys().next().value;
        pictures.get(oldest).close();
        pictures.delete(oldest);
      }
      if (this.wanted === number) this.paint(number);
    });
  }

  show(frame, playing) {
    this.frame = frame;
    const last = this.film.ends.length - 2;
    if (last < 0) return;
    const every = playing && this.slow ? Math.max(1, Math.round(this.data.header.rate / this.film.every / 20)) : 1;
    const at = Math.floor(frame / this.film.every);
    const number = Math.min(last, at - (at % every));
    if (playing && number === this.painted) return;
    this.wanted = number;
    if (this.pictures.has(number)) this.paint(number);
    else this.ask(number);
    for (let i = 1; playing && i <= AHEAD; i++) this.ask(number + i * every);
  }

  // The body is drawn at the picture's own moment, so that the two always belong together.
  paint(number) {
    const { pen } = this;
    const frame = Math.min(this.data.header.frames - 1, number * this.film.every);
    this.painted = number;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(this.pictures.get(number), 0, 0);
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.screen.dataset.frame = frame;
    pen.translate(0.5, 0.5); // whole numbers are the middles of pixels
    pen.lineJoin = pen.lineCap = "round";
    if (this.drawn) this.drawBody(pen, frame);
    if (this.seen) this.drawSeen(pen, frame);
  }

  points(name, frame) {
    const values = this.data.arrays[`${name}/${this.camera}`];
    const count = values.length / 2 / this.data.header.frames;
    const at = [];
    for (let i = frame * count; i < (frame + 1) * count; i++) at.push([values[2 * i], values[2 * i + 1]]);
    return at;
  }

  drawBody(pen, frame) {
    const body = this.points("body", frame);
    const known = (point) => point && Number.isFinite(point[0]);
    const limbs = {}; // a path for each colour
    this.film.lines.forEach(([a, b], i) => {
      if (!known(body[a]) || !known(body[b])) return;
      const limb = (limbs[this.film.paints.lines[i]] ??= new Path2D());
      limb.moveTo(...body[a]);
      limb.lineTo(...body[b]);
    });
    const [spine, assumed] = [new Path2D(), new Path2D()];
    this.film.spine.slice(1).forEach((above, i) => {
      const ends = [body[this.film.spine[i]], body[above]];
      const path = this.data.header.assumed[i] ? assumed : spine;
      if (ends.every(known)) ends.forEach((point, k) => (k ? path.lineTo(...point) : path.moveTo(...point)));
    });
    const colour = getComputedStyle(this.root).getPropertyValue("--vermillion");
    const drawn = [...Object.entries(limbs).map(([paint, path]) => [path, paint, 2]), [spine, colour, 3.5], [assumed, colour, 3.5, [3, 7]]];
    for (const [path, paint, width, dashes] of drawn) {
      pen.setLineDash(dashes ?? []);
      for (const [style, reach] of [["rgba(0, 0, 0, .55)", width + 2.4], [paint, width]]) {
        pen.strokeStyle = style;
        pen.lineWidth = reach;
        pen.stroke(path);
      }
    }
  }

  drawSeen(pen, frame) {
    for (const [i, [x, y]] of this.points("seen", frame).entries()) {
      if (!Number.isFinite(x)) continue;
      pen.beginPath();
      pen.arc(x, y, 3, 0, 2 * Math.PI);
      pen.fillStyle = this.film.paints.seen[i];
      pen.fill();
      pen.lineWidth = 1;
      pen.strokeStyle = "#14171a";
      pen.stroke();
    }
  }
}
