// Names beside the measured points, and lines between those that a skeleton joins.

class PointNames {
  constructor(element, data) {
    this.element = element;
    this.data = data;
    this.at = new THREE.Vector3();
  }

  // One label for each point, made when names are first asked for.
  make() {
    this.labels = this.data.header.points.map((name) => {
      const label = document.createElement("span");
      label.className = "p-label p-name";
      label.textContent = name;
      label.setAttribute("aria-hidden", "true");
      this.element.append(label);
      return label;
    });
  }

  place(shown, frame, camera, [width, height]) {
    if (!this.labels && !shown) return;
    if (!this.labels) this.make();
    const { points } = this.data.arrays;
    this.labels.forEach((label, i) => {
      const k = 3 * (frame * this.labels.length + i);
      const known = shown && frame >= 0 && Number.isFinite(points[k]);
      if (known) this.at.set(points[k], points[k + 1], points[k + 2]).project(camera);
      label.hidden = !known || this.at.z > 1;
      if (!label.hidden) label.style.transform = `translate(${((this.at.x + 1) / 2) * width}px, ${((1 - this.at.y) / 2) * height}px)`;
    });
  }
}
