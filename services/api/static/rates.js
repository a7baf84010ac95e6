// How fast stages go, from what was heard of them in the last minute, and how long the rest may take.
const WINDOW_MS = 60_000;
/** As many stages that ended tell the pace of those to come. */
const PACE = 12;

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export class Rates {
  constructor() {
    this.heard = new Map();
  }

  note(stage) {
    const time = Date.now();
    const seen = this.heard.get(stage.key) || [];
    if (seen.length && stage.progress.done < seen.at(-1).done) seen.length = 0;
    seen.push({ time, done: stage.progress.done });
    while (seen.length > 2 && time - seen[0].time > WINDOW_MS) seen.shift();
    this.heard.set(stage.key, seen);
  }

  /** Rows a second; null until two moments are known. */
  rate(stage) {
    const seen = this.heard.get(stage.key) || [];
    const first = seen[0], last = seen.at(-1);
    if (!first || last.time - first.time < 1000 || last.done <= first.done) return null;
    return (last.done - first.done) / ((last.time - first.time) / 1000);
  }

  words(stage) {
    const { done, total } = stage.progress, rate = this.rate(stage);
    if (!total) return "";
    const amount = `${Math.round(done).toLocaleString("en")} of ${Math.round(total).toLocaleString("en")}`;
    if (!rate) return amount;
    const speed = rate >= 10 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1);
    return `${amount}, ${speed} a second, ${duration((total - done) / rate)} left`;
  }

  /** The stages still to come, at the pace of the last that this experiment did itself. */
  left(stages) {
    const all = [...stages];
    const open = all.filter(stage => !["committed", "failed", "cancelled"].includes(stage.state)).length;
    if (!open) return "–";
    const ends = all.filter(stage => stage.finished && !stage.reused).map(stage => Date.parse(stage.finished));
    const last = ends.sort((a, b) => a - b).slice(-PACE), passed = (Date.now() - last[0]) / 1000;
    if (last.length < 3 || passed < 5) return "not known yet";
    return `about ${duration((passed / (last.length - 1)) * open)}, at the pace of late`;
  }
}
