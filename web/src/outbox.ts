/** What happened, numbered, kept in this browser until the server has it, and sent one message at a time. */

export interface Told {
  ack: number;
  state: string;
  feedback: Record<string, string>;
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
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

/** Ask the server. Throws RequestError for what it refuses, TypeError without a connection. */
export async function post<T>(path: string, message: unknown): Promise<T> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(message),
    signal: AbortSignal.timeout(20_000),
  });
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new RequestError(response.status, told);
  return told as T;
}

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

export class Outbox {
  private waiting: Record<string, unknown>[];
  private sending: Promise<void> | null = null;
  state = "running";
  readonly feedback: Record<string, string> = {};
  /** Told whether the last attempt to send came through. */
  onConnection: (connected: boolean) => void = () => {};

  constructor(
    readonly lease: string,
    private seq: number,
  ) {
    this.waiting = Outbox.left(lease);
    this.seq = Math.max(seq, ...this.waiting.map((event) => event["seq"] as number));
  }

  /** What a tab with this lease had not sent. */
  static left(lease: string): Record<string, unknown>[] {
    try {
      return JSON.parse(localStorage.getItem(`outbox-${lease}`) ?? "[]");
    } catch {
      return [];
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
    this.seq += 1;
    this.waiting.push({ seq: this.seq, type, t_ms: Math.round(performance.now() * 10) / 10, ...more });
    this.keep();
    void this.flush();
  }

  /** Resolves once the server has all. */
  async flush(): Promise<void> {
    while (this.waiting.length) {
      this.sending ??= this.send().finally(() => (this.sending = null));
      await this.sending;
    }
  }

  private async send(): Promise<void> {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      try {
        const told = await post<Told>("/api/events", { lease: this.lease, events: this.waiting.slice(0, MOST) });
        this.onConnection(true);
        this.state = told.state;
        Object.assign(this.feedback, told.feedback);
        // What the server refuses it will refuse again; the session's state tells what is to be done.
        const done = told.refused ? Infinity : told.ack;
        this.waiting = this.waiting.filter((event) => (event["seq"] as number) > done);
        if (told.refused) this.seq = told.ack;
        this.keep();
        return;
      } catch (error) {
        if (error instanceof RequestError && error.status < 500 && error.status !== 429) throw error;
        this.onConnection(false);
        await pause(wait * (0.75 + Math.random() / 2));
      }
    }
  }

  private keep(): void {
    try {
      const key = `outbox-${this.lease}`;
      if (this.waiting.length) localStorage.setItem(key, JSON.stringify(this.waiting));
      else localStorage.removeItem(key);
    } catch {
      // Without storage, what is not sent is lost when the page is closed; it is still sent from memory.
    }
  }
}
