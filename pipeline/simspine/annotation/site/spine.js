// The curve along the spine, and how its points follow one that is moved.

const REACH = 0.35; // of the chain's length: how far the pull of a moved point is felt
const PIECES = 10; // of the curve between two points

// A smooth curve through points [[x, y], …]: centripetal Catmull–Rom, which makes no loops (Yuksel et al. 2011).
export function curve(points) {
  if (points.length < 3) return points;
  const minus = (a, b) => [2 * a[0] - b[0], 2 * a[1] - b[1]];
  const all = [minus(points[0], points[1]), ...points, minus(points.at(-1), points.at(-2))];
  const out = [points[0]];
  for (let i = 1; i < all.length - 2; i++) {
    const p = all.slice(i - 1, i + 3);
    const t = [0];
    for (let k = 1; k < 4; k++) t.push(t[k - 1] + Math.max(1e-6, Math.hypot(p[k][0] - p[k - 1][0], p[k][1] - p[k - 1][1]) ** 0.5));
    for (let k = 1; k <= PIECES; k++) out.push(between(p, t, t[1] + ((t[2] - t[1]) * k) / PIECES));
  }
  return out;
}

function between(p, t, u) {
  const mix = (a, b, from, to) => a.map((v, i) => ((to - u) * v + (u - from) * b[i]) / (to - from));
  const a = [0, 1, 2].map((i) => mix(p[i], p[i + 1], t[i], t[i + 1]));
  const b = [0, 1].map((i) => mix(a[i], a[i + 1], t[i], t[i + 2]));
  return mix(b[0], b[1], t[1], t[2]);
}

// How much of a move each point of the chain takes: 1 the moved one, less with distance along the chain, 0 from the
// next point on that a person has fixed. places: [[x, y] or null]; fixed: [bool]; both in the chain's order.
export function shares(places, fixed, moved) {
  const there = places.map((place, i) => (place ? i : -1)).filter((i) => i >= 0);
  const length = [];
  let total = 0;
  there.forEach((i, n) => {
    if (n) total += Math.hypot(places[i][0] - places[there[n - 1]][0], places[i][1] - places[there[n - 1]][1]);
    length[i] = total;
  });
  const out = places.map(() => 0);
  out[moved] = 1;
  for (const way of [-1, 1]) {
    const side = there.filter((i) => (i - moved) * way > 0).sort((a, b) => (a - b) * way);
    const anchor = side.find((i) => fixed[i]);
    const reach = Math.min(REACH * total, anchor === undefined ? Infinity : Math.abs(length[anchor] - length[moved]));
    for (const i of side) {
      const away = Math.abs(length[i] - length[moved]) / Math.max(reach, 1e-9);
      if (away >= 1) break;
      out[i] = Math.cos((Math.PI / 2) * away) ** 2;
    }
  }
  return out;
}
