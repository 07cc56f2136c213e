// Curvature over time, one panel for each curve, with a cursor that can be dragged.

const SVG = "http://www.w3.org/2000/svg";

function svgElement(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

class Plot {
  constructor(element, data, seek) {
    this.element = element;
    this.data = data;
    this.seek = seek;
    this.frame = 0;
    element.addEventListener("pointerdown", (event) => {
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

  layout() {
    const width = this.element.clientWidth;
    if (!width) return;
    const narrow = width < 520;
    const height = narrow ? 104 : 122;
    const gap = 30;
    const { header } = this.data;
    this.left = 40;
    this.right = width - (narrow ? 10 : 18);
    const total = header.curves.length * (height + gap) + 18;
    this.element.replaceChildren();
    this.svg = svgElement(this.element, "svg", { width, height: total, viewBox: `0 0 ${width} ${total}`, "aria-hidden": "true" });
    this.panels = header.curves.map((curve, i) => this.panel(curve, i, i * (height + gap) + gap - 6, height, narrow));
    this.axis(total - 22, narrow);
    // What moves lies in layers of its own above the curves, so that these are not painted again for each frame.
    this.line = this.layer("p-cursor", { top: `${gap - 10}px`, height: `${total - 14 - gap}px` });
    for (const panel of this.panels) {
      panel.dot = this.layer("p-dot", {});
      panel.reading = this.layer("p-reading", { top: `${panel.top - 19}px`, right: `${width - this.right}px` });
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

  panel(curve, index, top, height, narrow) {
    const values = this.data.arrays[`curve/${index}`];
    const sd = this.data.arrays[`sd/${index}`];
    let low = Infinity;
    let high = -Infinity;
    values.forEach((value, frame) => {
      const reach = Math.min(sd && Number.isFinite(sd[frame]) ? sd[frame] : 0, 25);
      if (Number.isFinite(value)) [low, high] = [Math.min(low, value - reach), Math.max(high, value + reach)];
    });
    if (curve.band) [low, high] = [Math.min(low, curve.band[0]), Math.max(high, curve.band[1])];
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    const margin = 0.06 * Math.max(high - low, 4);
    [low, high] = [low - margin, high + margin];
    const y = (value) => top + height - ((value - low) / (high - low)) * height;
    const svg = this.svg;
    svgElement(svg, "rect", { class: "p-panel", x: this.left, y: top, width: this.right - this.left, height });
    const clip = `${this.element.id}-clip${index}`;
    const cut = svgElement(svgElement(svg, "defs", {}), "clipPath", { id: clip });
    svgElement(cut, "rect", { x: this.left, y: top, width: this.right - this.left, height });
    const inside = svgElement(svg, "g", { "clip-path": `url(#${clip})` });
    if (curve.band) {
      svgElement(inside, "rect", { class: "p-band", x: this.left, y: y(curve.band[1]), width: this.right - this.left, height: y(curve.band[0]) - y(curve.band[1]) });
    }
    for (const [status, name] of [["corrected", "p-corrected"], ["rejected", "p-rejected"], ["inferred", "p-inferred"]]) {
      for (const [a, b] of stretches(this.data, status)) {
        svgElement(inside, "rect", { class: name, x: this.x(a - 0.5), y: top, width: Math.max(1.5, this.x(b + 0.5) - this.x(a - 0.5)), height });
      }
    }
    const every = niceStep((high - low) / 4);
    for (let mark = Math.ceil(low / every) * every; mark <= high; mark += every) {
      svgElement(svg, "line", { class: "p-grid", x1: this.left, x2: this.right, y1: y(mark), y2: y(mark) });
      svgElement(svg, "text", { class: "p-tick", x: this.left - 6, y: y(mark) + 4, "text-anchor": "end" }, `${Math.round(mark)}°`);
    }
    const look = curve.forced ? " p-forced" : curve.note ? " p-noted" : "";
    if (sd) this.ribbon(inside, values, sd, y, look);
    svgElement(inside, "path", { class: `p-curve${look}`, d: this.path(values, y) });
    const title = svgElement(svg, "text", { class: "p-title", x: this.left, y: top - 7 }, narrow ? curve.name : curve.label);
    if (curve.note) svgElement(title, "tspan", { class: `p-note${look}`, dx: 10 }, curve.note);
    if (!narrow) {
      const key = [curve.band && `green: ${curve.band[2]}`, sd && "pale: ± 1 sd"].filter(Boolean).join(" · ");
      svgElement(title, "tspan", { class: "p-key", dx: 10 }, key);
    }
    return { values, sd, y, top };
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

  ribbon(parent, values, sd, y, look) {
    for (let start = 0; start < values.length; start++) {
      if (!Number.isFinite(values[start]) || !Number.isFinite(sd[start])) continue;
      let end = start;
      while (end + 1 < values.length && Number.isFinite(values[end + 1]) && Number.isFinite(sd[end + 1])) end++;
      let text = "";
      for (let f = start; f <= end; f++) text += `${f === start ? "M" : "L"}${this.x(f).toFixed(1)} ${y(values[f] + sd[f]).toFixed(1)}`;
      for (let f = end; f >= start; f--) text += `L${this.x(f).toFixed(1)} ${y(values[f] - sd[f]).toFixed(1)}`;
      svgElement(parent, "path", { class: `p-ribbon${look}`, d: `${text}Z` });
      start = end;
    }
  }

  axis(at, narrow) {
    const { header } = this.data;
    const length = (header.frames - 1) / header.rate;
    const every = niceStep(length / (narrow ? 4 : 8)) || 1;
    const first = Math.ceil(header.start / every) * every;
    for (let time = first; time <= header.start + length + 1e-9; time += every) {
      const x = this.x((time - header.start) * header.rate);
      svgElement(this.svg, "text", { class: "p-tick", x, y: at + 12, "text-anchor": "middle" }, `${+time.toFixed(3)} s`);
    }
  }

  show(frame) {
    this.frame = frame;
    if (!this.panels) return;
    const x = this.x(frame);
    this.line.style.transform = `translateX(${x}px)`;
    for (const { values, sd, y, reading, dot } of this.panels) {
      const value = values[frame];
      const known = Number.isFinite(value);
      dot.hidden = !known;
      if (known) dot.style.transform = `translate(${x}px, ${y(value)}px)`;
      reading.textContent = known ? `${value.toFixed(1)}°${sd && Number.isFinite(sd[frame]) ? ` ± ${sd[frame].toFixed(1)}°` : ""}` : "–";
    }
  }
}

function niceStep(step) {
  if (!(step > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= step * 0.999);
}
