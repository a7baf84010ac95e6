// Losses of trainings as they are made: one small drawing each.
import { calmly, make } from "./parts.js";

const WIDTH = 260, HEIGHT = 110, LEFT = 34, BOTTOM = 16, MOST = 300;

export class Curves {
  constructor(section, rowOf) {
    this.section = section;
    this.rowOf = rowOf;
    this.rows = new Map();
    this.drawn = new Map();
    this.draw = calmly(500, () => this.drawAll());
  }

  load(stages) {
    for (const [key, rows] of Object.entries(stages)) for (const row of rows) this.add(key, row);
  }

  add(key, row) {
    if (!Number.isFinite(row?.loss) || !Number.isFinite(row.step)) return;
    const rows = this.rows.get(key) || new Map();
    rows.set(row.step, row.loss);
    this.rows.set(key, rows);
    this.draw();
  }

  drawAll() {
    for (const [key, rows] of this.rows) {
      const state = this.rowOf(key)?.dataset.state;
      if (state === "committed") { this.drawn.get(key)?.remove(); this.drawn.delete(key); continue; }
      const name = this.rowOf(key)?.dataset.name || "training";
      const fresh = make("figure", {}, figure(name, [...rows.entries()].sort((a, b) => a[0] - b[0]).slice(-MOST)), make("figcaption", {}, name));
      const old = this.drawn.get(key);
      old ? old.replaceWith(fresh) : this.section.querySelector(".curves").append(fresh);
      this.drawn.set(key, fresh);
    }
    this.section.hidden = this.drawn.size === 0;
  }
}

function figure(name, points) {
  const steps = points.map(point => point[0]), losses = points.map(point => point[1]);
  const low = Math.min(...losses), high = Math.max(...losses), span = high - low || 1;
  const first = steps[0], last = steps.at(-1), run = last - first || 1;
  const x = step => LEFT + (WIDTH - LEFT - 4) * (step - first) / run;
  const y = loss => 6 + (HEIGHT - BOTTOM - 6) * (high - loss) / span;
  const line = points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  return make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${name}: loss ${losses.at(-1).toPrecision(3)} at step ${last}` },
    make("line", { class: "rule", x1: LEFT, x2: WIDTH - 4, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    make("text", { x: LEFT - 4, y: 12, "text-anchor": "end" }, high.toPrecision(3)),
    make("text", { x: LEFT - 4, y: HEIGHT - BOTTOM, "text-anchor": "end" }, low.toPrecision(3)),
    make("text", { x: WIDTH - 4, y: HEIGHT - 3, "text-anchor": "end" }, `step ${last}`),
    make("polyline", { class: "curve", points: line }));
}
