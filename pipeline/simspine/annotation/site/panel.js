// What stands around the views: the list of points, the order of work, how far it is, how far people agree.

import { HOW, SEE, isGuess } from "./labels.js";

const WORDS = { uncertainty: "low confidence", disagreement: "views disagree", jitter: "jumps", named: "named by the validation", round: "of this round" };
const MARKS = ["unseen", "accepted", "corrected", "derived"];

const make = (tag, attributes = {}, ...inside) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...inside);
  return node;
};

// The points by group, with a mark for each view.
export class PointList {
  constructor(app, root) {
    Object.assign(this, { app, root, rows: [] });
    const groups = new Map();
    app.project.points.forEach((point, i) => {
      if (!groups.has(point.group)) groups.set(point.group, []);
      groups.get(point.group).push(i);
    });
    for (const [title, members] of groups) {
      const list = make("ul", { role: "group", "aria-label": title });
      for (const i of app.order.filter((k) => members.includes(k))) list.append((this.rows[i] = this.row(i)));
      root.append(make("section", {}, make("h3", { text: title }), list));
    }
  }

  row(i) {
    const { name, level, side } = this.app.project.points[i];
    const marks = make("span", { class: "marks" }, ...this.app.project.views.map(() => make("i")));
    const button = make(
      "button",
      { type: "button", role: "option", "data-point": name, onclick: (event) => (this.app.select(i), event.detail && event.currentTarget.blur()) },
      make("span", { class: `side ${side}` }),
      make("span", { class: "name", text: name.replace("_skin", "") }),
      make("span", { class: "level", text: level }),
      marks,
    );
    return make("li", {}, button);
  }

  update() {
    const { app } = this;
    this.rows.forEach((row, i) => {
      const button = row.firstChild;
      if (button.getAttribute("aria-selected") !== String(i === app.point)) {
        button.setAttribute("aria-selected", i === app.point);
        if (i === app.point) row.scrollIntoView({ block: "nearest" });
      }
      const said = [];
      [...button.querySelector(".marks").children].forEach((mark, v) => {
        const point = app.points?.[v]?.[i];
        const state = !point || (!point.see && point.how === HOW.unseen) ? "none" : point.see === SEE.absent ? "absent" : isGuess(point) ? "inferred" : MARKS[point.how];
        const kind = `${state}${point?.see === SEE.hidden ? " hidden" : ""}`;
        if (mark.className !== kind) mark.className = kind;
        said.push(`${app.project.views[v].name}: ${kind}`);
      });
      button.title = said.join(", ");
      button.setAttribute("aria-label", `${button.querySelector(".name").textContent}, ${said.join(", ")}`);
    });
  }
}

// The selected point in each view, and what can be said of it.
export class PointCard {
  constructor(app, root) {
    Object.assign(this, { app });
    this.title = root.querySelector("[data-part=title]");
    this.table = root.querySelector("[data-part=views]");
  }

  update() {
    const { app } = this;
    if (app.point < 0 || !app.points) return;
    this.title.textContent = app.title(app.point);
    const rows = app.project.views.map((view, v) => {
      const { x, y, see, how, sure } = app.points[v][app.point];
      const looked = isGuess(app.points[v][app.point]) ? "inferred, not seen" : `${Math.round(100 * sure)} % sure`;
      const ghost = see ? app.rig.ghost(app.points, v, app.point) : null;
      const off = ghost ? `${Math.hypot(ghost[0] - x, ghost[1] - y).toFixed(1)} px` : "";
      const words = [!see ? (how === HOW.unseen ? "not placed" : "absent") : see === SEE.hidden ? "hidden" : "", how === HOW.unseen ? (see ? looked : "") : MARKS[how]];
      return make(
        "tr",
        { class: v === app.active ? "active" : "" },
        make("th", { scope: "row" }, make("i", { class: `line v${v % 8}` }), view.name),
        make("td", { text: words.filter(Boolean).join(", ") }),
        make("td", { class: "number", text: off, title: "from where the other views place it" }),
      );
    });
    this.table.replaceChildren(...rows);
  }
}

// The frames: all of them as a line with what is done and what is bad; those of the batch as buttons.
export class Timeline {
  constructor(app, root) {
    Object.assign(this, { app, root });
    this.slider = root.querySelector("input");
    this.canvas = root.querySelector("canvas");
    this.batch = root.querySelector("[data-part=batch]");
    this.slider.max = app.project.frames - 1;
    this.slider.addEventListener("input", () => app.goTo(Number(this.slider.value)));
    // Arrows are the page's own keys (frame, point); all others, Tab above all, mean what they mean anywhere.
    this.slider.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.preventDefault());
  }

  update() {
    const { app } = this;
    this.slider.value = app.frame;
    this.slider.setAttribute("aria-valuetext", `frame ${app.frame} of ${app.project.frames}`);
    this.draw();
    const { batch, done, begun } = app.summary;
    const key = JSON.stringify([batch, done, begun, app.frame]);
    if (key === this.key) return;
    this.key = key;
    this.batch.replaceChildren(
      ...batch.map(({ frame, reason }) => {
        const state = done.includes(frame) ? "done" : begun.includes(frame) ? "begun" : "open";
        const current = frame === app.frame;
        return make("button", {
          type: "button", class: state, "data-frame": frame, text: frame, "aria-current": current, title: `${WORDS[reason]}; ${state}`,
          onclick: (event) => (app.goTo(frame), event.detail && event.currentTarget.blur()),
        });
      }),
    );
    this.batch.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  draw() {
    const { app, canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const { scores, done, begun } = app.summary;
    const most = Math.max(...scores, 1e-9);
    const wide = Math.max(1, width / scores.length);
    scores.forEach((score, i) => {
      pen.fillStyle = colour("--bar");
      const high = (score / most) * (height - 4);
      pen.fillRect((i / scores.length) * width, height - 3 - high, Math.max(1, wide - 0.5), high);
    });
    for (const [frames, name] of [[begun, "--begun"], [done, "--done"]]) {
      pen.fillStyle = colour(name);
      for (const i of frames) pen.fillRect((i / scores.length) * width, height - 3, Math.max(2, wide), 3);
    }
    pen.fillStyle = colour("--ink");
    pen.fillRect((app.frame / Math.max(1, scores.length)) * width + wide / 2 - 1, 0, 2, height);
  }
}
