// The camera moves on a sphere around a target; y is up. Mouse, pen and fingers through pointer events.

class Orbit {
  constructor(camera, element, changed) {
    this.camera = camera;
    this.changed = changed;
    this.target = new THREE.Vector3();
    this.turn = Math.PI / 5;
    this.tilt = 0.12;
    this.distance = 3;
    this.pointers = new Map();
    element.addEventListener("pointerdown", (event) => this.down(event, element));
    element.addEventListener("pointermove", (event) => this.move(event, element));
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    // The wheel scrolls the page unless the view was chosen first.
    element.addEventListener("wheel", (event) => {
      if (document.activeElement !== element) return;
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * 0.0012));
    }, { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  down(event, element) {
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  move(event, element) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before[0];
    const dy = event.clientY - before[1];
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const spread = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      this.zoom(spread(before) / Math.max(1, spread([event.clientX, event.clientY])));
      this.pan(dx / 2, dy / 2, element);
    } else if (event.buttons & 2 || event.ctrlKey || event.metaKey) {
      this.pan(dx, dy, element);
    } else {
      this.rotate((-dx * 4) / element.clientHeight, (dy * 3) / element.clientHeight);
    }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  rotate(turn, tilt) {
    this.turn += turn;
    this.tilt = Math.min(1.5, Math.max(-0.6, this.tilt + tilt));
    this.changed();
  }

  zoom(factor) {
    this.distance = Math.min(25, Math.max(0.25, this.distance * factor));
    this.changed();
  }

  pan(dx, dy, element) {
    const scale = (2 * this.distance * Math.tan((this.camera.fov * Math.PI) / 360)) / element.clientHeight;
    const right = new THREE.Vector3().setFromMatrixColumn(this.camera.matrix, 0);
    const up = new THREE.Vector3().setFromMatrixColumn(this.camera.matrix, 1);
    this.target.addScaledVector(right, -dx * scale).addScaledVector(up, dy * scale);
    this.changed();
  }

  place() {
    const flat = Math.cos(this.tilt);
    this.camera.position
      .set(Math.cos(this.turn) * flat, Math.sin(this.tilt), Math.sin(this.turn) * flat)
      .multiplyScalar(this.distance)
      .add(this.target);
    this.camera.lookAt(this.target);
    this.camera.updateMatrixWorld();
  }
}
