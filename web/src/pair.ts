/** A trial with a picture and two candidates, as a jsPsych plugin: all are seen until one candidate is chosen. */
import { ParameterType, type JsPsych, type JsPsychPlugin, type TrialType } from "jspsych";
import { watchHidden } from "./hidden";
import type { Texts } from "./texts";
import { DATA, frameMs, nextFrame, PARAMETERS, ready, round, type Times } from "./trial";

const info = {
  name: "image-pair",
  version: "1.0.0",
  parameters: {
    /** The reference, the first and the second candidate. */
    images: { type: ParameterType.OBJECT, array: true, default: undefined },
    values: { type: ParameterType.STRING, array: true, default: undefined },
    texts: { type: ParameterType.OBJECT, default: undefined },
    ...PARAMETERS,
  },
  data: {
    ...DATA,
    refresh_hz: { type: ParameterType.FLOAT },
  },
} as const;

/** Keys that choose a candidate at once. */
const KEYS: Record<string, number> = { ArrowLeft: 0, ArrowRight: 1, "1": 0, "2": 1 };

export class ImagePair implements JsPsychPlugin<typeof info> {
  static info = info;

  constructor(private jsPsych: JsPsych) {}

  async trial(element: HTMLElement, trial: TrialType<typeof info>): Promise<void> {
    const times = trial.times as Times;
    await ready(element, trial.prompt ?? "");
    const frame = await frameMs();
    element.replaceChildren();
    const blank = await nextFrame();
    let shown = blank;
    while (shown - blank < times.blank_ms - frame / 2) shown = await nextFrame();
    const hidden = watchHidden();
    const choice = choosePair(element, trial.values as string[], trial.texts as Texts, times.deadline_ms, trial.images as HTMLImageElement[]);
    const late = performance.now() - shown;
    (trial.on_shown as () => void)();
    const { response, at } = await choice;
    const hidden_ms = round(hidden());
    this.jsPsych.finishTrial({
      response,
      timed_out: response === null,
      rt_ms: round(at - shown),
      stimulus_ms: round(at - shown),
      hidden_ms,
      refresh_hz: round(1000 / frame),
      timing_ok: hidden_ms === 0 && late <= frame,
    });
  }
}

/** Let the participant choose one of two candidates, which may be seen below their reference; null where the time is
 * over. */
export function choosePair(
  element: HTMLElement,
  values: string[],
  texts: Texts,
  deadline: number | null,
  images: HTMLImageElement[] = [],
): Promise<{ response: string | null; at: number }> {
  const box = document.createElement("div");
  box.className = "pair";
  box.setAttribute("role", "group");
  // Neither of the buttons has the focus, so that no key that is held down chooses one.
  box.tabIndex = -1;
  const question = document.createElement("p");
  question.id = "question";
  question.textContent = texts.question;
  box.setAttribute("aria-labelledby", question.id);
  const [reference, ...candidates] = images;
  const row = document.createElement("div");
  const buttons = texts.candidates.map((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    if (candidates[i]) button.append(candidates[i]);
    button.append(name);
    return button;
  });
  row.append(...buttons);
  box.append(...(reference ? [reference] : []), question, row);
  element.replaceChildren(box);
  box.focus({ preventScroll: true });
  return new Promise((resolve) => {
    const timer = deadline === null ? 0 : window.setTimeout(() => end(null, performance.now()), deadline);
    const end = (place: number | null, at: number) => {
      window.clearTimeout(timer);
      box.remove();
      resolve({ response: place === null ? null : values[place]!, at });
    };
    buttons.forEach((button, i) => button.addEventListener("click", (event) => end(i, event.timeStamp)));
    box.addEventListener("keydown", (event) => {
      const place = KEYS[event.key];
      if (place === undefined || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      end(place, event.timeStamp);
    });
  });
}
