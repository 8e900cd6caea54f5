/** Ticks in a worker: a page in the background may run its timers once a second only, a worker's keep their pace. */
import { nextTick } from "./schedule";

let timer: ReturnType<typeof setTimeout> | undefined;

self.onmessage = (event: MessageEvent<{ intervalMs: number | null }>) => {
  clearTimeout(timer);
  const { intervalMs } = event.data;
  if (intervalMs === null) return;
  const startedAtMs = performance.now();
  const plan = (after: number) => {
    const { index, delayMs } = nextTick(startedAtMs, intervalMs, performance.now(), after);
    timer = setTimeout(() => {
      self.postMessage(null);
      plan(index);
    }, delayMs);
  };
  plan(-1);
};
