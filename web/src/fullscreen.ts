/** Filling the screen, where the experiment asks for it: never in the way, never within a trial. */
import type { Outbox } from "./outbox";
import { screen } from "./screens";
import type { Texts } from "./texts";

export class Fullscreen {
  private left = false;

  /** From now on, the next click on a main button asks for it, and whatever comes of that is taken down. */
  constructor(
    private element: HTMLElement,
    private texts: Texts,
    private outbox: Outbox,
  ) {
    document.addEventListener("fullscreenchange", () => {
      this.left = document.fullscreenElement === null;
      outbox.add("fullscreen", { detail: this.left ? "left" : "entered" });
    });
    this.askAtClick();
  }

  /** Between two trials: who has left it may come back, or go on without. */
  async pause(): Promise<void> {
    if (!this.left) return;
    this.left = false; // asked once each time
    const { title, leftFullscreen, fullscreenAgain, fullscreenNever } = this.texts;
    const asked = screen(this.element, title, [leftFullscreen], { again: fullscreenAgain, never: fullscreenNever });
    const waiting = this.askAtClick();
    await asked;
    waiting.abort();
  }

  /** Browsers allow it only while a click or key is handled. */
  private askAtClick(): AbortController {
    const waiting = new AbortController();
    const ask = (event: Event) => {
      if (!(event.target as HTMLElement).closest("button.main")) return;
      waiting.abort();
      const page = document.documentElement;
      if (!page.requestFullscreen) this.outbox.add("fullscreen", { detail: "not offered" });
      else page.requestFullscreen().catch(() => this.outbox.add("fullscreen", { detail: "refused" }));
    };
    this.element.addEventListener("click", ask, { capture: true, signal: waiting.signal });
    return waiting;
  }
}
