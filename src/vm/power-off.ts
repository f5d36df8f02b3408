/**
 * Asking a guest to power off, politely: through its agent when one is connected, then by the ACPI power button,
 * pressed again now and then because a guest that is still booting does not hear it.
 */
import { messageOf } from "../base/errors.ts";
import type { Libvirt } from "./libvirt.ts";

/** After the agent was asked; a guest that began to shut down ignores the button. */
const FIRST_PRESS_MS = 2_000;
const NEXT_PRESS_MS = 5_000;

export interface PowerOff {
  readonly connected: boolean;
  readonly graceSeconds: number;
  readonly off: Promise<void>;
  readonly log: (message: string) => void;
}

/** @returns whether the guest was off within the grace. */
export async function askToPowerOff(libvirt: Libvirt, request: PowerOff): Promise<boolean> {
  const { connected, graceSeconds, off, log } = request;
  const ask = (by: "agent" | "acpi") => {
    // Not waited for: an agent that hangs would hold up the button.
    libvirt.askShutdown(by).catch((problem) => log(messageOf(problem)));
  };
  let timer: NodeJS.Timeout | undefined;
  const press = () => {
    ask("acpi");
    timer = setTimeout(press, NEXT_PRESS_MS);
  };
  if (connected) {
    ask("agent");
    timer = setTimeout(press, FIRST_PRESS_MS);
  } else {
    press();
  }
  let deadline: NodeJS.Timeout | undefined;
  const expired = new Promise<boolean>((resolve) => {
    deadline = setTimeout(() => resolve(false), graceSeconds * 1000);
  });
  const inTime = await Promise.race([off.then(() => true), expired]);
  clearTimeout(deadline);
  clearTimeout(timer);
  return inTime;
}
