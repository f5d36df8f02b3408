/** Kernels on which podtap does not get to the end of what it wants. */
import type { Kernel } from "../../src/apply/ports.ts";

/** Dies before its n-th step: whatever it is asked afterwards does not happen either, undoing included. */
export function dyingAt(kernel: Kernel, at: number): Kernel {
  let count = 0;
  return {
    ...kernel,
    run: (...steps) => {
      for (const step of steps) {
        if (count++ >= at) throw new Error(`killed before step ${at}`);
        kernel.run(step);
      }
    },
  };
}

/** Refuses its n-th step, once. */
export function failingAt(kernel: Kernel, at: number): Kernel {
  let count = 0;
  return {
    ...kernel,
    run: (...steps) => {
      for (const step of steps) {
        if (count++ === at) throw new Error("refused for a test");
        kernel.run(step);
      }
    },
  };
}
