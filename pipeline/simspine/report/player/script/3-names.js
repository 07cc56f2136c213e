// Names next to the measured points. One that would cover another is left out, of points that were not seen first.
const NAME_HEIGHT = 14; // px

class PointNames {
  constructor(element, data) {
    this.element = element;
    this.data = data;
    this.at = new THREE.Vector3();
    this.widths = [];
    const unseen = (i) => data.header.points[i].endsWith("_inferred");
    this.order = data.header.points.map((_, i) => i).sort((a, b) => unseen(a) - unseen(b));
  }

  // One label for each point, made when names are first asked for.
  make() {
    this.labels = this.data.header.points.map((name) => {
      const label = document.createElement("span");
      label.className = "p-label p-name";
      label.textContent = name.replace(/_(inferred|skin)$/, "");
      label.setAttribute("aria-hidden", "true");
      this.element.append(label);
      return label;
    });
  }

  place(shown, frame, camera, [width, height]) {
    if (!this.labels && !shown) return;
    if (!this.labels) this.make();
    const { points } = this.data.arrays;
    const taken = [];
    for (const i of this.order) {
      const [label, k] = [this.labels[i], 3 * (frame * this.labels.length + i)];
      const known = shown && frame >= 0 && Number.isFinite(points[k]);
      if (known) this.at.set(points[k], points[k + 1], points[k + 2]).project(camera);
      label.hidden = !known || this.at.z > 1;
      if (label.hidden) continue;
      const [x, y] = [((this.at.x + 1) / 2) * width, ((1 - this.at.y) / 2) * height];
      const across = (this.widths[i] ??= label.offsetWidth);
      label.hidden = taken.some(([left, top, wide]) => Math.abs(top - y) < NAME_HEIGHT && left < x + across && x < left + wide);
      if (label.hidden) continue;
      label.style.transform = `translate(${x}px, ${y}px)`;
      taken.push([x, y, across]);
    }
  }
}
