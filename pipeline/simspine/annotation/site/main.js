// The page to place and correct points: what is shown, what keys do, and how the parts hear of each other.

import { Rig } from "./geometry.js";
import { HOW, Labels, SEE, asked, counterparts, isGuess } from "./labels.js";
import { PointCard, PointList, Timeline } from "./panel.js";
import { View } from "./view.js";

const ORDER = ["Spine", "Skin", "Head", "Trunk", "Arms", "Legs", "Feet", "Other"];
const AHEAD = 2; // frames whose images are fetched before they are asked for
const KEPT = 24; // images per view in memory
const LATE_MS = 150; // a frame that takes longer is announced
const find = (name) => document.querySelector(`[data-part="${name}"]`);

class App {
  constructor(project, summary) {
    Object.assign(this, { project, summary, frame: -1, point: -1, active: 0, alone: -1, points: null, loupe: false, loading: false, late: false });
    this.shown = { curve: true, lines: true, ghosts: true, allGhosts: false, body: true };
    this.order = project.points.map((_, i) => i).sort((a, b) => this.rank(a) - this.rank(b));
    this.rig = new Rig(project.views);
    this.labels = new Labels(project);
    this.images = new Map();
    this.grid = find("views");
    this.views = project.views.map((view, v) => this.addView(view, v));
    this.list = new PointList(this, find("points"));
    this.card = new PointCard(this, find("card"));
    this.timeline = new Timeline(this, find("timeline"));
    this.labels.addEventListener("change", (event) => event.detail.frame === this.frame && this.refresh());
    this.labels.addEventListener("save", (event) => this.tellSaved(event.detail));
    new ResizeObserver(() => this.layout()).observe(this.grid);
    this.wire();
    if (this.labels.unsaved.length) this.labels.save();
  }

  rank(i) {
    const chain = this.project.chain.indexOf(i);
    return ORDER.indexOf(this.project.points[i].group) * 1000 + (chain >= 0 ? chain : 100 + i);
  }

  title(i) {
    const { name, level, group } = this.project.points[i];
    return group === "Skin" ? `${level} on the skin` : level ? `${name} · ${level}` : name;
  }

  addView({ name }, v) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    button.type = "button";
    button.title = `show ${name} alone, or all views (${v < 9 ? v + 1 : ""})`;
    button.innerHTML = `<i class="line v${v % 8}"></i>`;
    button.append(name);
    button.addEventListener("click", (event) => (this.showAlone(this.alone === v ? -1 : v), event.detail && button.blur()));
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${name}: drag points, click to place the selected one`);
    caption.append(button);
    figure.append(canvas, caption);
    figure.dataset.view = name;
    this.grid.append(figure);
    return new View(this, v, canvas);
  }

  // As many columns as make the images largest.
  layout() {
    const views = this.project.views.filter((_, v) => this.alone < 0 || v === this.alone);
    const { clientWidth: width, clientHeight: height } = this.grid;
    const usual = views.reduce((sum, { size }) => sum + size[0] / size[1], 0) / views.length;
    let [columns, best] = [1, 0];
    for (let n = 1; n <= views.length; n++) {
      const scale = Math.min(width / n / usual, height / Math.ceil(views.length / n));
      if (scale > best) [columns, best] = [n, scale];
    }
    const narrow = width < 700 && views.length > 2;
    this.grid.style.setProperty("--columns", narrow ? 2 : columns);
    this.grid.style.setProperty("--rows", Math.ceil(views.length / (narrow ? 2 : columns)));
    this.views.forEach((view, v) => (view.canvas.parentElement.hidden = this.alone >= 0 && v !== this.alone));
    for (const view of this.views) if (!view.canvas.parentElement.hidden) view.resize();
    this.redraw();
  }

  showAlone(v) {
    this.alone = v;
    if (v >= 0) this.setActive(v);
    this.layout();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      for (const view of this.views) if (!view.canvas.parentElement.hidden) view.draw();
      if (this.views.some((view) => view.drag?.moved)) this.card.update();
    });
  }

  refresh() {
    this.list.update();
    this.card.update();
    this.timeline.update();
    find("frame").textContent = this.late ? `Loading frame ${this.frame} …` : `Frame ${this.frame}`;
    const names = this.project.images?.[this.frame];
    if (names) this.views.forEach((view, v) => (view.canvas.title = names[v]));
    find("time").textContent = names ? names[Math.max(0, this.alone)] : `${(this.frame / this.project.rate).toFixed(2)} s of ${(this.project.frames / this.project.rate).toFixed(1)} s`;
    find("undo").disabled = !this.labels.done.length;
    find("redo").disabled = !this.labels.undone.length;
    this.redraw();
  }

  async goTo(frame) {
    frame = Math.max(0, Math.min(this.project.frames - 1, frame));
    if (frame === this.frame) return;
    this.frame = frame;
    this.loading = true;
    const timer = setTimeout(() => frame === this.frame && this.loading && this.setLate(true), LATE_MS);
    try {
      await this.fetchFrame(frame);
    } finally {
      clearTimeout(timer);
      if (frame === this.frame) this.loading = false;
    }
    if (frame !== this.frame) return; // gone on meanwhile
    this.setLate(false);
    document.body.dataset.frame = frame;
    for (let k = 1; k <= AHEAD; k++) this.fetchAhead(frame + k);
    const next = this.summary.batch[this.batchPlace() + 1];
    if (next) this.fetchAhead(next.frame);
  }

  setLate(late) {
    this.late = late;
    document.body.setAttribute("aria-busy", late);
    this.refresh();
  }

  // Points and images of a frame, unless another one is wanted meanwhile.
  async fetchFrame(frame) {
    const points = await this.labels.load(frame);
    if (frame !== this.frame) return;
    const first = !this.points;
    this.points = points;
    if (first && this.point < 0) this.point = this.order[0];
    await Promise.all(this.views.map(async (view, v) => {
      const image = await this.image(v, frame);
      if (frame === this.frame) view.image = image;
    }));
    if (frame !== this.frame) return;
    for (const view of this.views) if (view.fitted === "person") view.fit("person");
  }

  fetchAhead(frame) {
    if (frame < this.project.frames) {
      this.labels.load(frame).catch(() => {});
      this.views.forEach((_, v) => this.image(v, frame));
    }
  }

  image(view, frame) {
    const key = `${view}/${frame}`;
    if (!this.images.has(key)) {
      this.images.set(key, fetch(`image/${view}/${frame}.jpg`).then(async (answer) => (answer.ok ? createImageBitmap(await answer.blob()) : null), () => null));
      while (this.images.size > KEPT * this.views.length) this.images.delete(this.images.keys().next().value);
    }
    return this.images.get(key);
  }

  select(point) {
    this.point = point;
    this.refresh();
  }

  setActive(view) {
    this.active = view;
    this.views.forEach((other, v) => other.canvas.parentElement.classList.toggle("active", v === view));
    this.card.update();
  }

  step(way) {
    const at = this.order.indexOf(this.point);
    this.select(this.order[(at + way + this.order.length) % this.order.length]);
  }

  // None while a frame is loading: what is shown is the one before.
  change(changes) {
    return !this.loading && this.labels.change(this.frame, changes);
  }

  // Put the selected point somewhere. Where the next one has no place yet it is next.
  place(view, x, y, alone) {
    const fresh = !this.points[view][this.point].see;
    this.change(this.views[view].moves(this.point, x, y, alone));
    if (!fresh) return;
    const next = this.order[this.order.indexOf(this.point) + 1];
    if (next !== undefined && !this.points[view][next].see) this.select(next);
  }

  now(view = this.active) {
    return this.points[view][this.point];
  }

  nudge(x, y) {
    const { see, x: u, y: v } = this.now();
    if (see) this.change(this.views[this.active].moves(this.point, u + x, v + y, true));
  }

  // Hidden or seen; absent or back where it was.
  flag(which) {
    const { x, y, see } = this.now();
    if (which === "hidden" && see) {
      this.change([{ v: this.active, p: this.point, x, y, see: see === SEE.hidden ? SEE.seen : SEE.hidden, how: HOW.corrected }]);
    } else if (which === "absent") {
      this.change([{ v: this.active, p: this.point, x: null, y: null, see: SEE.absent, how: HOW.corrected }]);
    }
  }

  // Left and right the other way round in the active view: what detectors confuse.
  exchange() {
    const other = counterparts(this.project.points);
    this.change(
      [...other].map(([p, q]) => {
        const { x, y, see } = this.points[this.active][q];
        return { v: this.active, p, x, y, see, how: HOW.derived };
      }),
    );
  }

  // What looking at points without moving them makes of them.
  static accepted(how) {
    return how === HOW.derived ? HOW.corrected : how === HOW.unseen ? HOW.accepted : how;
  }

  // Several points at once: those that were inferred stay as they are, since no image was asked about them.
  accept(views, points) {
    const single = views.length === 1 && points.length === 1;
    const counts = ({ see, how, inferred }) => see && (single || !inferred || how === HOW.accepted || how === HOW.corrected);
    const changes = views.flatMap((v) => points.filter((p) => counts(this.points[v][p])).map((p) => ({ v, p, ...this.labels.plain(this.frame, v, p) })));
    this.change(changes.map((c) => ({ ...c, how: App.accepted(c.how) })));
  }

  // Take the place that the other views say, wherever nobody has decided by hand. Views in which somebody has come
  // first; where those are fewer than two, all are asked, and for the active view only.
  takeGhosts(points) {
    const own = ({ how }) => how === HOW.corrected || how === HOW.accepted;
    const changes = [];
    for (const p of points) {
      const decided = this.points.filter((view) => view[p].see && own(view[p])).length;
      for (const v of decided >= 2 ? this.points.keys() : [this.active]) {
        const point = this.points[v][p];
        if (own(point) && (decided >= 2 || points.length > 1)) continue;
        const at = this.rig.ghost(this.points, v, p, decided >= 2);
        const [width, height] = this.project.views[v].size;
        if (!at || at[0] < -0.5 || at[1] < -0.5 || at[0] > width || at[1] > height) continue;
        const [x, y] = at.map((n) => Math.round(n * 100) / 100);
        changes.push({ v, p, x, y, see: point.see || SEE.seen, how: HOW.derived });
      }
    }
    if (!this.change(changes)) this.say(this.rig.calibrated ? "No other two views place it." : "The views are not calibrated.");
  }

  async travel(what) {
    const edits = this.labels[what]();
    if (!edits) return;
    if (edits[0].f !== this.frame) await this.goTo(edits[0].f);
    if (!this.views[this.alone] || edits.some((e) => e.v === this.alone)) this.point = edits[0].p;
    this.refresh();
  }

  batchPlace() {
    return this.summary.batch.findIndex((entry) => entry.frame === this.frame);
  }

  // To the next frame of the batch that is not done; after the last a new batch is made.
  async nextInBatch(way = 1) {
    const next = this.summary.batch[this.batchPlace() + way];
    if (next) return this.goTo(next.frame);
    if (way < 0) return undefined;
    if (!this.project.round) return this.newBatch();
    await this.labels.settled(); // the server says which frames are done
    const open = this.summary.batch.find(({ frame }) => frame !== this.frame && !this.summary.done.includes(frame));
    if (open) return this.goTo(open.frame);
    return this.say(`Every frame of round ${this.project.round} is corrected. Stop the program and run simspine annotations round.`, 9000);
  }

  async newBatch() {
    await this.labels.settled();
    const answer = await fetch("api/batch", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
    if (!answer.ok) return;
    this.summary = await answer.json();
    this.say(this.summary.batch.length ? `New batch: ${this.summary.batch.length} frames, the worst first.` : "Every frame is done.");
    if (this.summary.batch.length) await this.goTo(this.summary.batch[0].frame);
    this.refresh();
  }

  async acceptFrame() {
    if (this.loading) return;
    this.accept([...this.views.keys()], [...this.project.points.keys()]);
    const left = this.points.flat().filter((point) => point.see && isGuess(point)).length;
    if (left) this.say(`${left} inferred points of frame ${this.frame} stay open: no detector saw them. Place them, or accept each by itself (a).`, 7000);
    await this.nextInBatch();
  }

  tellSaved({ state, message, left }) {
    if (this.labels.summary) this.summary = { scores: this.summary.scores, ...this.labels.summary };
    this.labels.summary = null;
    const text = { saved: "Saved", saving: "Saving…", lost: `Not saved: ${left} ${left === 1 ? "change is" : "changes are"} kept in this browser. If the server was started again, open its new address.`, elsewhere: "Continued in another tab. To go on here, load this page again." }[state];
    const node = find("saved");
    node.textContent = text;
    node.title = message || `Every change is written at once to ${this.project.file}`;
    document.body.dataset.saved = state;
    this.tellProgress();
    this.timeline.update();
  }

  tellProgress() {
    const { counts, batch, done } = this.summary;
    const closed = batch.filter(({ frame }) => done.includes(frame)).length;
    find("progress").textContent = `${closed} of ${batch.length} frames of ${this.project.round ? `round ${this.project.round}` : "this batch"} done`;
    find("counts").textContent = `${counts.corrected} corrected, ${counts.accepted} accepted, ${counts.derived} derived, ${counts.unseen} not looked at`;
  }

  say(text, shown = 3500) {
    const node = find("said");
    node.textContent = text;
    node.hidden = false;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (node.hidden = true), shown);
  }

  toggle(what) {
    this.shown[what] = !this.shown[what];
    for (const button of document.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", this.shown[button.dataset.show]);
    this.redraw();
  }

  wire() {
    const acts = {
      undo: () => this.travel("undo"), redo: () => this.travel("redo"), previous: () => this.goTo(this.frame - 1), next: () => this.goTo(this.frame + 1),
      accept: () => this.acceptFrame(), hidden: () => this.flag("hidden"), absent: () => this.flag("absent"), ghost: () => this.takeGhosts([this.point]),
      ghosts: () => this.takeGhosts(this.order), batch: () => this.newBatch(), help: () => find("help").showModal(),
      theme: () => this.theme(), fit: () => this.views.forEach((view) => view.fit(view.fitted === "person" ? "image" : "person")), acceptPoint: () => this.accept([this.active], [this.point]), exchange: () => this.exchange(),
      panel: () => document.body.classList.toggle("open"),
    };
    for (const button of document.querySelectorAll("[data-act]")) {
      button.addEventListener("click", (event) => {
        acts[button.dataset.act]();
        if (event.detail) button.blur(); // so that keys go on to mean what they mean on the page
      });
    }
    for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", (event) => (this.toggle(button.dataset.show), event.detail && button.blur()));
    for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    addEventListener("keydown", (event) => this.key(event, acts));
    addEventListener("keyup", (event) => event.key === "z" && ((this.loupe = false), this.redraw()));
    addEventListener("beforeunload", (event) => this.labels.unsaved.length && event.preventDefault());
    document.querySelector("[data-act=batch]").hidden = this.project.round > 0; // its frames are drawn
    addEventListener("hashchange", () => this.follow());
    addEventListener("resize", () => this.timeline.update());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.timeline.draw());
  }

  // Go where the address says; whether it names a frame.
  async follow() {
    const { frame, point } = asked(this.project);
    if (point >= 0) this.point = point;
    if (frame >= 0) await this.goTo(frame);
    if (point >= 0) this.refresh();
    return frame >= 0;
  }

  theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    this.timeline.draw();
  }

  key(event, acts) {
    const { key, shiftKey: shift, target } = event;
    if (document.querySelector("dialog[open]") || target.matches("input[type=text]")) return;
    const command = event.ctrlKey || event.metaKey;
    const lower = key.toLowerCase();
    if (command && lower !== "z" && lower !== "y") return;
    if ((key === "Enter" || key === " ") && target.matches("button, a")) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const does = command
      ? () => this.travel(lower === "y" || shift ? "redo" : "undo")
      : arrow
        ? () => (shift ? this.nudge(...arrow) : arrow[0] ? this.goTo(this.frame + arrow[0]) : this.step(arrow[1]))
        : {
            n: () => this.step(1), p: () => this.step(-1), ".": acts.next, ",": acts.previous, "]": () => this.nextInBatch(), "[": () => this.nextInBatch(-1),
            o: acts.hidden, x: acts.absent, delete: acts.absent, r: () => (shift ? acts.ghosts() : acts.ghost()), a: acts.acceptPoint,
            enter: () => (shift ? this.accept([this.active], [...this.project.points.keys()]) : acts.accept()), f: acts.fit, w: acts.exchange,
            e: () => this.toggle("lines"), g: () => this.toggle("allGhosts"), s: () => this.toggle("curve"), b: () => this.toggle("body"), "?": acts.help,
            "+": () => this.views[this.active].zoom(1.25), "=": () => this.views[this.active].zoom(1.25), "-": () => this.views[this.active].zoom(0.8),
            z: () => ((this.loupe = true), this.redraw()), 0: () => this.showAlone(-1), escape: () => this.views.forEach((view) => view.cancel()),
          }[lower] ?? (/^[1-9]$/.test(key) && this.views[key - 1] ? () => this.showAlone(this.alone === key - 1 ? -1 : key - 1) : null);
    if (!does) return;
    event.preventDefault();
    does();
  }
}

async function start() {
  const [project, summary] = await Promise.all(["api/project", "api/summary"].map(async (path) => (await fetch(path)).json()));
  find("name").textContent = project.name;
  find("who").textContent = project.annotator;
  document.title = `${project.name} · annotate`;
  const app = new App(project, summary);
  window.annotate = app; // for tests, and for the curious
  for (const part of document.querySelectorAll("[data-calibrated]")) part.hidden = !app.rig.calibrated;
  app.tellProgress();
  app.setActive(0);
  app.layout();
  find("said").hidden = true;
  if (!(await app.follow())) await app.goTo(summary.batch[0]?.frame ?? 0);
  document.body.dataset.ready = "yes";
  const { length } = app.labels.foreign;
  if (length) app.say(`${length} unsent ${length === 1 ? "change is" : "changes are"} of points, views or frames that are not shown, and kept in this browser. Were they opened with other options (--skin)?`, 15000);
  if (!Object.values(summary.counts).some(Boolean)) app.say("No point is placed yet: click in an image where the selected one is; then the next one is selected.", 9000);
}

start().catch((error) => {
  const node = find("said");
  node.textContent = `The page could not start: ${error.message}`;
  node.hidden = false;
});
