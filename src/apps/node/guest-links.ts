/**
 * The links that a pod's QEMU has open, by index: one that is deleted is gone for that QEMU, whatever is made under its
 * name afterwards. Noted before the guest starts, watched while it runs; a later daemon reads the note.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GuestState } from "../../cluster/local/pods/machine.ts";
import type { LinkEvent } from "../../linux/link-watch.ts";
import type { Plan } from "../../plan/plan.ts";
import type { LostLink } from "../../report/lost-links.ts";
import type { NodeNet } from "./net.ts";
import type { PodFolders } from "./sandbox-files.ts";

interface NotedLink extends LostLink {
  readonly index: number;
}

type Place = Pick<PodFolders, "netns" | "state">;

export async function noteGuestLinks(net: NodeNet, place: Place, { nics }: Plan): Promise<void> {
  const own = nics.filter(({ guestLink, links }) =>
    links.some(({ name, type }) => name === guestLink && (type === "tap" || type === "macvtap")),
  );
  const noted = await Promise.all(
    own.map(async ({ name, guestLink }): Promise<NotedLink> => {
      return { nic: name, link: guestLink, index: await net.ifIndexOf(place.netns, guestLink) };
    }),
  );
  writeFileSync(`${noteIn(place)}.new`, JSON.stringify(noted), { mode: 0o600 });
  renameSync(`${noteIn(place)}.new`, noteIn(place));
}

/** Of a guest that runs. */
export async function lostLinks(net: NodeNet, place: Place): Promise<readonly LostLink[]> {
  const noted = readNote(place);
  if (noted.length === 0) return [];
  const there = await net.call("linkIndexes", { netns: place.netns });
  return noted.filter(({ index }) => !there.includes(index)).map(({ nic, link }) => ({ nic, link }));
}

/**
 * The guest's states, and one more whenever it has lost a link.
 * @param states ends when its signal is aborted
 */
export async function* withGuestLinks(
  states: (signal: AbortSignal) => AsyncIterable<GuestState>,
  net: NodeNet,
  place: Place,
  signal: AbortSignal,
): AsyncGenerator<GuestState> {
  const watched = await watchLosses(net, place);
  // Who goes while the next state is waited for would wait with it.
  const leaving = new AbortController();
  const source = states(AbortSignal.any([signal, leaving.signal]))[Symbol.asyncIterator]();
  let next = source.next();
  try {
    let last: GuestState | undefined;
    for (;;) {
      const what = await Promise.race([next, watched.change()]);
      if (what?.done) return;
      if (what !== undefined) {
        last = what.value;
        next = source.next();
      }
      if (last === undefined) continue;
      const lost = watched.lost();
      yield lost.length === 0 ? last : { ...last, lostLinks: lost };
    }
  } finally {
    watched.close();
    leaving.abort();
    // What it ended with is nobody's any more.
    next.catch(() => undefined);
    await source.return?.();
  }
}

interface Losses {
  lost(): readonly LostLink[];
  /** Resolves at the next loss. */
  change(): Promise<undefined>;
  close(): void;
}

async function watchLosses(net: NodeNet, place: Place): Promise<Losses> {
  const noted = readNote(place);
  let lost: readonly LostLink[] = [];
  let tell = (): void => undefined;
  let change = promiseOf();
  function promiseOf(): Promise<undefined> {
    return new Promise((resolve) => {
      tell = () => resolve(undefined);
    });
  }
  const look = async (): Promise<void> => {
    const now = await lostLinks(net, place).catch(() => lost);
    if (now.length === lost.length) return;
    lost = now;
    tell();
    change = promiseOf();
  };
  const onEvent = (event: LinkEvent): void => {
    const known = event.type === "lost" || noted.some(({ index }) => index === event.link.index);
    if (known && event.type !== "changed") void look();
  };
  // A namespace that is gone has taken the guest along, which the guest's own watch tells.
  const unwatch =
    noted.length === 0 ? undefined : await net.watchLinks(place.netns, onEvent).catch(() => undefined);
  await look();
  return { lost: () => lost, change: () => change, close: () => unwatch?.() };
}

/** Empty for a guest that never started, or started before there were notes. */
function readNote(place: Place): readonly NotedLink[] {
  try {
    return JSON.parse(readFileSync(noteIn(place), "utf8")) as readonly NotedLink[];
  } catch {
    return [];
  }
}

function noteIn({ state }: Place): string {
  return join(state, "guest-links.json");
}
