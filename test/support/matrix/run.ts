/**
 * The whole matrix: every binding on every stack, side by side. A VM's life: made, used, rebooted; the engine killed
 * under all of them at once; taken down, made anew, and made once for each other MTU.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Binding } from "../../../src/plan/binding.ts";
import {
  checkMtu,
  checkNothingToDo,
  checkOut,
  checkReached,
  checkStillThere,
  serveInGuest,
} from "./checks.ts";
import { askDhcpcd, askLastingClients, askUdhcpcAndDhclient, type Lessees, type Told } from "./clients.ts";
import { type Engine, startEngine } from "./engine.ts";
import { checkForged, notJudged } from "./forged.ts";
import {
  type Bench,
  createMachine,
  destroyMachine,
  type Guest,
  type Machine,
  NETNS_FOLDER,
  openBench,
  Scope,
  startGuest,
  stopGuest,
} from "./machine.ts";
import { makeSegments, type Segment, type SegmentKind, type Stack } from "./segments.ts";
import { notApplicable, together, Unmet, type Verdict, verdictOf } from "./verdict.ts";

export const GUARANTEES = [
  "address",
  "out",
  "in",
  "guest reboot",
  "VM restart",
  "daemon killed",
  "MTU",
  "forgery",
  "applied twice",
  "teardown",
] as const;

export type Guarantee = (typeof GUARANTEES)[number];

export interface Subject {
  readonly binding: Binding;
  readonly stack: Stack;
}

export type Row = Readonly<Record<Guarantee, Verdict>>;

export const STACKS = ["v4", "v6", "dual"] as const satisfies readonly Stack[];
const USUAL_MTU = 1500;
export const OTHER_MTUS = [1400, 9000] as const;
/** VMs that are looked at at a time: they wait more than they work, but on an emulated processor. */
const AT_ONCE = availableParallelism() > 1 ? 10 : 3;

/** @param folder for all that the pods leave, empty */
export async function runMatrix(
  subjects: readonly Subject[],
  folder: string,
): Promise<ReadonlyMap<Subject, Row>> {
  // `ip netns add` would mount it on itself, and with it once more what was there before.
  mkdirSync(NETNS_FOLDER, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", NETNS_FOLDER]);
  const scope = new Scope();
  let engine: Engine = startEngine();
  scope.after(() => engine.kill());
  try {
    const segments = await makeSegments(scope, kindsFor(subjects), folder);
    const bench = openBench(folder, () => engine);
    const trials = subjects.map((subject) => new Trial(bench, subject, segments));
    await severally(trials, (trial) => trial.live());
    await engine.kill();
    engine = startEngine();
    await severally(trials, (trial) => trial.outliveTheEngine());
    await severally(trials, (trial) => trial.startOver());
    return new Map(trials.map((trial) => [trial.subject, trial.row()]));
  } finally {
    await scope.end();
  }
}

/** The case that a check was of, and what it leaves out. */
interface About {
  readonly of?: string;
  readonly note?: string | undefined;
}

interface Finding {
  readonly verdict: Verdict;
  readonly of?: string;
}

class Trial {
  readonly subject: Subject;
  readonly #bench: Bench;
  readonly #segments: readonly Segment[];
  readonly #found: { [G in Guarantee]?: readonly Finding[] } = {};
  #machine: Machine | undefined;
  #guest: Guest | undefined;
  #lessees: Lessees | undefined;

  constructor(bench: Bench, subject: Subject, segments: readonly Segment[]) {
    this.#bench = bench;
    this.subject = subject;
    this.#segments = segments;
  }

  row(): Row {
    const first = this.#found.address?.[0]?.verdict ?? notApplicable("was not looked at");
    // A guest without an address is asked for nothing more.
    const otherwise = first.holds === "not applicable" ? first : notApplicable("needs an address");
    const cell = (one: Guarantee): Verdict => together(this.#found[one] ?? [{ verdict: otherwise }]);
    return Object.fromEntries(GUARANTEES.map((one) => [one, cell(one)])) as Row;
  }

  /** From its making to its guest's reboot. */
  async live(): Promise<void> {
    await this.#judge("address", async () => {
      const machine = await this.#make(USUAL_MTU);
      const guest = await this.#boot(machine);
      const told = await askUdhcpcAndDhclient(machine, guest);
      return () => this.#use(machine, guest, told);
    });
    const machine = this.#machine;
    if (machine === undefined) return;
    await this.#judge("applied twice", () => checkNothingToDo(this.#bench, machine));
  }

  async outliveTheEngine(): Promise<void> {
    const [machine, guest, lessees] = [this.#machine, this.#guest, this.#lessees];
    if (machine === undefined || guest === undefined || lessees === undefined) return;
    await this.#judge("daemon killed", async () => {
      const { pod, stateDir, input } = machine;
      const again = await this.#bench.engine().call("wire", { netns: pod.path, stateDir, input });
      if (!("steps" in again) || again.steps.length > 0)
        throw new Unmet("the next one finds something to do");
      await this.#bench.engine().call("serve", { netns: pod.path, stateDir });
      await machine.medium?.replace();
      await lessees.renew();
      await checkStillThere(machine, guest, this.#isReached());
    });
  }

  /** Taken down and made anew; then once for each other MTU. */
  async startOver(): Promise<void> {
    const first = this.#machine;
    if (first === undefined) return;
    await this.#destroy();
    await this.#judge("VM restart", async () => {
      const machine = await this.#make(USUAL_MTU);
      if (machine.nic.mac !== first.nic.mac) throw new Unmet("the guest has another MAC");
      const guest = await this.#boot(machine);
      await askDhcpcd(machine, guest);
      await checkStillThere(machine, guest, this.#isReached());
    });
    await this.#destroy();
    for (const mtu of OTHER_MTUS) {
      const check = async (): Promise<void> => {
        const machine = await this.#make(mtu);
        const guest = await this.#boot(machine);
        await checkMtu(machine, guest, await askUdhcpcAndDhclient(machine, guest));
      };
      await this.#judge("MTU", check, { of: String(mtu) });
      await this.#destroy();
    }
  }

  async #use(machine: Machine, guest: Guest, told: Told): Promise<void> {
    await this.#judge("MTU", () => checkMtu(machine, guest, told), { of: String(USUAL_MTU) });
    await this.#judge("out", () => checkOut(machine, guest, told));
    await this.#judge("in", () => checkReached(machine, guest));
    await this.#judge("forgery", () => checkForged(machine, guest), { note: notJudged(machine) });
    await this.#judge("guest reboot", async () => {
      await stopGuest(guest);
      const again = await this.#boot(machine);
      this.#lessees = await askLastingClients(machine, again);
      await checkStillThere(machine, again, this.#isReached());
    });
  }

  /** What the check gives is done afterwards, when it held. */
  async #judge(guarantee: Guarantee, check: () => Promise<unknown>, about: About = {}): Promise<void> {
    let next: unknown;
    const verdict = await verdictOf(async () => {
      next = await check();
    }, about.note);
    const found = about.of === undefined ? { verdict } : { verdict, of: about.of };
    this.#found[guarantee] = [...(this.#found[guarantee] ?? []), found];
    if (typeof next === "function") await next();
  }

  #isReached(): boolean {
    return this.#found.in?.every(({ verdict }) => verdict.holds === "yes") === true;
  }

  async #make(mtu: number): Promise<Machine> {
    const { binding, stack } = this.subject;
    const kind = kindOf(binding, stack, mtu);
    const segment = this.#segments.find((one) => isSame(one, kind));
    if (segment === undefined) throw new Error(`no segment for ${JSON.stringify(kind)}`);
    this.#machine = await createMachine(this.#bench, binding, segment);
    return this.#machine;
  }

  async #boot(machine: Machine): Promise<Guest> {
    this.#guest = await startGuest(machine);
    serveInGuest(this.#guest);
    return this.#guest;
  }

  async #destroy(): Promise<void> {
    const machine = this.#machine;
    if (machine === undefined) return;
    this.#machine = undefined;
    await this.#judge("teardown", async () => {
      if (this.#guest !== undefined) await stopGuest(this.#guest);
      this.#guest = undefined;
      await destroyMachine(this.#bench, machine);
    });
  }
}

function kindsFor(subjects: readonly Subject[]): readonly SegmentKind[] {
  const kinds: SegmentKind[] = [];
  for (const { binding, stack } of subjects) {
    for (const mtu of [USUAL_MTU, ...OTHER_MTUS]) {
      const kind = kindOf(binding, stack, mtu);
      if (!kinds.some((one) => isSame(one, kind))) kinds.push(kind);
    }
  }
  return kinds;
}

function kindOf({ traits }: Binding, stack: Stack, mtu: number): SegmentKind {
  // Only who is a station of the segment can be addressed by it.
  const byTheSegment = traits.guestAddressing === "network" && traits.layer2;
  return { stack, mtu, addressing: byTheSegment ? "dhcp" : "ipam" };
}

function isSame(one: SegmentKind, other: SegmentKind): boolean {
  return one.stack === other.stack && one.mtu === other.mtu && one.addressing === other.addressing;
}

/** All of them, a few at a time; one that breaks does not stop the others. */
async function severally(trials: readonly Trial[], run: (trial: Trial) => Promise<void>): Promise<void> {
  const waiting = [...trials];
  const work = async (): Promise<void> => {
    for (let trial = waiting.shift(); trial !== undefined; trial = waiting.shift()) await run(trial);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
