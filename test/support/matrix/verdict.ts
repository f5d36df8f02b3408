/** What a check finds: a cell of the matrix. */
import { messageOf } from "../../../src/base/errors.ts";

export interface Verdict {
  readonly holds: "yes" | "no" | "not applicable";
  /** Why not, or what of it was not judged. Few words, the same in every run. */
  readonly note?: string;
  /** For whoever looks into it; not in the matrix. */
  readonly detail?: string;
  /** The check itself broke: no cell of a matrix, but a failing test. */
  readonly broke?: Error;
}

/** Between notes. */
const NEXT = "; ";

export const YES: Verdict = { holds: "yes" };

export function notApplicable(note: string): Verdict {
  return { holds: "not applicable", note };
}

/** A guarantee that does not hold, in words for users. */
export class Unmet extends Error {
  readonly detail: string | undefined;

  constructor(message: string, detail?: string) {
    super(message);
    this.detail = detail;
  }
}

/** A guarantee that this test has no means to judge. */
export class NotHere extends Error {}

/** Collects what does not hold, so that a cell names all of it. */
export class Findings {
  readonly #unmet = new Map<string, string | undefined>();

  /** @param detail what differs from run to run */
  expect(holds: boolean, otherwise: string, detail?: string): void {
    if (!holds) this.#unmet.set(otherwise, detail);
  }

  /** @throws Unmet */
  conclude(): void {
    if (this.#unmet.size === 0) return;
    const details = [...this.#unmet.values()].filter((detail) => detail !== undefined);
    throw new Unmet([...this.#unmet.keys()].join(NEXT), details.join(NEXT));
  }
}

/** @param note of what was not judged, when the rest holds */
export async function verdictOf(check: () => unknown, note?: string): Promise<Verdict> {
  try {
    await check();
    return note === undefined ? YES : { ...YES, note };
  } catch (thrown) {
    if (thrown instanceof NotHere) return notApplicable(thrown.message);
    if (thrown instanceof Unmet) {
      const { message, detail } = thrown;
      return { holds: "no", note: message, ...(detail !== undefined && { detail }) };
    }
    return {
      holds: "no",
      note: "the check broke",
      broke: thrown instanceof Error ? thrown : new Error(messageOf(thrown)),
    };
  }
}

/** A guarantee that was checked in several cases: it holds in all of them, or the note says in which it does not. */
export function together(found: readonly { readonly verdict: Verdict; readonly of?: string }[]): Verdict {
  const verdicts = found.map(({ verdict }) => verdict);
  const broken = verdicts.find(({ broke }) => broke !== undefined);
  if (broken !== undefined) return broken;
  const unmet = found.filter(({ verdict }) => verdict.holds === "no");
  if (unmet.length === 0) return verdicts.find(({ note }) => note !== undefined) ?? verdicts[0] ?? YES;
  const cases = new Map<string, readonly string[]>();
  for (const { verdict, of } of unmet) {
    for (const note of (verdict.note ?? "").split(NEXT)) {
      cases.set(note, [...(cases.get(note) ?? []), ...(of === undefined ? [] : [of])]);
    }
  }
  const notes = [...cases].map(([note, of]) =>
    of.length === 0 || of.length === found.length ? note : `${of.join(" and ")}: ${note}`,
  );
  const details = unmet.flatMap(({ verdict }) => verdict.detail ?? []);
  return { holds: "no", note: notes.join(NEXT), ...(details.length > 0 && { detail: details.join(NEXT) }) };
}
