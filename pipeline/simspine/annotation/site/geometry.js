// What the views say to each other about a point: lines, and where the others together place it.

import { Camera, epipolar, triangulate } from "./camera.js";
import { HOW, isGuess } from "./labels.js";

export class Rig {
  constructor(views) {
    this.cameras = views.map((view) => (view.camera ? new Camera(view.camera) : null));
    this.calibrated = this.cameras.length > 1 && this.cameras.every(Boolean);
  }

  // [{view, pieces}]: in `view`, the lines of a point that the other views show. points: [view][point].
  lines(points, view, point) {
    if (!this.calibrated) return [];
    return points.flatMap((others, v) => {
      const seen = others[point];
      if (v === view || !seen.see || isGuess(seen)) return [];
      return [{ view: v, pieces: epipolar(this.cameras[v], this.cameras[view], seen.x, seen.y) }];
    });
  }

  // Where views other than `view` place a point in it, [x, y]; null with fewer than two of them. Inferred points are left
  // out: those of all views come from one place in space, so that they agree whatever the images show.
  // only: whether to use views in which a person has decided, and no others.
  ghost(points, view, point, only = false) {
    if (!this.calibrated) return null;
    const seen = [];
    points.forEach((others, v) => {
      const { x, y, see, how, sure } = others[point];
      const own = how === HOW.corrected || how === HOW.accepted;
      if (v !== view && see && !isGuess(others[point]) && (own || !only)) seen.push({ camera: this.cameras[v], x, y, weight: own ? 1 : Math.max(0.05, sure) });
    });
    if (seen.length < 2) return null;
    const place = triangulate(seen);
    return place && this.cameras[view].project(place);
  }
}
