// The points of all frames as this page knows them, what was changed, and its way to the disk.

export const SEE = { absent: 0, hidden: 1, seen: 2 };
export const HOW = { unseen: 0, accepted: 1, corrected: 2, derived: 3 };
// Whether a point is where no detector saw it, and nobody has looked at it or moved it.
export const isGuess = ({ inferred, how }) => inferred && how === HOW.unseen;
const RETRY_MS = 1500;

// What the address asks for, as another page's link does: #frame=12&point=Spine_04; -1 for what it does not name.
export function asked({ points, frames }) {
  const words = new URLSearchParams(location.hash.slice(1));
  const frame = /^\d+$/.test(words.get("frame") ?? "") ? Math.min(Number(words.get("frame")), frames - 1) : -1;
  return { frame, point: points.findIndex(({ name }) => name === words.get("point")) };
}

// Map from each point that has a side to the one of the other side.
export function counterparts(points) {
  const place = new Map(points.map(({ name }, i) => [name, i]));
  const other = ({ name }) => place.get({ L: "R", R: "L" }[name[0]] + name.slice(1));
  return new Map([...points.keys()].filter((i) => ["left", "right"].includes(points[i].side) && other(points[i]) !== undefined).map((i) => [i, other(points[i])]));
}

export class Labels extends EventTarget {
  // project: as the server describes it.
  constructor(project) {
    super();
    this.project = project;
    this.frames = new Map(); // number → [view][point] {x, y, see, how, sure, inferred}
    this.done = []; // changes that can be undone
    this.undone = [];
    this.unsaved = [];
    this.saving = false;
    this.elsewhere = false; // whether the recording was opened in another tab since: this one knows old points only
    this.foreign = []; // unsent changes of points, views or frames that are not shown: kept for a page that shows them
    this.key = `simspine-annotate ${project.store}`;
    this.restore();
    this.channel = new BroadcastChannel(this.key);
    this.channel.onmessage = () => this.leave();
    this.channel.postMessage("opened");
  }

  // Another tab continues: it has read what was not sent from the browser's store.
  leave() {
    if (this.elsewhere) return;
    this.elsewhere = true;
    this.unsaved = [];
    this.tell("elsewhere");
  }

  // The points of a frame, asked for once.
  async load(frame) {
    if (!this.frames.has(frame)) {
      const answer = await fetch(`api/frame/${frame}`);
      if (!answer.ok) throw new Error(await answer.text());
      const { points } = await answer.json();
      const made = points.map((view) => view.map(([x, y, see, how, sure, inferred]) => ({ x, y, see, how, sure, inferred })));
      if (!this.frames.has(frame)) this.frames.set(frame, made);
      for (const edit of this.unsaved) if (edit.f === frame) this.put(edit);
    }
    return this.frames.get(frame);
  }

  at(frame, view, point) {
    return this.frames.get(frame)?.[view]?.[point];
  }

  // Make changes that are undone together: [{v, p, x, y, see, how}] of one frame.
  change(frame, changes) {
    if (this.elsewhere) {
      this.tell("elsewhere");
      return false;
    }
    const fresh = changes.filter((c) => {
      const old = this.at(frame, c.v, c.p);
      return old && (old.x !== c.x || old.y !== c.y || old.see !== c.see || old.how !== c.how);
    });
    if (!fresh.length) return false;
    const before = fresh.map((c) => ({ f: frame, v: c.v, p: c.p, ...this.plain(frame, c.v, c.p) }));
    const after = fresh.map((c) => ({ f: frame, v: c.v, p: c.p, x: c.x, y: c.y, see: c.see, how: c.how }));
    this.done.push({ before, after });
    this.undone = [];
    this.apply(after);
    return true;
  }

  plain(frame, view, point) {
    const { x, y, see, how } = this.at(frame, view, point);
    return { x, y, see, how };
  }

  undo() {
    const last = this.elsewhere ? undefined : this.done.pop();
    if (last) {
      this.undone.push(last);
      this.apply(last.before);
    }
    return last?.before;
  }

  redo() {
    const last = this.elsewhere ? undefined : this.undone.pop();
    if (last) {
      this.done.push(last);
      this.apply(last.after);
    }
    return last?.after;
  }

  apply(edits) {
    for (const edit of edits) this.put(edit);
    this.unsaved.push(...edits);
    this.keep();
    this.dispatchEvent(new CustomEvent("change", { detail: { frame: edits[0].f } }));
    this.save();
  }

  put(edit) {
    const point = this.at(edit.f, edit.v, edit.p);
    if (point) Object.assign(point, { x: edit.x, y: edit.y, see: edit.see, how: edit.how });
  }

  // Send what is not on the disk yet; what the server does not confirm stays here and in the browser's store.
  async save() {
    if (this.saving || this.elsewhere || !this.unsaved.length) return;
    this.saving = true;
    this.tell("saving");
    const edits = this.unsaved.slice();
    try {
      const answer = await fetch("api/edits", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ edits: edits.map((edit) => ({ ...edit, p: this.project.points[edit.p].name })) }),
        keepalive: edits.length < 300,
      });
      if (!answer.ok) throw new Error(await answer.text());
      this.summary = await answer.json();
      this.unsaved = this.unsaved.slice(edits.length);
      this.keep();
      this.saving = false;
      if (this.elsewhere) return;
      this.tell(this.unsaved.length ? "saving" : "saved");
      if (this.unsaved.length) this.save();
    } catch (error) {
      this.saving = false;
      if (this.elsewhere) return;
      this.tell("lost", error.message);
      setTimeout(() => this.save(), RETRY_MS);
    }
  }

  // Once no change is under way to the server.
  async settled() {
    while (this.saving) await new Promise((done) => setTimeout(done, 20));
  }

  tell(state, message = "") {
    this.dispatchEvent(new CustomEvent("save", { detail: { state, message, left: this.unsaved.length } }));
  }

  keep() {
    if (this.elsewhere) return; // the store is the other tab's
    try {
      const { points } = this.project; // by name: after a restart there may be others
      const named = [...this.unsaved.map((edit) => ({ ...edit, p: points[edit.p].name })), ...this.foreign];
      if (named.length) localStorage.setItem(this.key, JSON.stringify(named));
      else localStorage.removeItem(this.key);
    } catch {
      // No store: the queue in memory and the server remain.
    }
  }

  // What a closed page could not send.
  restore() {
    try {
      const left = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      const { views, points, frames } = this.project;
      const place = new Map(points.map(({ name }, i) => [name, i]));
      const shown = (edit) => edit.f < frames && edit.v < views.length && place.has(edit.p);
      this.unsaved = left.filter(shown).map((edit) => ({ ...edit, p: place.get(edit.p) }));
      this.foreign = left.filter((edit) => !shown(edit));
    } catch {
      this.unsaved = [];
    }
  }
}
