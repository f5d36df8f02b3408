/** Lets go of what the daemon holds from its busy times, once each time it comes to rest: about half of it. */
import { trimMemory } from "../../linux/trim-memory.ts";

const PERIOD_MS = 5_000;
/** Of processor time in a period: more than watches and timers take, less than any start of a VM. */
const REST_US = 50_000;

/** Gives the function that ends it. */
export function trimWhenIdle(): () => void {
  let before = process.cpuUsage();
  let trimmed = false;
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    const isAtRest = user + system < REST_US;
    if (isAtRest && !trimmed) trimMemory();
    trimmed = isAtRest;
    before = process.cpuUsage();
  }, PERIOD_MS);
  timer.unref();
  return () => clearInterval(timer);
}
