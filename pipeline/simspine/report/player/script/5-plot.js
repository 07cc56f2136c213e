// Angles over time, with a cursor that can be dragged: a panel for each, right and left of a joint in one.

const WIDE = "screen and (min-width: 75rem)"; // as in the style sheet: the curves stand beside the 3D view
const PAPER_WIDTH = 660; // px: fits A4 and Letter with their usual margins
const NORMAL_95 = 1.96; // standard deviations to either side
const SVG = "http://www.w3.org/2000/svg";

function svgElement(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

class Plot {
  // own: the only panel, of a plot that stands alone; else the user chooses.
  constructor(element, data, seek, own) {
    this.element = element;
    this.data = data;
    this.seek = seek;
    this.frame = 0;
    this.alone = Boolean(own);
    this.all = own ? [own] : panelsOf(data.header.curves);
    this.chosen = new Set(this.all.filter((panel) => own || panel.chosen).map((panel) => panel.key));
    element.addEventListener("pointerdown", (event) => {
      if (event.target.closest("a")) return; // of a finding
      element.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.point(event);
    });
    element.addEventListener("pointermove", (event) => this.dragging && this.point(event));
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => (this.dragging = false));
    new ResizeObserver(() => this.layout()).observe(element);
    this.layout();
  }

  point(event) {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    const share = (x - this.left) / (this.right - this.left);
    this.seek(Math.round(share * (this.data.header.frames - 1)));
  }

  x(frame) {
    return this.left + ((this.right - this.left) * frame) / Math.max(1, this.data.header.frames - 1);
  }

  choose(key, on) {
    if (on) this.chosen.add(key);
    else this.chosen.delete(key);
    this.layout();
  }

  // On paper curves take a width of their own: whatever the window's, the page cuts what is wider.
  print(on) {
    this.paper = on && this.all.length > 0;
    this.layout();
  }

  layout() {
    const width = this.paper ? PAPER_WIDTH / (this.alone ? 2.1 : 1) : this.element.clientWidth;
    if (!width) return;
    const narrow = width < 520;
    this.right = width - (narrow ? 10 : 18);
    const panels = this.all.filter((panel) => this.chosen.has(panel.key));
    // On a telephone the reading stands below the title, as do the means where there is no room behind it.
    const hasText = (curves) => this.key(curves) || this.notes(curves) || curves.some((curve) => curve.doubts.length);
    this.below = this.right <= 760 && panels.some((panel) => hasText(panel.curves.map(([curve]) => curve)));
    const gap = (narrow ? 46 : 30) + (this.below ? 15 : 0);
    // Beside the 3D view the panels share its height.
    const inColumn = !this.paper && !this.alone && matchMedia(WIDE).matches;
    const room = inColumn ? (this.element.clientHeight - 18) / Math.max(1, panels.length) - gap : 0;
    const height = Math.max(room, this.paper ? (this.alone ? 64 : 46) : inColumn ? 56 : narrow ? 84 : 104);
    this.left = 40;
    const total = panels.length * (height + gap) + 18;
    this.element.replaceChildren();
    this.svg = svgElement(this.element, "svg", { width, height: total, viewBox: `0 0 ${width} ${total}`, "aria-hidden": "true" });
    this.panels = panels.map((panel, i) => this.panel(panel, i, i * (height + gap) + gap - 6, height, narrow));
    this.axis(total - 22, narrow);
    // What moves lies in layers of its own above the curves, so that these are not painted again for each frame.
    this.line = this.layer("p-cursor", { top: `${gap - 10}px`, height: `${Math.max(0, total - 14 - gap)}px` });
    for (const panel of this.panels) {
      for (const line of panel.lines) line.dot = this.layer("p-dot", {});
      panel.reading = this.layer("p-reading", { top: `${panel.top - (this.below && !narrow ? 34 : 19)}px`, right: `${width - this.right}px` });
    }
    this.show(this.frame);
  }

  layer(name, style) {
    const element = document.createElement("span");
    element.className = name;
    element.setAttribute("aria-hidden", "true");
    Object.assign(element.style, style);
    this.element.append(element);
    return element;
  }

  // Least and greatest value that a panel shows.
  range(curves) {
    let [low, high] = [Infinity, -Infinity];
    for (const { values, sd, band, least } of curves) {
      values.forEach((value, frame) => {
        const reach = Math.min(sd && Number.isFinite(sd[frame]) ? sd[frame] : 0, 40);
        const bottom = Math.max(value - reach, least ?? -Infinity);
        if (Number.isFinite(value)) [low, high] = [Math.min(low, bottom), Math.max(high, value + reach)];
      });
      if (band) [low, high] = [Math.min(low, band[0]), Math.max(high, band[1])];
    }
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    const margin = 0.06 * Math.max(high - low, 4);
    return [low - margin, high + margin];
  }

  // Of a curve: 1.96 standard deviations in every frame, the ± of 95 %.
  spread(number) {
    return this.data.arrays[`sd/${number}`]?.map((sd) => NORMAL_95 * sd);
  }

  panel(panel, index, top, height, narrow) {
    const { arrays } = this.data;
    const curves = panel.curves.map(([curve, i]) => ({ ...curve, values: arrays[`curve/${i}`], sd: this.spread(i) }));
    const [low, high] = this.range(curves);
    const y = (value) => top + height - ((value - low) / (high - low)) * height;
    const svg = this.svg;
    svgElement(svg, "rect", { class: "p-panel", x: this.left, y: top, width: this.right - this.left, height });
    const clip = `${this.element.id}-clip${index}`;
    const cut = svgElement(svgElement(svg, "defs", {}), "clipPath", { id: clip });
    svgElement(cut, "rect", { x: this.left, y: top, width: this.right - this.left, height });
    const inside = svgElement(svg, "g", { "clip-path": `url(#${clip})` });
    const band = curves[0].band;
    if (band) {
      svgElement(inside, "rect", { class: "p-band", x: this.left, y: y(band[1]), width: this.right - this.left, height: y(band[0]) - y(band[1]) });
    }
    for (const [status, name] of [["corrected", "p-corrected"], ["rejected", "p-rejected"], ["inferred", "p-inferred"]]) {
      for (const [a, b] of stretches(this.data, status)) {
        svgElement(inside, "rect", { class: name, x: this.x(a - 0.5), y: top, width: Math.max(1.5, this.x(b + 0.5) - this.x(a - 0.5)), height });
      }
    }
    const { unit } = curves[0];
    const every = markStep(low, high, height);
    for (let mark = Math.ceil(low / every) * every; mark <= high; mark += every) {
      svgElement(svg, "line", { class: "p-grid", x1: this.left, x2: this.right, y1: y(mark), y2: y(mark) });
      svgElement(svg, "text", { class: "p-tick", x: this.left - 6, y: y(mark) + 4, "text-anchor": "end" }, `${String(+mark.toFixed(1)).replace("-", "−")}${unit === "°" ? unit : ""}`);
    }
    curves.forEach((curve, i) => {
      const look = curve.forced ? " p-forced" : curve.assumed ? " p-noted" : curve.note.startsWith("partly") || !curve.result ? " p-partly" : "";
      curve.look = `${look}${curve.panel && ` p-${curve.name}`}`;
      if (curve.sd) this.ribbon(inside, curve, y);
      svgElement(inside, "path", { class: `p-curve${curve.look}`, d: this.path(curve.values, y) });
      if (i) this.markers(inside, curve.values, y, curve.look);
    });
    this.heading(panel, curves, top, narrow);
    return { lines: curves, y, top, unit };
  }

  // Dots along the second curve of a panel, so that it is known without its colour: dashes mean that it is assumed.
  markers(parent, values, y, look) {
    const every = Math.max(1, Math.round(values.length / 14));
    for (let frame = 0; frame < values.length; frame += every) {
      if (!Number.isFinite(values[frame])) continue;
      svgElement(parent, "circle", { class: `p-marker${look}`, cx: this.x(frame), cy: y(values[frame]), r: 2.6 });
    }
  }

  // The means or ranges of a panel's curves, what its marks mean, and which way is positive where the title has no room for it.
  key(curves) {
    const [first, second] = curves;
    const known = curves.filter((curve) => curve.stated);
    const word = known[0]?.stated.split(" ")[0];
    const value = (curve) => curve.stated.slice(word.length + 1);
    const dotted = this.paper ? undefined : second;
    const named = (curve) => `${curve.name}${curve === dotted ? " (dots)" : ""} ${value(curve)}`;
    const stated = known.map((curve) => (second ? named(curve) : value(curve)));
    return [
      word && `${word} ${stated.join(", ")}`,
      dotted && !dotted.stated && `${dotted.name}: dots`,
      first.change && "0: mean",
      first.band && `green: ${first.band[2]}`,
      this.right < 560 && /\+ [^)]+/.exec(first.panel || first.label)?.[0],
    ].filter(Boolean).join(" · ");
  }

  // Title, and the means: behind it where there is room, else in a line below it. So are notes and marks, but on a telephone.
  heading(panel, curves, top, narrow) {
    const [first] = curves;
    const text = this.right < 560 ? panel.title.split(/,| \(/)[0] : `${panel.title}${first.unit === " mm" ? ", mm" : ""}`;
    const title = svgElement(this.svg, "text", { class: "p-title", x: this.left, y: top - (narrow ? 24 : 7) - (this.below ? 15 : 0) }, text);
    const key = this.key(curves);
    const below = this.below ? svgElement(this.svg, "text", { class: "p-key", x: this.left, y: top - (narrow ? 23 : 7) }, key) : title;
    const line = narrow ? title : below;
    const notes = this.notes(curves);
    const gap = line.textContent ? 5 : 0;
    if (notes) svgElement(line, "tspan", { class: `p-note${curves.find((curve) => !curve.result)?.look ?? first.look}`, dx: gap }, notes);
    for (const place of new Set(curves.flatMap((curve) => curve.doubts))) this.mark(line, place);
    if (key && !this.below) svgElement(title, "tspan", { class: "p-key", dx: 10 }, key);
  }

  // What the curves of a panel are not: 'not a result' where no side is one, else which side; else their verdict.
  notes(curves) {
    const { note } = curves[0];
    const without = curves.filter((curve) => !curve.result);
    if (!without.length || curves.every((curve) => curve.forced)) return note;
    const verdict = note && !this.paper && this.right > 520 ? `${note}: ` : "";
    const said = this.right > 340 ? "not a result" : "no result"; // a telephone has room for no more
    return without.length < curves.length ? `${without[0].name}: ${said}` : `${verdict}${said}`;
  }

  // The place of a finding on which the panel rests, linked to it.
  mark(title, place) {
    const about = [...document.querySelectorAll(".findings > li[data-places]")].find((item) => item.dataset.places.split(", ").includes(place));
    const link = svgElement(title, "a", about ? { href: `#${about.id}` } : {});
    svgElement(link, "tspan", { class: "p-mark", dx: 5 }, `▲ ${this.right > 340 ? place : place.replace(/^(left|right) /, "")}`);
  }

  path(values, y) {
    let text = "";
    let pen = "M";
    values.forEach((value, frame) => {
      if (!Number.isFinite(value)) return (pen = "M");
      text += `${pen}${this.x(frame).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    });
    return text;
  }

  // The band of 95 %; it ends at the least value that the quantity can have.
  ribbon(parent, { values, sd, least, look }, y) {
    for (let start = 0; start < values.length; start++) {
      if (!Number.isFinite(values[start]) || !Number.isFinite(sd[start])) continue;
      let end = start;
      while (end + 1 < values.length && Number.isFinite(values[end + 1]) && Number.isFinite(sd[end + 1])) end++;
      let text = "";
      for (let f = start; f <= end; f++) text += `${f === start ? "M" : "L"}${this.x(f).toFixed(1)} ${y(values[f] + sd[f]).toFixed(1)}`;
      for (let f = end; f >= start; f--) text += `L${this.x(f).toFixed(1)} ${y(Math.max(values[f] - sd[f], least ?? -Infinity)).toFixed(1)}`;
      svgElement(parent, "path", { class: `p-ribbon${look}`, d: `${text}Z` });
      start = end;
    }
  }

  axis(at, narrow) {
    const { header } = this.data;
    const length = (header.frames - 1) / header.rate;
    const every = niceStep(length / (narrow ? 4 : 8)) || 1;
    const first = Math.ceil(header.start / every) * every;
    const end = header.start + length + 1e-9;
    for (let time = first; time <= end; time += every) {
      const x = this.x((time - header.start) * header.rate);
      svgElement(this.svg, "text", { class: "p-tick", x, y: at + 12, "text-anchor": "middle" }, `${+time.toFixed(3)}${time + every > end ? " s" : ""}`);
    }
  }

  show(frame) {
    this.frame = frame;
    if (!this.panels) return;
    const x = this.x(frame);
    this.line.style.transform = `translateX(${x}px)`;
    for (const { lines, y, reading, unit } of this.panels) {
      const spans = lines.map(({ values, sd, name, look, result, dot }) => {
        const value = values[frame];
        const known = Number.isFinite(value);
        dot.hidden = !known;
        if (known) dot.style.transform = `translate(${x}px, ${y(value)}px)`;
        const side = lines.length > 1 ? `${name} ` : "";
        const text = known ? intervalText(value, sd?.[frame], unit) : "–";
        const textContent = side + (known && !result ? `(${text})` : text);
        return Object.assign(document.createElement("span"), { className: look, textContent });
      });
      reading.replaceChildren(...spans);
      reading.dataset.at = seconds(this.data, frame).toFixed(2);
    }
  }
}

// All angles over time in a figure, a plot for each panel. element: says which, those with two sides or the others.
class Curves {
  constructor(element, data, seek) {
    const sided = element.dataset.curves === "limbs";
    const panels = panelsOf(data.header.curves).filter((panel) => Boolean(panel.curves[0][0].panel) === sided);
    this.plots = panels.map((panel, i) => {
      const place = document.createElement("div");
      place.className = "p-plot";
      place.id = `${element.id}-${i}`;
      element.append(place);
      return new Plot(place, data, seek, panel);
    });
  }

  print(on) {
    for (const plot of this.plots) plot.print(on);
  }

  show(frame) {
    for (const plot of this.plots) plot.show(frame);
  }
}

// All curves as text: a line for each frame, two columns for each curve.
function curvesAsTable({ header, arrays }) {
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const names = header.curves.flatMap((curve) => {
    const unit = curve.unit.trim() || "1";
    const marks = curve.doubts.map((place) => ` ▲ ${place}`).join("");
    return [`${curve.label}, ${unit}${curve.result ? "" : " (not a result)"}${marks}`, `± 95 %, ${unit}`];
  });
  const rows = Array.from({ length: header.frames }, (_, frame) => [
    frame * header.step, seconds({ header }, frame).toFixed(4), statusOf({ header, arrays }, frame)[0],
    ...header.curves.flatMap((_curve, i) => [arrays[`curve/${i}`][frame], NORMAL_95 * arrays[`sd/${i}`]?.[frame]].map((value) => (Number.isFinite(value) ? value.toFixed(3) : ""))),
  ]);
  return [["frame", "time, s", "status", ...names].map(quoted), ...rows].map((row) => row.join(",")).join("\r\n");
}

// The curves shown as a picture of their own, with the page's styles.
function curvesAsPicture(plot) {
  const svg = plot.svg.cloneNode(true);
  svg.classList.add("p-plot");
  svg.style.fontFamily = "sans-serif";
  svgElement(svg, "style", {}, document.querySelector("style").textContent);
  return new XMLSerializer().serializeToString(svg);
}

// Digits after the point, as in the page's tables.
function intervalDigits(reach, unit) {
  return unit === " mm" || reach >= 3.0 ? 0 : 1;
}

// A value with its interval, rounded as the page's tables are.
function intervalText(value, reach, unit) {
  const known = Number.isFinite(reach);
  const digits = intervalDigits(reach, unit);
  const number = (+value.toFixed(digits) + 0).toFixed(digits).replace("-", "−"); // + 0: no "-0"
  return `${number}${known ? ` ± ${reach.toFixed(digits)}` : ""}${unit}`;
}

// Curves by the panels they belong to: [{key, title, chosen, curves: [[curve, number], …]}, …].
function panelsOf(curves) {
  const found = new Map();
  curves.forEach((curve, i) => {
    const key = curve.panel || i; // alone
    if (!found.has(key)) found.set(key, { key, title: curve.panel || curve.label, chosen: false, curves: [] });
    const panel = found.get(key);
    panel.curves.push([curve, i]);
    panel.chosen ||= curve.chosen;
  });
  return [...found.values()];
}

// Marks on a scale of so many px: as near each other as their labels allow, five at most.
function markStep(low, high, height) {
  const least = ((high - low) * Math.max(12.5, height / 5)) / height;
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= least * 0.999);
}

function niceStep(step) {
  if (!(step > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= step * 0.999);
}
