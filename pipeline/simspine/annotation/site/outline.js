// A person's outline in each view: proposed, drawn and corrected by mouse and keys. Corners in px of the image.

import { HOW } from "./labels.js";

const REACH_PX = 10; // on the screen: how near a press must be to take a corner, or an edge
const COLOUR = "#2fd39a";
const KEYBOARD_PX = 20; // from the last corner to the one that a key adds

export class OutlineTool {
  constructor(app) {
    Object.assign(this, { app, on: false, drawing: null, held: null, chosen: null, proposed: new Map() });
  }

  // What a person decided in a view, else what is proposed: {rings, how}; null where there is neither.
  of(view) {
    const { app } = this;
    return app.points?.outlines?.[view] ?? this.proposed.get(`${view}/${app.frame}`) ?? null;
  }

  rings(view) {
    if (this.held?.view === view) return this.held.rings;
    return this.of(view)?.rings ?? [];
  }

  toggle() {
    this.on = !this.on;
    Object.assign(this, { drawing: null, held: null, chosen: null });
    document.body.dataset.outline = this.on ? "yes" : "no";
    document.querySelector("[data-act=outline]").setAttribute("aria-pressed", this.on);
    if (this.on) this.propose();
    this.app.redraw();
  }

  // Ask for a first guess in views where nobody has decided.
  async propose() {
    const { app } = this;
    const frame = app.frame;
    Object.assign(this, { drawing: null, held: null, chosen: null });
    await Promise.all(
      app.views.map(async (_, view) => {
        const key = `${view}/${frame}`;
        if (app.points.outlines[view] || this.proposed.has(key)) return;
        const answer = await fetch(`api/outline/${view}/${frame}`).catch(() => null);
        const rings = answer?.ok ? (await answer.json()).rings : [];
        this.proposed.set(key, rings.length ? { rings, how: HOW.unseen } : null);
        app.redraw();
      }),
    );
    document.body.dataset.proposed = frame;
  }

  decide(view, rings, how = HOW.corrected) {
    const kept = rings?.filter((ring) => ring.length > 2) ?? null;
    this.app.labels.changeOutline(this.app.frame, view, kept?.length ? kept : null, how);
  }

  copy(view) {
    return this.rings(view).map((ring) => ring.map((corner) => [...corner]));
  }

  // The corner, or the edge after it, that is nearest to a place on the screen: {ring, corner, edge}; null.
  hit(view, at) {
    const screen = this.rings(view.index).map((ring) => ring.map(([x, y]) => view.toScreen(x, y)));
    let [best, least] = [null, REACH_PX];
    screen.forEach((ring, r) =>
      ring.forEach(([x, y], c) => {
        const away = Math.hypot(x - at[0], y - at[1]);
        if (away < least) [best, least] = [{ ring: r, corner: c, edge: false }, away];
      }),
    );
    if (best) return best;
    screen.forEach((ring, r) =>
      ring.forEach((a, c) => {
        const b = ring[(c + 1) % ring.length];
        const length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 || 1;
        const t = Math.max(0, Math.min(1, ((at[0] - a[0]) * (b[0] - a[0]) + (at[1] - a[1]) * (b[1] - a[1])) / length));
        const away = Math.hypot(a[0] + t * (b[0] - a[0]) - at[0], a[1] + t * (b[1] - a[1]) - at[1]);
        if (away < least) [best, least] = [{ ring: r, corner: c, edge: true }, away];
      }),
    );
    return best;
  }

  inside(view, x, y) {
    const [width, height] = this.app.project.views[view.index].size;
    const cut = (n, most) => Math.round(100 * Math.min(most - 0.5, Math.max(-0.5, n))) / 100;
    return [cut(x, width), cut(y, height)];
  }

  // Take a corner, or make one on an edge. Whether the press was meant for the outline.
  press(view, at) {
    if (this.drawing) return false;
    const hit = this.hit(view, at);
    if (!hit) return false;
    const rings = this.copy(view.index);
    let { corner } = hit;
    if (hit.edge) rings[hit.ring].splice(++corner, 0, this.inside(view, ...view.toImage(...at)));
    this.held = { view: view.index, rings, ring: hit.ring, corner, moved: hit.edge };
    this.chosen = { view: view.index, ring: hit.ring, corner };
    return true;
  }

  move(view, at) {
    const { rings, ring, corner } = this.held;
    rings[ring][corner] = this.inside(view, ...view.toImage(...at));
    this.held.moved = true;
  }

  release() {
    const { held } = this;
    this.held = null;
    if (held?.moved) this.decide(held.view, held.rings);
  }

  // A click beside corners: the next corner of what is being drawn; where nothing is, drawing begins.
  click(view, at) {
    const place = this.inside(view, ...view.toImage(...at));
    if (this.drawing && this.drawing.view !== view.index) this.drawing = null;
    if (!this.drawing && this.rings(view.index).length) {
      this.chosen = null;
      return;
    }
    this.drawing ??= { view: view.index, ring: [] };
    const { ring } = this.drawing;
    const first = ring.length > 2 && view.toScreen(...ring[0]);
    if (first && Math.hypot(first[0] - at[0], first[1] - at[1]) < REACH_PX) this.close();
    else ring.push(place);
  }

  begin() {
    this.drawing = { view: this.app.active, ring: [] };
    this.chosen = null;
    this.app.say("Click corner after corner, Enter or a click on the first one closes. A ring within another is a hole.");
  }

  close() {
    const { view, ring } = this.drawing;
    this.drawing = null;
    // It joins what a person decided; a proposal that nobody took goes.
    const before = this.app.points.outlines[view]?.rings ? this.copy(view) : [];
    if (ring.length > 2) this.decide(view, [...before, ring]);
  }

  // Another corner without a mouse: beside the last one of a drawing, or in the middle of the chosen edge.
  insert() {
    const view = this.app.views[this.app.active];
    if (this.drawing) {
      const last = this.drawing.ring.at(-1) ?? view.toImage(view.width / 2, view.height / 2);
      this.drawing.ring.push(this.inside(view, last[0] + KEYBOARD_PX / view.scale, last[1]));
    } else if (this.chosen) {
      const rings = this.copy(this.chosen.view);
      const ring = rings[this.chosen.ring];
      const [a, b] = [ring[this.chosen.corner], ring[(this.chosen.corner + 1) % ring.length]];
      ring.splice(++this.chosen.corner, 0, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
      this.decide(this.chosen.view, rings);
    }
  }

  nudge(x, y) {
    if (this.drawing?.ring.length) {
      const last = this.drawing.ring.at(-1);
      this.drawing.ring[this.drawing.ring.length - 1] = this.inside(this.app.views[this.drawing.view], last[0] + x, last[1] + y);
    } else if (this.chosen) {
      const rings = this.copy(this.chosen.view);
      const at = rings[this.chosen.ring][this.chosen.corner];
      rings[this.chosen.ring][this.chosen.corner] = this.inside(this.app.views[this.chosen.view], at[0] + x, at[1] + y);
      this.decide(this.chosen.view, rings);
    }
  }

  // Leave out the last corner of a drawing, or the chosen one; with it a ring that has no three left.
  drop() {
    if (this.drawing) this.drawing.ring.pop();
    else if (this.chosen) {
      const { view, ring, corner } = this.chosen;
      const rings = this.copy(view);
      rings[ring].splice(corner, 1);
      this.chosen = rings[ring].length > 2 ? { view, ring, corner: corner % rings[ring].length } : null;
      this.decide(view, rings);
    }
  }

  step(way) {
    const view = this.chosen?.view ?? this.app.active;
    const all = this.rings(view).flatMap((ring, r) => ring.map((_, c) => ({ view, ring: r, corner: c })));
    if (!all.length) return;
    const at = this.chosen ? all.findIndex((one) => one.ring === this.chosen.ring && one.corner === this.chosen.corner) : -way;
    this.chosen = all[(at + way + all.length) % all.length];
  }

  accept() {
    const { active } = this.app;
    const found = this.of(active);
    if (found) this.decide(active, found.rings, found.how === HOW.unseen ? HOW.accepted : found.how);
    else this.app.say("There is no outline in this view: draw one (d).");
  }

  remove() {
    this.proposed.set(`${this.app.active}/${this.app.frame}`, null);
    this.chosen = null;
    this.decide(this.app.active, null);
  }

  // Whether a key was meant for the outline.
  key({ key, shiftKey: shift, altKey: alt }) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const far = alt ? 10 : 1;
    const does = arrow
      ? shift && (() => this.nudge(far * arrow[0], far * arrow[1]))
      : {
          d: () => this.begin(), i: () => this.insert(), n: () => this.step(1), p: () => this.step(-1), a: () => this.accept(), x: () => this.remove(),
          enter: () => (this.drawing ? this.close() : this.accept()), backspace: () => this.drop(), delete: () => this.drop(),
          escape: () => (this.drawing || this.held ? Object.assign(this, { drawing: null, held: null }) : this.toggle()),
        }[key.toLowerCase()];
    if (does) does();
    this.app.redraw();
    return Boolean(does);
  }

  draw(view) {
    const { pen } = view;
    const found = this.of(view.index);
    const rings = this.rings(view.index);
    const proposal = !this.held && found?.how === HOW.unseen;
    if (rings.length && (this.on || !proposal)) {
      pen.beginPath();
      for (const ring of rings) {
        ring.forEach(([x, y], c) => pen[c ? "lineTo" : "moveTo"](...view.toScreen(x, y)));
        pen.closePath();
      }
      if (this.on) {
        pen.fillStyle = "rgba(47, 211, 154, .26)";
        pen.fill("evenodd");
        view.stroke("rgba(10, 14, 18, .6)", 3.4);
      }
      view.stroke(COLOUR, this.on ? 1.7 : 1, proposal ? [6, 4] : []);
    }
    if (!this.on) return;
    const dense = view.scale * this.usual(rings) < 9; // corners would cover the edge
    rings.forEach((ring, r) => ring.forEach((corner, c) => this.corner(view, corner, dense, this.chosen?.view === view.index && this.chosen.ring === r && this.chosen.corner === c)));
    if (this.drawing?.view !== view.index) return;
    const { ring } = this.drawing;
    const pointer = view.pointer && !view.enlarged ? [view.toImage(...view.pointer)] : [];
    if (ring.length) {
      view.path([...ring, ...pointer]);
      view.stroke("#fff", 1.6, [5, 3]);
    }
    ring.forEach((corner, c) => this.corner(view, corner, false, c === ring.length - 1 || (c === 0 && ring.length > 2)));
  }

  // Usual length of an edge, px of the image.
  usual(rings) {
    const edges = rings.flatMap((ring) => ring.map(([x, y], c) => Math.hypot(x - ring.at(c - 1)[0], y - ring.at(c - 1)[1])));
    return edges.sort((a, b) => a - b)[edges.length >> 1] ?? 0;
  }

  corner(view, [x, y], small, large) {
    const [u, v] = view.toScreen(x, y);
    const half = large ? 5 : small ? 1.2 : 2.6;
    view.pen.beginPath();
    view.pen.rect(u - half, v - half, 2 * half, 2 * half);
    view.pen.fillStyle = large ? "#fff" : COLOUR;
    view.pen.fill();
    if (large || !small) view.stroke("rgba(10, 14, 18, .85)", 1);
  }
}
