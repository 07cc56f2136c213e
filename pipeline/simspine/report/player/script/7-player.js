// One player: controls, keyboard, playback; joins the stage and the plot. Starts when it comes into view.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];

class Player {
  constructor(root) {
    this.root = root;
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.part = part;
    drawCurves(root);
    this.data = root.data;
    this.plot = root.plot;
    this.frame = 0;
    this.speed = 1;
    this.playing = false;
    this.pick(part("pick"));
    this.film = this.data.header.films.length ? new Film(root, this.data) : undefined;
    this.stage = new Stage(part("stage"), this.data);
    if (this.film) this.film.slow = this.stage.software;
    this.slider = part("slider");
    this.slider.max = this.data.header.frames - 1;
    this.marks(part("marks"));
    this.wire();
    this.fitLegend();
    root.dataset.ready = "yes";
    for (const control of root.querySelectorAll("[disabled]")) control.disabled = false;
    this.seek(0);
    this.stage.setView("oblique");
  }

  wire() {
    const { part } = this;
    part("play").addEventListener("click", () => this.toggle());
    part("back").addEventListener("click", () => this.step(-1));
    part("next").addEventListener("click", () => this.step(1));
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    part("save").addEventListener("click", () => this.save());
    part("csv")?.addEventListener("click", () => this.keep("curves.csv", new Blob([`\ufeff${curvesAsTable(this.data)}`], { type: "text/csv" })));
    part("svg")?.addEventListener("click", () => this.keep("curves.svg", new Blob([curvesAsPicture(this.plot)], { type: "image/svg+xml" })));
    part("speed").addEventListener("change", () => this.setSpeed(Number(part("speed").value)));
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.stage.setView(button.dataset.view));
    }
    for (const box of this.root.querySelectorAll("[data-show]")) {
      box.checked = this.stage.shown[box.dataset.show];
      box.addEventListener("change", () => {
        this.stage.toggle(box.dataset.show, box.checked);
        this.film?.toggle("seen", this.stage.shown.points);
      });
    }
    part("drawn")?.addEventListener("change", (event) => this.film.toggle("drawn", event.target.checked));
    const follow = part("follow");
    follow.checked = this.stage.follow = this.stage.roaming() > 0.9; // else the walker leaves the picture
    follow.addEventListener("change", () => {
      this.stage.follow = follow.checked;
      this.stage.show(this.frame);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("simspine-theme", () => this.stage.paint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.stage.paint());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const control = event.target.closest("select, input[type=checkbox], button, a");
    if (control && (event.key === " " || event.key.startsWith("Arrow"))) return; // theirs
    if (event.target === this.slider && !event.shiftKey && event.key !== " " && event.key !== "+" && event.key !== "-") return;
    const second = Math.max(1, Math.round(this.data.header.rate));
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => (event.shiftKey ? this.stage.orbit.rotate(0.12, 0) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.stage.orbit.rotate(-0.12, 0) : this.step(1)),
      ArrowUp: () => (event.shiftKey ? this.stage.orbit.rotate(0, 0.1) : this.faster(1)),
      ArrowDown: () => (event.shiftKey ? this.stage.orbit.rotate(0, -0.1) : this.faster(-1)),
      PageUp: () => this.step(-second),
      PageDown: () => this.step(second),
      Home: () => this.seek(0),
      End: () => this.seek(this.data.header.frames - 1),
      "+": () => this.stage.orbit.zoom(0.85),
      "=": () => this.stage.orbit.zoom(0.85),
      "-": () => this.stage.orbit.zoom(1 / 0.85),
      c: () => this.film?.next(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  // Boxes by which curves are chosen: one for each panel there could be.
  pick(element) {
    const list = element.querySelector("div");
    for (const panel of this.plot.all) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = this.plot.chosen.has(panel.key);
      box.addEventListener("change", () => this.plot.choose(panel.key, box.checked));
      label.append(box, ` ${panel.title}`);
      list.append(label);
    }
    element.hidden = this.plot.all.length < 2;
  }

  // Where frames were rejected, filled in or corrected, under the slider.
  marks(element) {
    const frames = Math.max(1, this.data.header.frames);
    for (const status of ["corrected", "rejected", "inferred"]) {
      for (const [a, b] of stretches(this.data, status)) {
        const mark = document.createElement("i");
        mark.className = status;
        mark.style.left = `${(100 * a) / frames}%`;
        mark.style.width = `${Math.max(0.4, (100 * (b + 1 - a)) / frames)}%`;
        element.append(mark);
      }
    }
  }

  // The legend names only what there is.
  fitLegend() {
    const { header, arrays } = this.data;
    const there = new Set(header.origin ?? []);
    if (arrays.filled?.some(Boolean)) there.add("filled");
    if (header.spine.length > 2) there.add("spine");
    if (header.spine.length > 2 && header.assumed.includes(true)) there.add("assumed");
    if (arrays.tube) there.add("tube");
    if (header.films.length) there.add("sides");
    if (header.curves.some((curve, i) => arrays[`sd/${i}`])) there.add("sd");
    for (const status of ["rejected", "inferred"]) {
      if (stretches(this.data, status).length) there.add(`${status}-frames`).add("pale");
    }
    for (const item of this.root.querySelectorAll("[data-legend]")) item.hidden = !there.has(item.dataset.legend);
    for (const box of this.root.querySelectorAll("[data-show]")) {
      const absent = { bones: !header.bones?.length, segments: !header.segments?.length, spine: header.spine.length < 3, tube: !arrays.tube, points: !header.points, names: !header.points, cameras: !header.cameras.length };
      box.closest("label").hidden = Boolean(absent[box.dataset.show]);
    }
    this.root.querySelector('[data-view="cameras"]').hidden = !header.cameras.length;
  }

  setSpeed(speed) {
    this.speed = speed;
    this.part("speed").value = String(speed);
    this.since = undefined;
  }

  // The view of this moment as a file.
  save() {
    const time = seconds(this.data, this.frame).toFixed(2);
    this.stage.save(`${this.data.header.name} · ${time} s`, (blob) => this.keep(`${time}s.png`, blob));
  }

  // A file for the user, named after the trial.
  keep(ending, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${this.data.header.name.replace(/[^\w.-]+/g, "_")}_${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  faster(direction) {
    const at = SPEEDS.indexOf(this.speed) + direction;
    if (at >= 0 && at < SPEEDS.length) this.setSpeed(SPEEDS[at]);
  }

  toggle(on = !this.playing) {
    this.playing = this.stage.playing = on;
    this.root.dataset.playing = on ? "yes" : "no";
    this.part("play").setAttribute("aria-label", on ? "Pause" : "Play");
    this.since = undefined;
    if (!on) this.stage.move();
    if (on) requestAnimationFrame((now) => this.advance(now));
  }

  advance(now) {
    if (!this.playing) return;
    requestAnimationFrame((next) => this.advance(next));
    if (this.since === undefined) [this.since, this.from] = [now, this.frame];
    const gone = Math.floor(((now - this.since) / 1000) * this.data.header.rate * this.speed + 1e-6);
    const frame = (this.from + gone) % this.data.header.frames;
    if (frame !== this.frame) this.show(frame);
  }

  step(by) {
    this.toggle(false);
    this.seek(this.frame + by);
  }

  seek(frame) {
    const last = this.data.header.frames - 1;
    this.since = undefined;
    this.stage.move();
    this.show(Math.min(last, Math.max(0, frame)));
  }

  show(frame) {
    this.frame = frame;
    const { header } = this.data;
    const time = `${seconds(this.data, frame).toFixed(2)} s`;
    const [status, reason] = statusOf(this.data, frame);
    const number = frame * header.step;
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `frame ${number} (0–${header.total - 1}), ${time}${["rejected", "inferred"].includes(status) ? `, ${status}` : ""}`);
    this.part("time").textContent = time;
    this.part("frame").textContent = `frame ${number} (0–${header.total - 1})`;
    const badge = this.part("badge");
    badge.hidden = status === "kept";
    badge.className = `p-badge ${status}`;
    badge.textContent = status === "kept" ? "" : `${status}${reason && reason !== status ? `: ${reason.replaceAll("_", " ")}` : ""}`;
    this.root.dataset.status = status;
    this.plot.show(frame);
    for (const curves of this.root.curves) curves.show(frame);
    this.film?.show(frame, this.playing);
    this.stage.show(frame);
  }
}

// Curves do not wait for the 3D view, which is slow where the processor draws it.
function drawCurves(root) {
  if (root.curves) return;
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  root.data = readData(part("header"), part("block"));
  const seek = (frame) => root.player?.seek(frame);
  root.plot = new Plot(part("plot"), root.data, seek);
  root.curves = [...document.querySelectorAll(`[data-of="${root.id}"]`)].map((figure) => new Curves(figure, root.data, seek));
}

// three.js waits as text until the first player is looked at, so that the page appears at once.
function loadLibrary() {
  if (window.THREE) return;
  const script = document.createElement("script");
  script.textContent = document.getElementById("three-js").textContent;
  document.head.append(script);
}

function start(root) {
  if (root.dataset.ready) return;
  root.dataset.ready = "starting";
  try {
    loadLibrary();
    root.player = new Player(root);
    root.querySelector('[data-part="failed"]').hidden = true;
  } catch (error) {
    root.dataset.ready = "failed";
    root.querySelector('[data-part="failed"]').hidden = false;
    console.warn("The 3D view could not start:", error);
  }
}

// A printed page shows every player, each as a picture: browsers leave out what WebGL drew.
addEventListener("beforeprint", () => {
  for (const root of document.querySelectorAll(".player")) {
    start(root);
    root.player?.stage.still();
    root.player?.plot.print(true);
    for (const curves of root.curves ?? []) curves.print(true);
  }
});
addEventListener("afterprint", () => {
  for (const root of document.querySelectorAll(".player")) {
    root.player?.plot.print(false);
    for (const curves of root.curves ?? []) curves.print(false);
  }
});

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    const root = document.getElementById(entry.target.dataset.of) ?? entry.target;
    // After the page's first picture; the 3D view after the curves, and only where it is looked at.
    requestAnimationFrame(() => setTimeout(() => {
      try {
        drawCurves(root);
      } catch {
        // start says so
      }
      requestAnimationFrame(() => setTimeout(() => start(root)));
    }));
  }
}, { rootMargin: "150px" });
for (const root of document.querySelectorAll(".player, [data-of]")) watcher.observe(root);
