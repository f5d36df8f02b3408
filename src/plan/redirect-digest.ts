/** What a redirect's filters carry, so that a reader knows which plan they were made from. */
import { hexHash } from "../base/names.ts";
import type { RedirectPlan } from "./plan.ts";

/** 24 hex digits: 12 of the 16 bytes that a tc action's cookie holds. */
export function redirectDigest({ to, ...rest }: RedirectPlan): string {
  const { classifier, local, senders = null, intoPeer = false, shortcut = null } = rest;
  return hexHash(JSON.stringify([to, classifier, local, senders, intoPeer, shortcut])).slice(0, 24);
}
