// A tube of varying radius along a smooth curve through the points of the spine; its surface is refilled each frame.

class Tube {
  // looks: of an array of materials, the one of each span between points.
  constructor(material, points, looks = [], perSpan = 5, sides = 10) {
    this.rings = (points - 1) * perSpan + 1;
    this.sides = sides;
    this.geometry = new THREE.BufferGeometry();
    const corners = this.rings * (sides + 1);
    for (const name of ["position", "normal"]) {
      this.geometry.setAttribute(name, new THREE.BufferAttribute(new Float32Array(corners * 3), 3));
    }
    const faces = [];
    for (let ring = 0; ring + 1 < this.rings; ring++) {
      for (let side = 0; side < sides; side++) {
        const a = ring * (sides + 1) + side;
        faces.push(a, a + sides + 1, a + 1, a + 1, a + sides + 1, a + sides + 2);
      }
    }
    this.geometry.setIndex(faces);
    const length = 6 * sides * perSpan;
    looks.forEach((look, span) => this.geometry.addGroup(span * length, length, look));
    this.mesh = new THREE.Mesh(this.geometry, material);
    this.mesh.frustumCulled = false;
  }

  // points: Vector3 each, none missing. radii: one for each point.
  fill(points, radii) {
    const curve = new THREE.CatmullRomCurve3(points, false, "centripetal");
    const position = this.geometry.attributes.position;
    const normal = this.geometry.attributes.normal;
    const at = new THREE.Vector3();
    const ahead = new THREE.Vector3();
    const across = new THREE.Vector3();
    const third = new THREE.Vector3();
    const out = new THREE.Vector3();
    for (let ring = 0; ring < this.rings; ring++) {
      const share = ring / (this.rings - 1);
      curve.getPoint(share, at);
      curve.getTangent(share, ahead);
      if (ring === 0) across.set(Math.abs(ahead.x) < 0.8 ? 1 : 0, 0, Math.abs(ahead.x) < 0.8 ? 0 : 1);
      across.addScaledVector(ahead, -across.dot(ahead)).normalize();
      third.crossVectors(ahead, across);
      const low = Math.min(points.length - 2, Math.floor(share * (points.length - 1)));
      const part = share * (points.length - 1) - low;
      const radius = radii[low] * (1 - part) + radii[low + 1] * part;
      for (let side = 0; side <= this.sides; side++) {
        const angle = (2 * Math.PI * side) / this.sides;
        out.copy(across).multiplyScalar(Math.cos(angle)).addScaledVector(third, -Math.sin(angle));
        const corner = ring * (this.sides + 1) + side;
        normal.setXYZ(corner, out.x, out.y, out.z);
        position.setXYZ(corner, at.x + radius * out.x, at.y + radius * out.y, at.z + radius * out.z);
      }
    }
    position.needsUpdate = true;
    normal.needsUpdate = true;
  }
}
