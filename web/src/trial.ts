/** A trial with an image, as a jsPsych plugin: fixation, image, mask and choices, each on a frame of the screen. */
import { ParameterType, type JsPsych, type JsPsychPlugin, type TrialType } from "jspsych";
import { watchHidden } from "./hidden";
import { iconsOf } from "./icons";
import { drawMask } from "./mask";

/** What each kind of trial is given. */
export const PARAMETERS = {
  times: { type: ParameterType.OBJECT, default: undefined },
  prompt: { type: ParameterType.STRING, default: "" },
  /** Called when the stimulus begins: on the frame on which pictures appear. */
  on_shown: { type: ParameterType.FUNCTION, default: undefined },
} as const;

/** What each kind of trial measures. */
export const DATA = {
  response: { type: ParameterType.STRING },
  timed_out: { type: ParameterType.BOOL },
  rt_ms: { type: ParameterType.FLOAT },
  stimulus_ms: { type: ParameterType.FLOAT },
  hidden_ms: { type: ParameterType.FLOAT },
  timing_ok: { type: ParameterType.BOOL },
} as const;

const info = {
  name: "image-choice",
  version: "1.0.0",
  parameters: {
    image: { type: ParameterType.OBJECT, default: undefined },
    mask_seed: { type: ParameterType.INT, default: 0 },
    labels: { type: ParameterType.STRING, array: true, default: undefined },
    ...PARAMETERS,
  },
  data: {
    ...DATA,
    fixation_ms: { type: ParameterType.FLOAT },
    mask_ms: { type: ParameterType.FLOAT },
    refresh_hz: { type: ParameterType.FLOAT },
    dropped_frames: { type: ParameterType.INT },
  },
} as const;

export interface Times {
  blank_ms: number;
  fixation_ms: number;
  stimulus_ms: number;
  mask_ms: number;
  deadline_ms: number | null;
}

/** When each part appeared, ms of the frame clock. */
interface Onsets {
  fixation: number;
  stimulus: number;
  mask: number;
  choices: number;
  /** How long after the begin of its frame the latest of them was drawn, ms. */
  latest: number;
}

export default class ImageChoice implements JsPsychPlugin<typeof info> {
  static info = info;

  constructor(private jsPsych: JsPsych) {}

  async trial(element: HTMLElement, trial: TrialType<typeof info>): Promise<void> {
    const times = trial.times as Times;
    await ready(element, trial.prompt ?? "");
    const hidden = watchHidden();
    const frame = await frameMs();
    const { box, parts } = stage(element, trial.image as HTMLImageElement, trial.mask_seed ?? 0);
    const frames: number[] = [];
    const onsets = await run(parts, times, frame, frames, () => (trial.on_shown as () => void)());
    box.remove();
    const { response, at } = await choose(element, trial.labels as string[], times.deadline_ms);
    const hidden_ms = hidden();
    const measured = {
      fixation_ms: onsets.stimulus - onsets.fixation,
      stimulus_ms: onsets.mask - onsets.stimulus,
      mask_ms: onsets.choices - onsets.mask,
    };
    const wanted = { fixation_ms: times.fixation_ms, stimulus_ms: times.stimulus_ms, mask_ms: times.mask_ms };
    const names = Object.keys(wanted) as (keyof typeof wanted)[];
    this.jsPsych.finishTrial({
      response,
      timed_out: response === null,
      rt_ms: round(at - onsets.choices),
      ...Object.fromEntries(names.map((name) => [name, round(measured[name])])),
      hidden_ms: round(hidden_ms),
      refresh_hz: round(1000 / frame),
      dropped_frames: frames.filter((gap) => gap > 1.5 * frame).length,
      timing_ok: hidden_ms === 0 && onsets.latest <= frame && names.every((name) => Math.abs(measured[name] - wanted[name]) <= frame),
    });
  }
}

/** Wait until the participant asks for the stimulus. */
export function ready(element: HTMLElement, prompt: string): Promise<void> {
  element.innerHTML = `<div class="screen"><button class="main" type="button"></button></div>`;
  const button = element.querySelector("button")!;
  button.textContent = prompt;
  button.focus();
  return new Promise((resolve) => button.addEventListener("click", () => resolve(), { once: true }));
}

let shortest = Infinity;

/** How long a frame of this screen is: the shortest median of ten that was met, as a busy computer makes them longer. */
export async function frameMs(): Promise<number> {
  const gaps: number[] = [];
  for (let last = await nextFrame(); gaps.length < 10; ) {
    const now = await nextFrame();
    gaps.push(now - last);
    last = now;
  }
  shortest = Math.min(shortest, gaps.sort((a, b) => a - b)[5]!);
  return shortest;
}

export const nextFrame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));

type Part = "fixation" | "image" | "mask";

function stage(element: HTMLElement, image: HTMLImageElement, seed: number) {
  element.innerHTML = `<div class="trial watching"><div class="shown" aria-hidden="true"></div></div>`;
  const box = element.firstElementChild as HTMLElement;
  const shown = box.firstElementChild as HTMLElement;
  const fixation = document.createElement("div");
  fixation.className = "fixation";
  fixation.textContent = "+";
  const mask = document.createElement("canvas");
  [mask.width, mask.height] = [image.naturalWidth, image.naturalHeight];
  drawMask(mask, seed);
  const parts: Record<Part, HTMLElement> = { fixation, image, mask };
  shown.append(fixation, image, mask);
  return { box, parts };
}

/** Show the parts one after another; each begins on a frame. */
async function run(
  parts: Record<Part, HTMLElement>,
  times: Times,
  frame: number,
  frames: number[],
  onShown: () => void,
): Promise<Onsets> {
  let latest = 0;
  // The clock of frames does not tell that the page was too busy to draw one in time.
  const show = (name: Part | null, frameBegan: number) => {
    latest = Math.max(latest, performance.now() - frameBegan);
    for (const [part, node] of Object.entries(parts)) node.classList.toggle("now", part === name);
  };
  // A part is replaced on the frame that is nearest to its end.
  const until = async (begin: number, duration: number): Promise<number> => {
    for (let last = begin; ; ) {
      const now = await nextFrame();
      frames.push(now - last);
      last = now;
      if (now - begin >= duration - frame / 2) return now;
    }
  };
  const blank = await nextFrame();
  const fixation = await until(blank, times.blank_ms);
  show("fixation", fixation);
  const stimulus = await until(fixation, times.fixation_ms);
  show("image", stimulus);
  onShown();
  const mask = await until(stimulus, times.stimulus_ms);
  show("mask", mask);
  const choices = await until(mask, times.mask_ms);
  show(null, choices);
  return { fixation, stimulus, mask, choices, latest };
}

/** Let the participant choose one of the labels, which may be named otherwise; null where the time is over. */
export function choose(
  element: HTMLElement,
  labels: string[],
  deadline: number | null,
  names: string[] = labels,
): Promise<{ response: string | null; at: number }> {
  const columns = names === labels ? Math.ceil(Math.sqrt(labels.length)) : 1;
  const icons = iconsOf(names);
  const grid = document.createElement("div");
  grid.className = "choices";
  grid.setAttribute("role", "group");
  grid.style.setProperty("--columns", String(columns));
  names.forEach((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = icons?.[i] ?? "";
    button.append(name);
    grid.append(button);
  });
  element.replaceChildren(grid);
  const buttons = [...grid.querySelectorAll("button")];
  buttons[0]!.focus({ preventScroll: true });
  const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  return new Promise((resolve) => {
    const timer = deadline === null ? 0 : window.setTimeout(() => end(null, performance.now()), deadline);
    const end = (response: string | null, at: number) => {
      window.clearTimeout(timer);
      grid.remove();
      resolve({ response, at });
    };
    grid.addEventListener("click", (event) => {
      const button = (event.target as HTMLElement).closest("button");
      if (button) end(labels[buttons.indexOf(button)]!, event.timeStamp);
    });
    grid.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const place = buttons.indexOf(document.activeElement as HTMLButtonElement) + step;
      buttons[Math.max(0, Math.min(buttons.length - 1, place))]!.focus();
    });
  });
}

export const round = (value: number): number => Math.round(Math.max(0, value) * 10) / 10;
