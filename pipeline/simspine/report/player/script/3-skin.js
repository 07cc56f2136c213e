// The skin: each point goes with up to six bodies, by their shares. Two meshes: fine at rest, coarse while moving.

const CARRIERS = 6;

class Skin {
  constructor(material, data) {
    this.data = data;
    this.matrices = new Float32Array(12 * data.header.skin.length);
    this.meshes = ["skin", "skin-moving"].map((name) => this.shape(name));
    this.mesh = new THREE.Mesh(this.meshes[0].geometry, material);
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 1;
  }

  shape(name) {
    const { arrays } = this.data;
    const part = (what) => arrays[`${name}/${what}`];
    const geometry = new THREE.BufferGeometry();
    const size = part("points").length;
    for (const what of ["position", "normal"]) geometry.setAttribute(what, new THREE.BufferAttribute(new Float32Array(size), 3));
    geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(part("faces")), 1));
    return { geometry, points: part("points"), carriers: part("carriers"), weights: part("weights"), faces: part("faces") };
  }

  // Put the skin where the bodies are in a frame; false where some are not known.
  fill(frame, fine) {
    if (!this.place(frame)) return false;
    const shape = this.meshes[fine ? 0 : 1];
    this.mesh.geometry = shape.geometry;
    const at = shape.geometry.attributes.position;
    const m = this.matrices;
    const { points, carriers, weights } = shape;
    for (let i = 0, k = 0; i < points.length; i += 3, k += CARRIERS) {
      const [x, y, z] = [points[i], points[i + 1], points[i + 2]];
      let a = 0, b = 0, c = 0;
      for (let j = k; j < k + CARRIERS && weights[j]; j++) {
        const w = weights[j] / 255;
        const o = 12 * carriers[j];
        a += w * (m[o] * x + m[o + 1] * y + m[o + 2] * z + m[o + 3]);
        b += w * (m[o + 4] * x + m[o + 5] * y + m[o + 6] * z + m[o + 7]);
        c += w * (m[o + 8] * x + m[o + 9] * y + m[o + 10] * z + m[o + 11]);
      }
      at.array[i] = a;
      at.array[i + 1] = b;
      at.array[i + 2] = c;
    }
    at.needsUpdate = true;
    this.face(shape);
    return true;
  }

  // The matrix of each segment, rest to world: the body's pose after the segment's own map.
  place(frame) {
    const { header, arrays } = this.data;
    const maps = arrays["skin-maps"];
    const out = this.matrices;
    for (let s = 0; s < header.skin.length; s++) {
      const body = frame * header.bodies.length + header.skin[s];
      const [x, y, z, w] = arrays.turn.subarray(4 * body, 4 * body + 4);
      const place = arrays.place.subarray(3 * body, 3 * body + 3);
      if (header.skin[s] < 0 || !Number.isFinite(x) || !Number.isFinite(place[0])) return false;
      const r = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
      ];
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 4; j++) {
          let sum = j === 3 ? place[i] : 0;
          for (let k = 0; k < 3; k++) sum += r[3 * i + k] * maps[12 * s + 4 * k + j];
          out[12 * s + 4 * i + j] = sum;
        }
      }
    }
    return true;
  }

  // Normals of the points: the sum of their triangles', by area. The shader makes them unit vectors.
  face({ geometry, faces }) {
    const p = geometry.attributes.position.array;
    const normal = geometry.attributes.normal;
    const n = normal.array.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const [ux, uy, uz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const [vx, vy, vz] = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const [nx, ny, nz] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const i of [a, b, c]) {
        n[i] += nx;
        n[i + 1] += ny;
        n[i + 2] += nz;
      }
    }
    normal.needsUpdate = true;
  }
}
