/** What happened, numbered, kept in this browser until the server has it, and sent one message at a time. */

export interface Told {
  ack: number;
  state: string;
  feedback: Record<string, string>;
  not_needed: number[];
  refused?: { seq: number; reason: string };
}

export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly told: { reason?: string; ack?: number },
  ) {
    super(`${status} ${told.reason ?? ""}`);
  }
}

const MOST = 128;
const MOST_BYTES = 48_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const KEY = "outbox-";

/** Ask the server once. Throws RequestError for what it refuses, anything else for a reply that did not come, or came
 * in part only. */
async function postOnce<T>(path: string, message: unknown): Promise<T> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(message),
    signal: AbortSignal.timeout(20_000),
  });
  if (!response.ok) throw new RequestError(response.status, await response.json().catch(() => ({})));
  return (await response.json()) as T;
}

/** What the page talks to. */
export interface Server {
  /** Throws RequestError for what is refused, anything else for what may come through later. */
  post<T>(path: string, message: unknown): Promise<T>;
  /** The address of a file. */
  media(name: string): string;
  /** What a participant hands to the researcher where nothing can be sent. */
  file(left: Left): { name: string; content: string };
  /** Told of the end; what a button there does, null for none. */
  ended(state: string): (() => void) | null;
}

/** What is not sent yet. `session` is how the researcher finds the session; `lease` proves whose the events are. */
export interface Left {
  session: string;
  lease: string;
  last_seq: number;
  events: Record<string, unknown>[];
}

const ours: Server = {
  post: postOnce,
  media: (name) => `/media/${name}`,
  file: (left) => ({ name: `metamers-${left.session.slice(0, 8)}.json`, content: JSON.stringify({ version: 1, ...left }) }),
  ended: () => null,
};

export let server: Server = ours;

/** Another server, for a page that is not served by ours. */
export function talkTo(other: Server): void {
  server = other;
}

/** Whether the same may come through later. */
export const isPassing = (error: unknown): boolean =>
  !(error instanceof RequestError) || error.status >= 500 || error.status === 429;

/** Try until it comes through; `onConnection` is told of each attempt. Throws what no later attempt would mend. */
export async function persist<T>(attempt: () => Promise<T>, onConnection: (connected: boolean) => void): Promise<T> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const found = await attempt();
      onConnection(true);
      return found;
    } catch (error) {
      if (!isPassing(error)) throw error;
      onConnection(false);
      await pause(wait * (0.75 + Math.random() / 2));
    }
  }
}

/** Ask the server until it answers. Throws RequestError for what it refuses. */
export const post = <T>(path: string, message: unknown, onConnection: (connected: boolean) => void): Promise<T> =>
  persist(() => server.post<T>(path, message), onConnection);

/** Wait, but not once the connection is back. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      removeEventListener("online", end);
      resolve();
    }
    addEventListener("online", end);
  });
}

type Kept = Record<string, unknown> & { seq: number };

export class Outbox {
  private waiting: Kept[] = [];
  private sending: Promise<void> | null = null;
  private closed = false;
  private inMemoryOnly = false;
  state = "running";
  readonly feedback: Record<string, string> = {};
  /** The trials that the session does without. */
  notNeeded: number[] = [];

  /** onFatal: the server refuses what no later attempt would mend. */
  constructor(
    readonly lease: string,
    private seq: number,
    private onConnection: (connected: boolean) => void,
    private onFatal: (error: unknown) => void,
  ) {}

  /** Send what tabs of this browser that are gone had not sent, each under its own lease, as far as the server still
   * takes it. */
  static async sendLeft(onConnection: (connected: boolean) => void): Promise<void> {
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith(KEY))) {
      const left = new Outbox(key.slice(KEY.length), 0, onConnection, () => {});
      left.waiting = JSON.parse(localStorage.getItem(key) ?? "[]");
      left.inMemoryOnly = true; // whether they can be kept any longer is not noted among them
      try {
        await left.flush();
      } catch {
        // The session is in another tab's hands, or over.
      }
      localStorage.removeItem(key);
    }
  }

  get lastSeq(): number {
    return this.seq;
  }

  get unsent(): number {
    return this.waiting.length;
  }

  /** Take down that something happened; it is sent as soon as can be. */
  add(type: string, more: Record<string, unknown> = {}): void {
    if (this.closed) return;
    this.seq += 1;
    const t_ms = Math.min(86_400_000, Math.round(performance.now() * 10) / 10);
    this.waiting.push({ seq: this.seq, type, t_ms, ...more });
    this.keep();
    this.flush().catch(this.onFatal);
  }

  /** Resolves once the server has all. */
  async flush(): Promise<void> {
    while (this.waiting.length) {
      this.sending ??= this.send().finally(() => (this.sending = null));
      await this.sending;
    }
  }

  /** What the server has not acknowledged. */
  left(session: string): Left {
    return { session, lease: this.lease, last_seq: this.seq, events: [...this.waiting] };
  }

  /** Take down nothing more. */
  close(): void {
    this.closed = true;
  }

  private async send(): Promise<void> {
    const events: Kept[] = [];
    for (let bytes = 0; events.length < Math.min(MOST, this.waiting.length); ) {
      const next = this.waiting[events.length]!;
      bytes += JSON.stringify(next).length;
      if (events.length && bytes > MOST_BYTES) break;
      events.push(next);
    }
    const told = await post<Told>("/api/events", { lease: this.lease, events }, this.onConnection);
    this.state = told.state;
    Object.assign(this.feedback, told.feedback);
    this.notNeeded = told.not_needed;
    if (told.refused) throw new Error(told.refused.reason);
    if (told.ack < events[0]!.seq) throw new Error("the server lacks earlier events");
    this.waiting = this.waiting.filter((event) => event.seq > told.ack);
    if (told.state !== "running") {
      // Of a session that has ended nothing more is kept.
      this.waiting = [];
      this.close();
    }
    this.keep();
  }

  private keep(): void {
    try {
      if (this.waiting.length) localStorage.setItem(KEY + this.lease, JSON.stringify(this.waiting));
      else localStorage.removeItem(KEY + this.lease);
    } catch (error) {
      // Without storage, what is not sent is lost when the page is closed; it is still sent from memory.
      if (this.inMemoryOnly) return;
      this.inMemoryOnly = true;
      this.add("error", { detail: `kept in memory only: ${String(error)}`.slice(0, 500) });
    }
  }
}
