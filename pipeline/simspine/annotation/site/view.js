// One view: its image, the points on it, and the hand that moves them.

import { HOW, SEE, isGuess } from "./labels.js";
import { curve, shares } from "./spine.js";

const REACH_PX = 11; // on the screen: how near a press must be to take a point
const STILL_PX = 4; // a press that moves less is a click
const LOUPE = { radius: 74, times: 4 };
const COLOURS = { left: "#56b4e9", right: "#f0a020", middle: "#2fd39a", skin: "#f0e442" };
const DARK = "rgba(10, 14, 18, .85)";
const GUESS_DASHES = [4, 4]; // of lines to points that no detector saw
export const LINES = ["#ff8fc8", "#9dff6b", "#ffd166", "#7cc4ff", "#ff9e7a", "#c9a6ff", "#7ef0e4", "#e6e6e6"]; // of the views

export class View {
  // app: what all views share (see main.js). index: of the view.
  constructor(app, index, canvas) {
    Object.assign(this, { app, index, canvas, image: null, scale: 1, x: 0, y: 0, drag: null, pointer: null, fitted: "" });
    this.pen = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => ((this.pointer = null), app.redraw()));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.fit("person"));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  get points() {
    return this.app.points?.[this.index];
  }

  // Image px → px of the screen. A px's middle has whole numbers, the drawn image begins half a px before.
  toScreen(x, y) {
    return [(x + 0.5) * this.scale + this.x, (y + 0.5) * this.scale + this.y];
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale - 0.5, (y - this.y) / this.scale - 0.5];
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.width === width && this.height === height && this.ratio === ratio) return;
    Object.assign(this, { width, height, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.fit(this.fitted || "person");
  }

  // Show the whole image, or the person in it where there is one.
  fit(what) {
    const [width, height] = this.app.project.views[this.index].size;
    let box = [0, 0, width, height];
    const placed = (this.points ?? []).filter((p) => p.see && p.x !== null);
    if (what === "person" && placed.length > 4) {
      const [xs, ys] = [placed.map((p) => p.x), placed.map((p) => p.y)];
      const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      const margin = 0.1 * Math.max(x1 - x0, y1 - y0);
      box = [x0 - margin, y0 - margin, x1 + margin, y1 + margin];
    }
    this.scale = Math.min(this.width / (box[2] - box[0]), this.height / (box[3] - box[1]));
    this.x = this.width / 2 - ((box[0] + box[2]) / 2 + 0.5) * this.scale;
    this.y = this.height / 2 - ((box[1] + box[3]) / 2 + 0.5) * this.scale;
    const edge = (offset, size, room) => (size * this.scale >= room ? Math.min(0, Math.max(room - size * this.scale, offset)) : offset);
    this.x = edge(this.x, width, this.width); // no empty strip next to an image that fills the view
    this.y = edge(this.y, height, this.height);
    this.fitted = what;
    this.app.redraw();
  }

  zoom(times, at = [this.width / 2, this.height / 2]) {
    const scale = Math.min(40, Math.max(0.05, this.scale * times));
    this.x = at[0] - ((at[0] - this.x) * scale) / this.scale;
    this.y = at[1] - ((at[1] - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = "";
    this.app.redraw();
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), [event.offsetX, event.offsetY]);
  }

  // The point under the pointer; the selected one is preferred where several are near.
  hit(x, y) {
    let [best, least] = [-1, REACH_PX];
    (this.points ?? []).forEach((point, i) => {
      if (!point.see) return;
      const [u, v] = this.toScreen(point.x, point.y);
      const away = Math.hypot(u - x, v - y) - (i === this.app.point ? 4 : 0);
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  press(event) {
    if (!this.points) return;
    const at = [event.offsetX, event.offsetY];
    this.canvas.setPointerCapture(event.pointerId);
    this.app.setActive(this.index);
    const point = event.button === 0 && !event.ctrlKey ? this.hit(...at) : -1; // with Ctrl always outside points
    this.drag = { at, from: at, point, moved: false, start: null };
    if (point >= 0) {
      this.app.select(point);
      const { x, y } = this.points[point];
      const [u, v] = this.toScreen(x, y);
      Object.assign(this.drag, { off: [u - at[0], v - at[1]], start: this.points.map((p) => ({ ...p })) });
    }
    this.app.redraw();
  }

  move(event) {
    this.pointer = [event.offsetX, event.offsetY];
    const drag = this.drag;
    if (drag) {
      const way = [event.offsetX - drag.at[0], event.offsetY - drag.at[1]];
      drag.moved ||= Math.hypot(event.offsetX - drag.from[0], event.offsetY - drag.from[1]) >= (drag.point >= 0 ? 1 : STILL_PX);
      drag.at = this.pointer;
      if (drag.point >= 0 && drag.moved) this.follow(event.shiftKey);
      else if (drag.point < 0 && drag.moved) {
        this.x += way[0];
        this.y += way[1];
        this.fitted = "";
      }
    } else {
      this.canvas.style.cursor = this.hit(...this.pointer) >= 0 ? "pointer" : "crosshair";
    }
    this.app.redraw();
  }

  // While a point is dragged only what is shown changes; `release` makes it a decision.
  follow(alone) {
    const [x, y] = this.toImage(this.drag.at[0] + this.drag.off[0], this.drag.at[1] + this.drag.off[1]);
    this.drag.changes = this.moves(this.drag.point, x, y, alone, this.drag.start);
    this.drag.start.forEach((p, i) => Object.assign(this.points[i], { x: p.x, y: p.y, see: p.see, how: p.how }));
    for (const c of this.drag.changes) Object.assign(this.points[c.p], { x: c.x, y: c.y });
  }

  release(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || !this.points) return this.app.redraw();
    if (drag.point >= 0 && drag.start) {
      drag.start.forEach((p, i) => Object.assign(this.points[i], { x: p.x, y: p.y, see: p.see, how: p.how }));
      if (drag.moved && drag.changes) this.app.change(drag.changes);
    } else if (!drag.moved && event.button === 0 && this.app.point >= 0) {
      const [x, y] = this.toImage(...drag.at);
      this.app.place(this.index, x, y, event.shiftKey);
    }
    this.app.redraw();
  }

  cancel() {
    this.drag?.start?.forEach((p, i) => Object.assign(this.points[i], { x: p.x, y: p.y, see: p.see, how: p.how }));
    this.drag = null;
    this.app.redraw();
  }

  // Changes that put a point somewhere; along the spine its neighbours follow, unless it moves alone.
  moves(point, x, y, alone, points = this.points) {
    const [width, height] = this.app.project.views[this.index].size;
    const inside = (u, v) => [Math.min(width - 0.5, Math.max(-0.5, u)), Math.min(height - 0.5, Math.max(-0.5, v))].map((n) => Math.round(n * 100) / 100);
    const old = points[point];
    [x, y] = inside(x, y);
    const changes = [{ v: this.index, p: point, x, y, see: old.see || SEE.seen, how: HOW.corrected }];
    const chain = this.app.project.chain;
    const place = chain.indexOf(point);
    if (alone || place < 0 || !old.see || !this.app.shown.curve) return changes;
    const decided = (p) => p.how === HOW.corrected || p.how === HOW.accepted;
    const share = shares(chain.map((i) => (points[i].see ? [points[i].x, points[i].y] : null)), chain.map((i) => decided(points[i])), place);
    chain.forEach((i, k) => {
      if (k === place || !share[k] || decided(points[i])) return;
      const [u, v] = inside(points[i].x + share[k] * (x - old.x), points[i].y + share[k] * (y - old.y));
      changes.push({ v: this.index, p: i, x: u, y: v, see: points[i].see, how: HOW.derived });
    });
    return changes;
  }

  draw() {
    const { pen, ratio } = this;
    if (!this.width) return;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#0d1013";
    pen.fillRect(0, 0, this.width, this.height);
    this.scene();
    if (this.app.late) this.label(this.width / 2 - 60, this.height / 2, `loading frame ${this.app.frame} …`);
    else if (this.points && !this.image && !this.app.loading) this.label(this.width / 2 - 60, this.height / 2, "this image cannot be read");
    const held = this.drag?.point >= 0 && this.drag.moved;
    if ((held || this.app.loupe) && this.pointer) this.loupe();
  }

  // All that moves with the image, also inside the loupe.
  scene() {
    const { pen, app } = this;
    if (this.image) {
      pen.imageSmoothingEnabled = this.scale < 3;
      const [x, y] = this.toScreen(-0.5, -0.5);
      pen.drawImage(this.image, x, y, this.image.width * this.scale, this.image.height * this.scale);
    }
    if (!this.points) return;
    if (app.shown.lines && app.point >= 0) this.epipolars();
    if (app.shown.body) this.bones();
    if (app.shown.curve) this.spine();
    if (app.shown.ghosts) this.ghosts();
    this.points.forEach((point, i) => i !== app.point && this.dot(point, i));
    if (app.point >= 0) this.dot(this.points[app.point], app.point);
  }

  path(places) {
    this.pen.beginPath();
    places.forEach(([x, y], i) => this.pen[i ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
  }

  stroke(colour, width, dash = []) {
    this.pen.setLineDash(dash);
    this.pen.strokeStyle = colour;
    this.pen.lineWidth = width;
    this.pen.stroke();
    this.pen.setLineDash([]);
  }

  epipolars() {
    for (const { view, pieces } of this.app.rig.lines(this.app.points, this.index, this.app.point)) {
      for (const piece of pieces) {
        this.path(piece);
        this.stroke("rgba(10,14,18,.55)", 3);
        this.path(piece);
        this.stroke(LINES[view % LINES.length], 1.3);
      }
    }
  }

  bones() {
    const { project } = this.app;
    this.points.forEach((point, i) => {
      const { parent, side } = project.points[i];
      const other = this.points[parent];
      if (!point.see || !other?.see || (project.chain.includes(i) && project.chain.includes(parent))) return;
      this.path([[point.x, point.y], [other.x, other.y]]);
      this.pen.globalAlpha = 0.6;
      this.stroke(COLOURS[side], 1.6, isGuess(point) || isGuess(other) ? GUESS_DASHES : []);
      this.pen.globalAlpha = 1;
    });
  }

  spine() {
    const placed = this.app.project.chain.map((i) => this.points[i]).filter((p) => p.see);
    if (placed.length < 2) return;
    const places = curve(placed.map((p) => [p.x, p.y]));
    this.path(places);
    this.stroke("rgba(10,14,18,.6)", 4.5);
    const each = (places.length - 1) / (placed.length - 1);
    placed.slice(1).forEach((p, i) => {
      this.path(places.slice(i * each, (i + 1) * each + 1));
      this.stroke("#ff7a45", 2.2, isGuess(p) || isGuess(placed[i]) ? GUESS_DASHES : []);
    });
  }

  ghosts() {
    const { app } = this;
    const near = 6 / this.scale;
    this.points.forEach((point, i) => {
      if (i !== app.point && !app.shown.allGhosts) return;
      const at = app.rig.ghost(app.points, this.index, i);
      if (!at || (point.see && i !== app.point && Math.hypot(at[0] - point.x, at[1] - point.y) < near)) return;
      const [x, y] = this.toScreen(...at);
      if (point.see) {
        this.path([at, [point.x, point.y]]);
        this.stroke("rgba(255,255,255,.75)", 1.2, [3, 3]);
      }
      const size = i === app.point ? 7 : 4;
      for (const [colour, width] of [[DARK, 3.5], ["#fff", 1.5]]) {
        this.pen.beginPath();
        this.pen.moveTo(x - size, y);
        this.pen.lineTo(x + size, y);
        this.pen.moveTo(x, y - size);
        this.pen.lineTo(x, y + size);
        this.stroke(colour, width);
      }
    });
  }

  dot(point, i) {
    if (!point?.see || point.x === null) return;
    const { pen, app } = this;
    const [x, y] = this.toScreen(point.x, point.y);
    const chosen = i === app.point;
    const colour = COLOURS[app.project.points[i].side];
    const radius = chosen ? 6.5 : 4.2;
    pen.globalAlpha = isGuess(point) && !chosen ? 0.55 : 1; // paler: nobody saw it
    pen.beginPath();
    if (point.how === HOW.derived) pen.rect(x - radius * 0.85, y - radius * 0.85, radius * 1.7, radius * 1.7);
    else if (isGuess(point)) this.diamond(x, y, radius * 1.2);
    else pen.arc(x, y, radius, 0, 7);
    this.stroke(DARK, 4.6);
    const filled = point.how === HOW.corrected || point.how === HOW.accepted;
    pen.fillStyle = filled ? colour : "rgba(10,14,18,.28)";
    if (!chosen || !filled) pen.fill();
    this.stroke(point.how === HOW.corrected ? "#fff" : colour, chosen ? 2.4 : 1.8, point.see === SEE.hidden ? [2.5, 2.2] : []);
    pen.globalAlpha = 1;
    if (!chosen) return;
    pen.beginPath();
    pen.arc(x, y, 1.3, 0, 7);
    pen.fillStyle = colour;
    pen.fill();
    pen.beginPath();
    pen.arc(x, y, 11.5, 0, 7);
    this.stroke("#fff", 1.2);
    if (app.active === this.index && !this.enlarged) this.label(x, y, app.title(i));
  }

  diamond(x, y, half) {
    this.pen.moveTo(x, y - half);
    for (const [u, v] of [[half, 0], [0, half], [-half, 0]]) this.pen.lineTo(x + u, y + v);
    this.pen.closePath();
  }

  label(x, y, text) {
    const { pen } = this;
    pen.font = "600 12px system-ui, sans-serif";
    const wide = pen.measureText(text).width;
    const left = x + 18 + wide > this.width ? x - 22 - wide : x + 16;
    pen.fillStyle = DARK;
    pen.beginPath();
    pen.roundRect(left - 5, y - 22, wide + 10, 18, 4);
    pen.fill();
    pen.fillStyle = "#fff";
    pen.textBaseline = "middle";
    pen.fillText(text, left, y - 13);
  }

  // The surroundings of the pointer, enlarged, next to it.
  loupe() {
    const { pen, pointer } = this;
    const { radius, times } = LOUPE;
    const held = this.drag?.point >= 0 ? this.points[this.drag.point] : null;
    const centre = held ? this.toScreen(held.x, held.y) : pointer;
    const [u, v] = this.toImage(...centre);
    const side = pointer[0] + 2 * radius + 30 > this.width ? -1 : 1;
    const up = pointer[1] - 2 * radius - 30 < 0 ? 1 : -1;
    const within = (n, room) => Math.max(Math.min(n, room - radius - 4), radius + 4);
    const at = [within(pointer[0] + side * (radius + 22), this.width), within(pointer[1] + up * (radius + 22), this.height)];
    const kept = [this.scale, this.x, this.y];
    pen.save();
    pen.beginPath();
    pen.arc(...at, radius, 0, 7);
    pen.fillStyle = "#0d1013";
    pen.fill();
    pen.clip();
    this.scale = Math.max(this.scale * times, times);
    this.x = at[0] - (u + 0.5) * this.scale;
    this.y = at[1] - (v + 0.5) * this.scale;
    this.enlarged = true;
    this.scene();
    this.enlarged = false;
    [this.scale, this.x, this.y] = kept;
    pen.restore();
    pen.beginPath();
    pen.arc(...at, radius, 0, 7);
    this.stroke("#fff", 2);
  }
}
