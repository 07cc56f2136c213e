// The 3D view of one trial. Draws only when something changed; coarser while moving if the machine is slow.

const RIB = 0.42; // opacity
const PAPER = [340, 256]; // px of the picture on paper, as in the style sheet
const ORIGINS = ["detected", "skin", "estimated", "inferred", "given"];

class Stage {
  constructor(element, data) {
    this.element = element;
    this.data = data;
    this.frame = -1;
    this.shown = { bones: true, segments: !data.header.bones?.length, spine: true, tube: true, points: true, names: false, cameras: true, floor: true };
    this.follow = false;
    this.renderer = this.makeRenderer();
    element.prepend(this.renderer.domElement);
    this.renderer.domElement.setAttribute("aria-hidden", "true");
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(32, 1, 0.05, 80);
    this.orbit = new Orbit(this.camera, element, () => this.move());
    this.sky = new THREE.HemisphereLight(0xffffff, 0xffffff, 0.75 * Math.PI);
    this.lamp = new THREE.DirectionalLight(0xffffff, 0.55 * Math.PI);
    this.scene.add(this.sky, this.lamp, this.lamp.target);
    this.groups = {};
    for (const name of Object.keys(this.shown)) {
      this.groups[name] = new THREE.Group();
      this.scene.add(this.groups[name]);
    }
    this.makeBones();
    this.makeSegments();
    this.makeSpine();
    this.makePoints();
    this.makeCameras();
    this.dirty = true;
    this.lastMove = -1e9;
    this.coarse = 1;
    this.drawn = [];
    new ResizeObserver(() => this.resize()).observe(element);
    this.resize();
    this.setView("side");
    this.paint();
    this.tick = this.tick.bind(this);
    requestAnimationFrame(this.tick);
  }

  makeRenderer() {
    const probe = document.createElement("canvas").getContext("webgl2");
    if (!probe) throw new Error("no WebGL");
    const info = probe.getExtension("WEBGL_debug_renderer_info");
    const name = info ? probe.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
    this.software = /swiftshader|llvmpipe|software|basic render/i.test(name);
    probe.getExtension("WEBGL_lose_context")?.loseContext();
    // Without a graphics card, smooth edges cost half the frames: they are drawn when the picture rests.
    // See-through, over the page's own gradient: drawing one here would take as long as the bones do.
    const renderer = new THREE.WebGLRenderer({ antialias: !this.software, alpha: true });
    // Colours are the page's own and stay as they are.
    THREE.ColorManagement.enabled = false;
    renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    return renderer;
  }

  makeBones() {
    this.bones = [];
    this.matter = {};
    for (const kind of ["bone", "vertebra"]) this.matter[kind] = new THREE.MeshLambertMaterial();
    // Ribs and shoulder blades stand before the spine: it shows through them.
    this.matter.rib = new THREE.MeshLambertMaterial({ transparent: true, opacity: RIB, depthWrite: false });
    const { header, arrays } = this.data;
    const shape = (name, i) => {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(arrays[`bone${name}/${i}`], 3));
      geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(arrays[`face${name}/${i}`]), 1));
      geometry.computeVertexNormals();
      return geometry;
    };
    (header.bones ?? []).forEach(([body, kind], i) => {
      const mesh = new THREE.Mesh(shape("", i), this.matter[kind]);
      // [at rest, while moving]
      mesh.userData.shapes = [mesh.geometry, this.software ? shape("-moving", i) : mesh.geometry];
      mesh.matrixAutoUpdate = false;
      mesh.frustumCulled = false;
      this.bones.push([body, mesh]);
      this.groups.bones.add(mesh);
    });
  }

  makeSegments() {
    const pairs = this.data.header.segments ?? [];
    this.matter.segment = new THREE.MeshLambertMaterial();
    const rod = new THREE.CylinderGeometry(0.008, 0.008, 1, 8, 1);
    rod.rotateX(Math.PI / 2);
    rod.translate(0, 0, 0.5);
    this.rods = new THREE.InstancedMesh(rod, this.matter.segment, Math.max(1, pairs.length));
    this.rods.frustumCulled = false;
    this.rods.count = pairs.length;
    const ball = new THREE.SphereGeometry(0.014, 10, 8);
    this.joints = new THREE.InstancedMesh(ball, this.matter.segment, Math.max(1, pairs.length));
    this.joints.frustumCulled = false;
    this.joints.count = pairs.length;
    this.groups.segments.add(this.rods, this.joints);
  }

  makeSpine() {
    const count = this.data.header.spine.length;
    if (count < 3) return; // no curve to draw: markers of somebody who has none on the spine
    this.matter.spine = new THREE.MeshLambertMaterial();
    this.matter.tube = new THREE.MeshLambertMaterial({ transparent: true, opacity: 0.28, depthWrite: false });
    this.matter.assumed = new THREE.MeshLambertMaterial({ transparent: true, opacity: 0.35 });
    this.curve = new Tube([this.matter.spine, this.matter.assumed], count, this.data.header.assumed.map(Number));
    this.groups.spine.add(this.curve.mesh);
    if (this.data.arrays.tube) {
      this.tube = new Tube(this.matter.tube, count);
      this.tube.mesh.renderOrder = 2;
      this.groups.tube.add(this.tube.mesh);
    }
  }

  makePoints() {
    this.dots = {};
    const origin = this.data.header.origin ?? [];
    for (const kind of ORIGINS) {
      const which = origin.flatMap((name, i) => (name === kind ? [i] : []));
      if (!which.length) continue;
      // What was not seen itself is hollow here as in every figure.
      const hollow = ["inferred", "estimated"].includes(kind);
      const shape = hollow ? kind === "estimated" ? new THREE.SphereGeometry(0.019, 4, 2) : new THREE.IcosahedronGeometry(0.017, 0) : new THREE.SphereGeometry(0.013, 8, 6);
      this.matter[kind] = hollow
        ? new THREE.MeshBasicMaterial({ wireframe: true })
        : new THREE.MeshLambertMaterial();
      const mesh = new THREE.InstancedMesh(shape, this.matter[kind], which.length);
      mesh.frustumCulled = false;
      this.dots[kind] = { which, mesh };
      this.groups.points.add(mesh);
    }
    if (this.data.header.points) this.names = new PointNames(this.element, this.data);
  }

  makeCameras() {
    this.matter.camera = new THREE.LineBasicMaterial();
    this.labels = [];
    const order = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1];
    for (const camera of this.data.header.cameras) {
      const ends = order.map((i) => new THREE.Vector3(...camera.frustum[i]));
      this.groups.cameras.add(new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(ends), this.matter.camera));
      const label = document.createElement("span");
      label.className = "p-label";
      label.textContent = camera.name;
      label.setAttribute("aria-hidden", "true");
      this.element.append(label);
      this.labels.push([label, ends[0]]);
    }
  }

  makeFloor() {
    this.groups.floor.clear();
    const grid = new THREE.GridHelper(6, 12, this.colour("--p-floor-strong"), this.colour("--p-floor"));
    const centre = this.middle();
    if (!Number.isFinite(centre.x)) centre.setScalar(0);
    grid.position.set(Math.round(centre.x * 2) / 2, this.data.header.floor, Math.round(centre.z * 2) / 2);
    this.groups.floor.add(grid);
  }

  colour(name) {
    return new THREE.Color(getComputedStyle(this.element).getPropertyValue(name).trim() || "#888");
  }

  // Take the colours of the page, light or dark.
  paint() {
    for (const [kind, material] of Object.entries(this.matter)) material.color.copy(this.colour(`--p-${kind}`));
    this.sky.groundColor.copy(this.colour("--p-shade"));
    this.filled = this.colour("--p-filled");
    this.seen = { detected: this.colour("--p-detected"), skin: this.colour("--p-skin") };
    for (const kind of Object.keys(this.seen)) this.matter[kind]?.color.set(0xffffff); // coloured one by one
    this.makeFloor();
    this.show(this.frame);
  }

  bodyAt(body, frame) {
    const i = 3 * (frame * this.data.header.bodies.length + body);
    return new THREE.Vector3(...this.data.arrays.place.subarray(i, i + 3));
  }

  // Middle of the body over the whole trial, or at a frame.
  middle(frame) {
    const sum = new THREE.Vector3();
    let known = 0;
    const frames = frame === undefined ? [...Array(this.data.header.frames).keys()] : [frame];
    for (const f of frames) {
      const at = this.centre(f);
      if (!at) continue;
      sum.add(at);
      known++;
    }
    return known ? sum.divideScalar(known) : sum.setScalar(NaN);
  }

  // The lowest point of the spine at a frame; where there is no spine the mean of the points, or the first body.
  centre(frame) {
    const { header, arrays } = this.data;
    const names = ["spine", "points"].find((name) => header[name]?.length);
    const [values, count] = names ? [arrays[names], header[names].length] : [arrays.place, header.bodies.length];
    const sum = new THREE.Vector3();
    let known = 0;
    for (let i = 0; i < (names === "points" ? count : 1); i++) {
      const at = 3 * (frame * count + i);
      if (!Number.isFinite(values[at])) continue;
      sum.add(new THREE.Vector3(values[at], values[at + 1], values[at + 2]));
      known++;
    }
    return known ? sum.divideScalar(known) : undefined;
  }

  // How far (m) the body goes from the middle of where it is during the trial.
  roaming() {
    const middle = this.middle();
    let most = 0;
    for (let frame = 0; frame < this.data.header.frames; frame++) {
      const away = this.middle(frame).sub(middle);
      if (Number.isFinite(away.x)) most = Math.max(most, Math.hypot(away.x, away.z));
    }
    return most;
  }

  // How far (m) a body or point comes to the side of the middle that the view is turned about; 1.6 m at most, so that a
  // slip of one point leaves the person large.
  reach() {
    const { header, arrays } = this.data;
    const [values, count] = header.bodies ? [arrays.place, header.bodies.length] : [arrays.points, header.points?.length ?? 0];
    const whole = this.middle();
    let most = 0;
    for (let frame = 0; frame < header.frames; frame += Math.ceil(header.frames / 40)) {
      const middle = this.follow ? this.middle(frame) : whole;
      for (let i = 3 * frame * count; i < 3 * (frame + 1) * count; i += 3) {
        const away = Math.hypot(values[i] - middle.x, values[i + 2] - middle.z);
        if (away > most) most = away;
      }
    }
    return Math.min(1.6, most + 0.05);
  }

  setView(name) {
    const forward = this.facing();
    const turns = { front: 0, side: Math.PI / 2, back: Math.PI, oblique: 0.7 * Math.PI, top: 0, cameras: Math.PI / 4 };
    this.orbit.turn = forward + turns[name];
    this.orbit.tilt = { top: 1.5, cameras: 0.45 }[name] ?? 0.08;
    const middle = this.middle(this.follow && this.frame >= 0 ? this.frame : undefined);
    if (Number.isFinite(middle.x)) this.orbit.target.copy(middle);
    this.orbit.target.y = this.data.header.floor + 0.88;
    const fit = Math.min(1, this.camera.aspect / 0.62);
    this.orbit.distance = Math.max(3.5 / fit, this.reach() / Math.tan((this.camera.fov * Math.PI) / 360) / this.camera.aspect);
    if (name === "cameras") {
      const far = Math.max(2, ...this.data.header.cameras.map((c) => new THREE.Vector3(...c.frustum[0]).distanceTo(this.orbit.target)));
      this.orbit.distance = (far * 2.9) / Math.min(1, this.camera.aspect);
    }
    this.move();
  }

  // Direction the pelvis faces in the first known frame, as an angle around y: OpenSim's pelvis looks along its x.
  facing() {
    const { header, arrays } = this.data;
    const body = (header.bodies ?? []).indexOf("pelvis");
    for (let frame = 0; body >= 0 && frame < header.frames; frame++) {
      const i = 4 * (frame * header.bodies.length + body);
      const ahead = new THREE.Vector3(1, 0, 0).applyQuaternion(new THREE.Quaternion(...arrays.turn.subarray(i, i + 4)));
      if (Number.isFinite(ahead.x)) return Math.atan2(ahead.z, ahead.x);
    }
    return 0;
  }

  toggle(name, on) {
    this.shown[name] = on;
    this.show(this.frame);
  }

  show(frame) {
    if (this.follow && frame >= 0 && this.frame >= 0) {
      const middle = this.middle(frame);
      if (Number.isFinite(middle.x)) this.orbit.target.setX(middle.x).setZ(middle.z);
    }
    this.frame = frame;
    for (const [name, group] of Object.entries(this.groups)) group.visible = this.shown[name];
    this.dirty = true;
    if (frame < 0) return;
    if (this.shown.bones) this.poseBones(frame);
    if (this.shown.segments) this.poseSegments(frame);
    this.bendSpine(frame);
    if (this.shown.points) this.placePoints(frame);
    const rejected = ["rejected", "inferred"].includes(statusOf(this.data, frame)[0]);
    this.matter.rib.opacity = rejected ? RIB / 2 : RIB;
    for (const kind of ["bone", "vertebra", "segment"]) {
      this.matter[kind].opacity = rejected ? 0.35 : 1;
      if (this.matter[kind].transparent !== rejected) this.matter[kind].needsUpdate = true;
      this.matter[kind].transparent = rejected;
    }
  }

  poseBones(frame) {
    const { header, arrays } = this.data;
    const turn = new THREE.Quaternion();
    const size = new THREE.Vector3(1, 1, 1);
    for (const [body, mesh] of this.bones) {
      const i = 4 * (frame * header.bodies.length + body);
      turn.set(arrays.turn[i], arrays.turn[i + 1], arrays.turn[i + 2], arrays.turn[i + 3]).normalize();
      const place = this.bodyAt(body, frame);
      mesh.visible = Number.isFinite(place.x) && Number.isFinite(turn.x);
      mesh.matrix.compose(place, turn, size);
    }
  }

  poseSegments(frame) {
    const up = new THREE.Object3D();
    (this.data.header.segments ?? []).forEach(([a, b], i) => {
      const from = this.bodyAt(a, frame);
      const to = this.bodyAt(b, frame);
      const known = Number.isFinite(from.x) && Number.isFinite(to.x);
      up.position.copy(known ? from : up.position.set(0, -99, 0));
      up.lookAt(known ? to : up.position);
      up.scale.set(1, 1, Math.max(1e-4, known ? from.distanceTo(to) : 0));
      up.updateMatrix();
      this.rods.setMatrixAt(i, up.matrix);
      up.position.copy(known ? to : up.position);
      up.scale.set(1, 1, 1);
      up.updateMatrix();
      this.joints.setMatrixAt(i, up.matrix);
    });
    this.rods.instanceMatrix.needsUpdate = this.joints.instanceMatrix.needsUpdate = true;
  }

  bendSpine(frame) {
    const { header, arrays } = this.data;
    const count = header.spine.length;
    const points = [];
    const radii = [];
    for (let i = 0; i < count; i++) {
      const at = 3 * (frame * count + i);
      if (!Number.isFinite(arrays.spine[at])) continue;
      points.push(new THREE.Vector3(arrays.spine[at], arrays.spine[at + 1], arrays.spine[at + 2]));
      const radius = arrays.tube?.[frame * count + i];
      radii.push(Number.isFinite(radius) ? radius : 0);
    }
    const known = points.length > 2;
    if (!this.curve) return;
    this.curve.mesh.visible = known;
    if (this.tube) this.tube.mesh.visible = known;
    if (!known) return;
    if (this.shown.spine) this.curve.fill(points, points.map(() => 0.006));
    if (this.tube && this.shown.tube) this.tube.fill(points, radii);
  }

  placePoints(frame) {
    const { header, arrays } = this.data;
    const at = new THREE.Matrix4();
    for (const [kind, { which, mesh }] of Object.entries(this.dots)) {
      which.forEach((point, i) => {
        const k = 3 * (frame * header.points.length + point);
        const known = Number.isFinite(arrays.points[k]);
        at.makeTranslation(known ? arrays.points[k] : 0, known ? arrays.points[k + 1] : -99, known ? arrays.points[k + 2] : 0);
        mesh.setMatrixAt(i, at);
        if (this.seen[kind]) mesh.setColorAt(i, arrays.filled?.[frame * header.points.length + point] ? this.filled : this.seen[kind]);
      });
      mesh.instanceMatrix.needsUpdate = true;
      if (mesh.instanceColor) mesh.instanceColor.needsUpdate = true;
    }
  }

  move() {
    this.lastMove = performance.now();
    this.dirty = true;
  }

  resize() {
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (width && height) this.shape([width, height]);
  }

  // Draw in pictures of [width, height] from here on.
  shape(size) {
    this.camera.aspect = size[0] / size[1];
    this.camera.updateProjectionMatrix();
    this.size = size;
    this.ratio = 0;
    this.dirty = true;
  }

  // One picture. fine: smooth edges, for when nothing moves.
  draw(fine) {
    const plain = Math.min(2, window.devicePixelRatio || 1);
    const ratio = fine ? (this.software ? Math.max(2, plain) : plain) : plain * this.coarse;
    if (ratio !== this.ratio) {
      this.ratio = ratio;
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(...this.size);
    }
    for (const [, mesh] of this.bones) mesh.geometry = mesh.userData.shapes[fine ? 0 : 1];
    this.orbit.place();
    this.lamp.position.copy(this.camera.position).add(new THREE.Vector3(0.6, 1.4, 0.4));
    this.lamp.target.position.copy(this.orbit.target);
    this.renderer.render(this.scene, this.camera);
    this.placeLabels();
  }

  // The view as an image beside the canvas, for print.
  still() {
    if (!this.size) return;
    // As on paper: half of its width, and the whole body in it.
    const [size, distance] = [this.size, this.orbit.distance];
    this.shape(PAPER);
    this.orbit.distance = Math.max(4, this.reach() / Math.tan((this.camera.fov * Math.PI) / 360) / this.camera.aspect);
    this.draw(true);
    this.orbit.distance = distance;
    this.image ??= this.element.appendChild(Object.assign(new Image(), { className: "p-still", alt: "" }));
    this.image.src = this.renderer.domElement.toDataURL("image/png");
    this.shape(size);
  }

  // The view as a PNG with the page's ground behind it and a line of text; handed to `take` as a blob.
  save(text, take) {
    if (!this.size) return;
    this.draw(true);
    const drawn = this.renderer.domElement;
    const sheet = Object.assign(document.createElement("canvas"), { width: drawn.width, height: drawn.height });
    const pen = sheet.getContext("2d");
    const ground = pen.createLinearGradient(0, 0, 0, sheet.height);
    ["--p-sky", "--p-ground"].forEach((name, i) => ground.addColorStop(i, `#${this.colour(name).getHexString()}`));
    pen.fillStyle = ground;
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.drawImage(drawn, 0, 0);
    const letters = Math.round(sheet.height / 34);
    pen.font = `${letters}px system-ui, sans-serif`;
    pen.fillStyle = getComputedStyle(this.element).color;
    pen.fillText(text, letters, 1.6 * letters);
    sheet.toBlob(take, "image/png");
  }

  placeLabels() {
    this.names?.place(this.shown.names && this.shown.points, this.frame, this.camera, this.size);
    for (const [label, place] of this.labels) {
      const p = place.clone().project(this.camera);
      const inside = this.shown.cameras && p.z < 1 && Math.abs(p.x) < 0.97 && Math.abs(p.y) < 0.97;
      label.hidden = !inside;
      if (inside) label.style.transform = `translate(${((p.x + 1) / 2) * this.size[0]}px, ${((1 - p.y) / 2) * this.size[1]}px)`;
    }
  }

  tick(now) {
    requestAnimationFrame(this.tick);
    if (!this.size || this.element.offsetParent === null) return;
    const moving = this.playing || now - this.lastMove < 200;
    if (this.dirty) {
      this.dirty = false;
      this.draw(!moving);
      this.restless = moving;
      if (moving) this.pace(now);
    } else if (this.restless && !moving) {
      this.restless = false;
      this.draw(true);
    }
  }

  // Times of the last pictures; fewer points per picture where they come too slowly.
  pace(now) {
    if (this.drawn.length && now - this.drawn[this.drawn.length - 1] > 400) this.drawn = [];
    this.drawn.push(now);
    if (this.drawn.length < 24) return;
    const each = (now - this.drawn[0]) / (this.drawn.length - 1);
    this.drawn = [];
    if (this.software && each > 31 && this.coarse > 0.6) this.coarse *= 0.85;
  }
}
