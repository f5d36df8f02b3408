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
  readonly #unmet: string[] = [];

  expect(holds: boolean, otherwise: string): void {
    if (!holds) this.#unmet.push(otherwise);
  }

  /** @throws Unmet */
  conclude(): void {
    if (this.#unmet.length > 0) throw new Unmet([...new Set(this.#unmet)].join("; "));
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

/** Of a guarantee that was checked several times: the first that does not hold. */
export function together(verdicts: readonly Verdict[]): Verdict {
  return (
    verdicts.find(({ broke }) => broke !== undefined) ??
    verdicts.find(({ holds }) => holds === "no") ??
    verdicts.find(({ note }) => note !== undefined) ??
    verdicts[0] ??
    notApplicable("was not checked")
  );
}
