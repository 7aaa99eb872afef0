/** A trial with a sound, as a jsPsych plugin: it is heard once; then one of the choices is taken, or a word typed. */
import { ParameterType, type JsPsych, type JsPsychPlugin, type TrialType } from "jspsych";
import { choosePair } from "./pair";
import { submit } from "./screens";
import type { Texts } from "./texts";
import { choose, DATA, PARAMETERS, ready, round } from "./trial";

const info = {
  name: "sound-choice",
  version: "1.0.0",
  parameters: {
    sound: { type: ParameterType.OBJECT, default: undefined },
    values: { type: ParameterType.STRING, array: true, default: undefined },
    names: { type: ParameterType.STRING, array: true, default: undefined },
    /** Whether the answer is typed. */
    typed: { type: ParameterType.BOOL, default: false },
    /** Whether one of the last two of three sounds is chosen. */
    pair: { type: ParameterType.BOOL, default: false },
    texts: { type: ParameterType.OBJECT, default: undefined },
    ...PARAMETERS,
  },
  data: {
    ...DATA,
    output_latency_ms: { type: ParameterType.FLOAT },
    media_ok: { type: ParameterType.BOOL, default: true },
  },
} as const;

const AHEAD_S = 0.1;
const PAUSE_S = 0.5;
const LATE_MS = 50;
const STUCK_MS = 5000;

let card: AudioContext | undefined;

export class SoundTrial implements JsPsychPlugin<typeof info> {
  static info = info;

  constructor(private jsPsych: JsPsych) {}

  async trial(element: HTMLElement, trial: TrialType<typeof info>): Promise<void> {
    const texts = trial.texts as Texts;
    const deadline = (trial.times as { deadline_ms: number | null }).deadline_ms;
    await ready(element, trial.prompt ?? "");
    card ??= new AudioContext();
    await card.resume(); // allowed, as a click or key came just before
    element.innerHTML = `<p role="status"></p>`;
    element.firstElementChild!.textContent = texts.listen;
    let hidden = document.hidden;
    const watch = () => (hidden ||= document.hidden);
    document.addEventListener("visibilitychange", watch);
    const sound = trial.sound as AudioBuffer;
    const { begin, end } = await play(card, sound, trial.on_shown as () => void);
    if (end === null) return this.jsPsych.finishTrial({ response: null, media_ok: false });
    document.removeEventListener("visibilitychange", watch);
    const names = trial.names as string[];
    const values = trial.values as string[];
    const given = trial.typed
      ? await type(element, values, texts)
      : trial.pair
      ? await choosePair(element, values, texts, deadline)
      : await choose(element, values, deadline, sameAs(values, names));
    const lasted = end - begin;
    this.jsPsych.finishTrial({
      response: given.response,
      timed_out: given.response === null,
      rt_ms: round(given.at - begin),
      stimulus_ms: round(lasted),
      output_latency_ms: round(1000 * (card.outputLatency || 0)),
      hidden_ms: hidden ? round(lasted) : 0,
      timing_ok: !hidden && Math.abs(lasted - 1000 * sound.duration) <= LATE_MS,
    });
  }
}

/** Sounds one after another, with a pause between. */
export function inARow(sounds: AudioBuffer[]): AudioBuffer {
  const rate = sounds[0]!.sampleRate;
  const pause = Math.round(PAUSE_S * rate);
  const numberOfChannels = Math.max(...sounds.map((sound) => sound.numberOfChannels));
  const length = sounds.reduce((sum, sound) => sum + sound.length + pause, -pause);
  const row = new AudioBuffer({ numberOfChannels, length, sampleRate: rate });
  let at = 0;
  for (const sound of sounds) {
    // A sound of one channel is heard on both sides.
    for (let c = 0; c < numberOfChannels; c++)
      row.copyToChannel(sound.getChannelData(Math.min(c, sound.numberOfChannels - 1)), c, at);
    at += sound.length + pause;
  }
  return row;
}

/** Names that are the values are shown as a grid. */
const sameAs = (values: string[], names: string[]): string[] =>
  names.every((name, i) => name === values[i]) ? values : names;

/** Play a sound; when it began and ended, ms of the page's clock; end null where the sound card stopped meanwhile. */
function play(
  card: AudioContext,
  sound: AudioBuffer,
  onShown: () => void,
): Promise<{ begin: number; end: number | null }> {
  const source = card.createBufferSource();
  source.buffer = sound;
  source.connect(card.destination);
  source.start(card.currentTime + AHEAD_S);
  const begin = performance.now() + 1000 * AHEAD_S;
  onShown();
  return new Promise((resolve) => {
    source.addEventListener("ended", () => resolve({ begin, end: performance.now() }), { once: true });
    setTimeout(() => resolve({ begin, end: null }), 1000 * sound.duration + STUCK_MS);
  });
}

/** Let the participant type one of the words, whatever its case. */
function type(element: HTMLElement, words: string[], texts: Texts): Promise<{ response: string; at: number }> {
  const form = document.createElement("form");
  form.className = "screen";
  form.autocomplete = "off";
  const label = document.createElement("label");
  label.textContent = texts.typed;
  const input = document.createElement("input");
  input.setAttribute("list", "words");
  input.required = true;
  input.spellcheck = false;
  const list = document.createElement("datalist");
  list.id = "words";
  list.append(...words.map((word) => Object.assign(document.createElement("option"), { value: word })));
  label.append(input, list);
  form.append(label, submit(texts.send));
  element.replaceChildren(form);
  input.focus();
  const known = new Set(words.map((word) => word.toLowerCase()));
  const check = () => input.setCustomValidity(known.has(input.value.trim().toLowerCase()) ? "" : texts.notInList);
  input.addEventListener("input", check);
  check();
  return new Promise((resolve) =>
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      resolve({ response: input.value, at: event.timeStamp });
    }),
  );
}
