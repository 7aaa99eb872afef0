/** The page on a JATOS server: what our own server does, done in the browser by means of jatos.js. Answers are not
 * judged here, as nothing here may know what is right. */
import { persist, RequestError, talkTo, type Left, type Server } from "./outbox";

interface Jatos {
  studyResultId: string | number;
  httpTimeout: number;
  httpRetry: number;
  batchSession: { get(name: string): unknown; set(name: string, value: unknown): PromiseLike<unknown> };
  onLoad(callback: () => void): void;
  appendResultData(data: string): PromiseLike<unknown>;
  endStudy(successful: boolean): unknown;
  endStudyAjax(successful: boolean, message: string): PromiseLike<unknown>;
  abortStudyAjax(message: string): PromiseLike<unknown>;
}

declare const jatos: Jatos;

interface Row {
  trial: number;
  phase: string;
  block: number;
  media: string;
  mask: number;
  /** Of practice only. */
  label?: string;
}

interface Experiment {
  study: string;
  lists: number;
  unanswered: "skip" | "repeat";
  declined: { code: string | null; url: string | null };
  page: Record<string, unknown>;
}

/** What outlives a reload of the page. */
interface Kept {
  /** Who writes a line; nobody else may know it. */
  run: string;
  /** By which the browser knows its list in what all browsers of the batch can read. */
  ticket: string;
  state: string;
  keep: boolean;
  list: number | null;
  seq: number;
  shown: number[];
  answered: number[];
  forms: string[];
  environment: unknown;
}

interface Happened {
  seq: number;
  type: string;
  trial?: number;
  form?: string;
}

type Dealt = Record<string, { turn: number; ticket: string }>;

const TIMEOUT_MS = 20_000;
const LAST = 1_000_000;

class OnJatos implements Server {
  private readonly key = `metamers-${jatos.studyResultId}`;
  private kept: Kept;
  private rows: Row[] = [];

  constructor(private experiment: Experiment) {
    this.kept = JSON.parse(sessionStorage.getItem(this.key) ?? "null") ?? {
      ...{ run: random(), ticket: random(), state: "created", keep: true, list: null, seq: 0 },
      ...{ shown: [], answered: [], forms: [], environment: {} },
    };
  }

  async post<T>(path: string, message: unknown): Promise<T> {
    const routes: Record<string, (message: never) => Promise<unknown>> = {
      "/api/open": (told: { environment: unknown }) => this.open(told.environment),
      "/api/consent": (told: Record<string, string>) => this.consent(told),
      "/api/events": (told: { lease: string; events: Happened[] }) => this.take(told.lease, told.events),
      "/api/finish": (told: { last_seq: number }) => this.end("finished", { finish: { last_seq: told.last_seq } }),
      "/api/withdraw": (told: { keep: boolean }) => this.withdraw(told.keep),
    };
    return routes[path]!(message as never) as Promise<T>;
  }

  media(name: string): string {
    return `media/${name}`;
  }

  /** In the form of JATOS's results, so that both are imported alike. */
  file({ lease, last_seq, events }: Left) {
    const lines = [...events.map((event) => ({ event })), { finish: { last_seq } }];
    return { name: `metamers-${lease.slice(0, 8)}.txt`, content: written(lease, lines) };
  }

  ended(state: string): (() => void) | null {
    // JATOS leads on from here: to its end page, or to the address that the study has for it.
    const leaving = () => within(Promise.resolve(jatos.endStudy(true)));
    if (state === "finished") return () => void persist(leaving, () => {});
    const over = () => within(this.kept.keep ? jatos.endStudyAjax(false, state) : jatos.abortStudyAjax(state));
    void persist(over, () => {});
    return null;
  }

  private async open(environment: unknown) {
    if (this.kept.state === "created") this.change({ environment });
    if (this.kept.state === "running") {
      await this.append([{ reopen: { after: this.kept.seq } }]);
      await this.load();
    }
    return { ...this.describe(), lease: this.kept.run, session: this.kept.run, experiment: this.experiment.page };
  }

  private async consent(consent: Record<string, string>) {
    if (this.kept.state !== "created") return this.describe();
    const agreed = consent.decision === "agreed";
    if (agreed && this.kept.list === null) this.change({ list: await this.deal() });
    const { list, environment } = this.kept;
    const begin = { begin: { study: this.experiment.study, list, consent, environment } };
    if (!agreed) return this.end("declined", begin);
    await this.load();
    await this.append([begin]);
    this.change({ state: "running" });
    return this.describe();
  }

  /** A list that nobody has, or else that which was given longest ago. JATOS takes a change of what a batch shares only
   * from who has seen the change before it, so that no two participants are given the same. */
  private async deal(): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const dealt = (jatos.batchSession.get("dealt") ?? {}) as Dealt;
      // It may be there although JATOS did not answer in time.
      const mine = Object.keys(dealt).find((list) => dealt[list]!.ticket === this.kept.ticket);
      if (mine !== undefined) return Number(mine);
      const turns = Array.from({ length: this.experiment.lists }, (_, list) => dealt[list]?.turn ?? 0);
      const list = turns.indexOf(Math.min(...turns));
      const turn = 1 + Math.max(...turns);
      try {
        await within(jatos.batchSession.set("dealt", { ...dealt, [list]: { turn, ticket: this.kept.ticket } }));
        return list;
      } catch (error) {
        if (attempt === 20) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100 + 400 * Math.random()));
      }
    }
  }

  private async take(lease: string, events: Happened[]) {
    if (lease !== this.kept.run) throw new RequestError(409, { reason: "in_use" });
    const { state } = this.kept;
    if (state !== "running") return { ack: events.at(-1)!.seq, state, feedback: {}, not_needed: [] };
    const fresh = events.filter((event) => event.seq > this.kept.seq);
    if (fresh.length) await this.append(fresh.map((event) => ({ event })));
    const trials = (type: string) => fresh.filter((event) => event.type === type).map((event) => event.trial!);
    this.change({
      seq: Math.max(this.kept.seq, events.at(-1)!.seq),
      shown: [...this.kept.shown, ...trials("shown")],
      answered: [...this.kept.answered, ...trials("answered")],
      forms: [...this.kept.forms, ...fresh.filter((event) => event.type === "form").map((event) => event.form!)],
    });
    const answered = new Set(events.filter((event) => event.type === "answered").map((event) => event.trial));
    const practice = this.rows.filter((row) => row.label !== undefined && answered.has(row.trial));
    const feedback = Object.fromEntries(practice.map((row) => [row.trial, row.label]));
    return { ack: this.kept.seq, state, feedback, not_needed: [] };
  }

  private async withdraw(keep: boolean) {
    this.change({ keep });
    return this.end("withdrawn", { withdraw: { keep } });
  }

  private async end(state: string, line: object) {
    await this.append([line]);
    this.change({ state });
    return this.describe();
  }

  private describe() {
    const { state, seq, forms } = this.kept;
    const ended = state === "declined" ? this.experiment.declined : {};
    return { state, mode: "live", last_seq: seq, forms, trials: this.left(), ...ended };
  }

  /** As our own server has it: what was shown and not answered is over, or comes once more, at the end. */
  private left(): Row[] {
    const { shown, answered } = this.kept;
    const times = (row: Row) => shown.filter((trial) => trial === row.trial).length;
    const waiting = this.rows.filter((row) => !answered.includes(row.trial) && !times(row));
    const again = (row: Row) => row.phase === "main" && times(row) === 1 && !answered.includes(row.trial);
    if (this.experiment.unanswered === "skip") return waiting;
    return [...waiting, ...this.rows.filter(again).map((row) => ({ ...row, block: row.block + LAST }))];
  }

  private async load(): Promise<void> {
    this.rows = await get<Row[]>(`lists/${this.kept.list}.json`);
  }

  private async append(lines: object[]): Promise<void> {
    await within(jatos.appendResultData(written(this.kept.run, lines)));
  }

  private change(values: Partial<Kept>): void {
    this.kept = { ...this.kept, ...values };
    try {
      sessionStorage.setItem(this.key, JSON.stringify(this.kept));
    } catch {
      // Without storage, a page that is loaded again begins anew.
    }
  }
}

const written = (run: string, lines: object[]): string =>
  lines.map((line) => `${JSON.stringify({ run, ...line })}\n`).join("");

/** jatos.js has been known not to answer at all. Throws what it says, or that it said nothing in time. */
async function within(asked: PromiseLike<unknown>): Promise<void> {
  let timer = 0;
  const late = new Promise((_, reject) => {
    timer = window.setTimeout(() => reject(new Error("JATOS does not answer")), 2 * TIMEOUT_MS);
  });
  try {
    await Promise.race([asked, late]);
  } finally {
    window.clearTimeout(timer);
  }
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new RequestError(response.status, {});
  return response.json();
}

function random(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

jatos.onLoad(async () => {
  // The page tries again by itself, and in order.
  jatos.httpTimeout = TIMEOUT_MS;
  jatos.httpRetry = 0;
  talkTo(new OnJatos(await persist(() => get<Experiment>("experiment.json"), () => {})));
  await import("./main");
});
