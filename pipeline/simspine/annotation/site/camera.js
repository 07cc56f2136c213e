// Cameras as simspine has them: x_cam = R x + t, image axes right and down, lens models of OpenCV.
// The same equations as simspine/lenses.py; tests compare the two.

const STEP = 1e-6; // of normalised coordinates, for derivatives of the lens

export class Camera {
  // entry: {K, R, t, distortion, lens, size} with nested lists.
  constructor(entry) {
    Object.assign(this, entry);
    const [a, b] = [this.R, this.t];
    this.centre = [0, 1, 2].map((i) => -(a[0][i] * b[0] + a[1][i] * b[1] + a[2][i] * b[2]));
  }

  // Ideal normalised coordinates → as the lens shows them.
  bend(x, y) {
    const d = this.distortion;
    const r2 = x * x + y * y;
    if (this.lens === "fisheye") {
      const r = Math.sqrt(r2);
      if (r < 1e-9) return [x, y];
      const a = Math.atan(r);
      const a2 = a * a;
      const stretch = (a * (1 + a2 * (d[0] + a2 * (d[1] + a2 * (d[2] + a2 * d[3]))))) / r;
      return [x * stretch, y * stretch];
    }
    let radial = 1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]));
    if (d.length > 5) radial /= 1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7]));
    let u = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x);
    let v = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y;
    if (d.length === 12) {
      u += r2 * (d[8] + r2 * d[9]);
      v += r2 * (d[10] + r2 * d[11]);
    }
    return [u, v];
  }

  // Pixels → ideal normalised coordinates by Newton's method; null where it finds none.
  straighten(px, py) {
    const K = this.K;
    const v = (py - K[1][2]) / K[1][1];
    const u = (px - K[0][2] - K[0][1] * v) / K[0][0];
    let [x, y] = [u, v];
    for (let i = 0; i < 40; i++) {
      const [a, b] = this.bend(x, y);
      const [ax, bx] = this.bend(x + STEP, y);
      const [ay, by] = this.bend(x, y + STEP);
      const [p, q, r, s] = [(ax - a) / STEP, (ay - a) / STEP, (bx - b) / STEP, (by - b) / STEP];
      const det = p * s - q * r;
      const [dx, dy] = [((a - u) * s - (b - v) * q) / det, ((b - v) * p - (a - u) * r) / det];
      x -= dx;
      y -= dy;
      if (Math.abs(dx) + Math.abs(dy) < 1e-12) break;
    }
    const [a, b] = this.bend(x, y);
    return Math.hypot(a - u, b - v) < 1e-7 ? [x, y] : null;
  }

  // World point (m) → pixels; null behind the camera.
  project(point) {
    const [x, y, z] = this.R.map((row, i) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + this.t[i]);
    if (z < 1e-6) return null;
    const [u, v] = this.bend(x / z, y / z);
    return [this.K[0][0] * u + this.K[0][1] * v + this.K[0][2], this.K[1][1] * v + this.K[1][2]];
  }

  // Unit direction in the world of the ray through a pixel; null where the lens has none.
  ray(px, py) {
    const ideal = this.straighten(px, py);
    if (!ideal) return null;
    const local = [ideal[0], ideal[1], 1];
    const way = [0, 1, 2].map((i) => this.R.reduce((sum, row, k) => sum + row[i] * local[k], 0));
    const length = Math.hypot(...way);
    return way.map((v) => v / length);
  }
}

// Where the ray through a pixel of camera `a` can be in the image of camera `b`: lists of pixels, one per piece.
export function epipolar(a, b, px, py) {
  const way = a.ray(px, py);
  if (!way) return [];
  const [width, height] = b.size;
  const pieces = [];
  let piece = [];
  for (let i = 0; i <= 240; i++) {
    const depth = 0.2 * 300 ** (i / 240); // 0.2 m to 60 m
    const seen = b.project(a.centre.map((c, k) => c + depth * way[k]));
    const inside = seen && seen[0] > -width && seen[0] < 2 * width && seen[1] > -height && seen[1] < 2 * height;
    if (inside) piece.push(seen);
    else if (piece.length) {
      pieces.push(piece);
      piece = [];
    }
  }
  if (piece.length > 1) pieces.push(piece);
  return pieces.filter((found) => found.length > 1);
}

// The point (m) nearest to what several views saw: [{camera, x, y, weight}], two or more; null where rays are parallel.
// Starts where the rays come nearest to each other; Gauss–Newton steps then make the distances in the images least.
export function triangulate(seen) {
  const A = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  const b = [0, 0, 0];
  for (const { camera, x, y, weight } of seen) {
    const way = camera.ray(x, y);
    if (!way) return null;
    for (let i = 0; i < 3; i++) {
      for (let k = 0; k < 3; k++) {
        const across = weight * ((i === k ? 1 : 0) - way[i] * way[k]);
        A[i][k] += across;
        b[i] += across * camera.centre[k];
      }
    }
  }
  let point = solve3(A, b);
  for (let round = 0; point && round < 4; round++) {
    const N = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    const g = [0, 0, 0];
    for (const { camera, x, y, weight } of seen) {
      const at = camera.project(point);
      if (!at) return point;
      const slopes = [0, 1, 2].map((k) => {
        const moved = camera.project(point.map((v, i) => (i === k ? v + 1e-5 : v)));
        return [(moved[0] - at[0]) / 1e-5, (moved[1] - at[1]) / 1e-5];
      });
      for (let i = 0; i < 3; i++) {
        g[i] += weight * (slopes[i][0] * (x - at[0]) + slopes[i][1] * (y - at[1]));
        for (let k = 0; k < 3; k++) N[i][k] += weight * (slopes[i][0] * slopes[k][0] + slopes[i][1] * slopes[k][1]);
      }
    }
    const step = solve3(N, g);
    if (!step) break;
    point = point.map((v, i) => v + step[i]);
  }
  return point;
}

// 3×3 by Cramer's rule; null where it is singular.
function solve3(A, b) {
  const det = (m) =>
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  const whole = det(A);
  const size = A[0][0] + A[1][1] + A[2][2];
  if (!(Math.abs(whole) > 1e-9 * size ** 3)) return null;
  return [0, 1, 2].map((i) => det(A.map((row, r) => row.map((v, c) => (c === i ? b[r] : v)))) / whole);
}
