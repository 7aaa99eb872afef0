/** A participant's way through an experiment. */
import { initJsPsych } from "jspsych";
import { Fullscreen } from "./fullscreen";
import { Outbox, persist, post, RequestError, server } from "./outbox";
import { ImagePair } from "./pair";
import { button, comments, demographics, ending, offerFile, screen } from "./screens";
import { inARow, SoundTrial } from "./sound";
import { chosenLanguage, type OwnTexts, textsFor, type Texts } from "./texts";
import ImageChoice, { type Times } from "./trial";

interface Trial {
  trial: number;
  phase: "headphones" | "practice" | "screening" | "main";
  block: number;
  media: string;
  mask: number;
  /** Of the two that are compared with `media`. */
  candidates?: string[];
}

type Files = (HTMLImageElement | AudioBuffer)[];

interface Session {
  state: string;
  mode: string;
  forms?: string[];
  last_seq: number;
  code?: string | null;
  url?: string | null;
  trials?: Trial[];
  lease?: string;
  session?: string;
  late?: boolean;
  experiment?: { task: string; labels: string[]; times: Times; demographics: boolean; fullscreen: boolean; texts: OwnTexts };
}

const LEAST_SIDE = 480;
const HEARTBEAT_MS = 20_000;
const AT_ONCE = 6;
/** Of the files, the share that may fail before the session is given up. */
const MOST_FAILED = 0.05;
/** After so long without saving, what is not saved is offered as a file. */
const OFFER_AFTER_MS = 120_000;

let language = chosenLanguage();
let texts = textsFor(language, "image");
document.documentElement.lang = language;
const element = document.getElementById("stage")!;

const ask = <T>(path: string, message: unknown): Promise<T> =>
  post<T>(path, message, (connected) => tell(connected ? "" : texts.offline));

async function main(): Promise<void> {
  let session = await open();
  const { task, texts: own } = session.experiment!;
  language = chosenLanguage(own);
  texts = textsFor(language, task, own);
  document.documentElement.lang = language;
  document.title = texts.title;
  if (session.state === "created") session = { ...session, ...(await consent()) };
  if (session.state !== "running") return end(session);
  const outbox = new Outbox(session.lease!, session.last_seq, (connected) => tell(connected ? "" : texts.offline), fail);
  const watching = new AbortController();
  watchWindow(outbox, watching.signal);
  offerToLeave(session.lease!);
  const filling = session.experiment!.fullscreen ? new Fullscreen(element, texts, outbox) : null;
  if (session.experiment!.demographics && !session.forms!.includes("demographics"))
    outbox.add("form", { form: "demographics", items: await demographics(element, texts) });
  const whole = await goThrough(session, outbox, filling);
  if (whole) {
    const said = await comments(element, texts);
    if (said) outbox.add("form", { form: "comments", items: { comments: said } });
  }
  watching.abort();
  outbox.close();
  const finish = async () => {
    await outbox.flush();
    return ask<Session>("/api/finish", { lease: outbox.lease, last_seq: outbox.lastSeq });
  };
  const last = await saved(session, outbox, finish());
  leave.hidden = true;
  end({ ...session, ...last });
}

/** The last screen. In a laboratory, the next participant may begin from there. */
function end(session: Session): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  ending(element, texts, session);
  const leaveBy = server.ended(session.state);
  if (leaveBy) element.querySelector(".screen")!.append(button(texts.go, leaveBy));
  if (session.mode !== "lab") return;
  const next = async () => {
    sessionStorage.clear();
    await ask("/api/sessions", { recruited: { source: "lab" } });
    location.reload();
  };
  element.querySelector(".screen")!.append(button(texts.nextParticipant, next));
}

/** The session of this browser, or a new one, in this tab. What was not sent before is sent first. */
async function open(): Promise<Session> {
  const known = new URLSearchParams(location.search);
  const id = known.get("PROLIFIC_PID") || null;
  const same = sessionStorage.getItem("participant") === id;
  const lease = same ? sessionStorage.getItem("lease") : null;
  const tried = same ? sessionStorage.getItem("tried") : null;
  await Outbox.sendLeft((connected) => tell(connected ? "" : texts.offline));
  const begin = async () => {
    const refs = { study_ref: known.get("STUDY_ID"), session_ref: known.get("SESSION_ID") };
    await ask("/api/sessions", id ? { recruited: { source: "prolific", external_id: id, ...refs } } : {});
  };
  const take = () => {
    // Known before the server is asked: a page that is loaded again before the reply has the session all the same.
    const next_lease = tried ?? newLease();
    sessionStorage.setItem("tried", next_lease);
    if (id) sessionStorage.setItem("participant", id);
    return ask<Session>("/api/open", { lease, next_lease, environment: environment() });
  };
  if (id && !lease && !tried) await begin();
  const session = await take().catch(async (error: unknown) => {
    if (!(error instanceof RequestError) || error.status !== 404) throw error;
    await begin();
    return take();
  });
  if (session.lease) sessionStorage.setItem("lease", session.lease);
  sessionStorage.removeItem("tried");
  return session;
}

const newLease = (): string => [...crypto.getRandomValues(new Uint8Array(16))].map(hex).join("");

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

async function consent(): Promise<Partial<Session>> {
  const agree = { agreed: texts.agree, declined: texts.decline };
  while (isTouchOnly() || Math.min(innerWidth, innerHeight) < LEAST_SIDE) {
    void screen(element, texts.unsuited, []);
    await new Promise((resolve) => addEventListener("resize", resolve, { once: true }));
  }
  const decision = await screen(element, texts.title, texts.consent, agree);
  return ask<Session>("/api/consent", { decision, language, text_hash: await hash(texts.consent.join("\n")) });
}

/** A telephone or a tablet, whose screen is small, held at any distance and turned by chance. */
const isTouchOnly = (): boolean =>
  matchMedia("(any-pointer: coarse)").matches && !matchMedia("(any-pointer: fine)").matches;

/** All trials that are left; whether the experiment went to its end. */
async function goThrough(session: Session, outbox: Outbox, filling: Fullscreen | null): Promise<boolean> {
  const { labels, times, task } = session.experiment!;
  const blocks = Map.groupBy(session.trials!, (trial) => trial.block);
  let phase = "";
  let failed = 0;
  for (const trials of blocks.values()) {
    const first = trials[0]!;
    if (outbox.notNeeded.includes(first.trial)) continue;
    const heard = !task.startsWith("image") || first.phase === "headphones";
    tell("");
    const files = load<HTMLImageElement | AudioBuffer>(trials, heard ? loadSound : loadImage);
    const { practice, screening, mainPart: main } = texts;
    // Where it is not the first block, the check was failed before.
    const headphones = first.block ? texts.headphonesAgain : texts.headphones;
    const intro = { headphones, practice, screening, main }[first.phase];
    const begins = first.phase !== "headphones" && ["", "headphones"].includes(phase);
    const paragraphs = phase === "main" ? [texts.pause] : [...(begins ? texts.instructions : []), intro];
    await screen(element, texts.title, paragraphs, { go: texts.go });
    phase = first.phase;
    for (const trial of trials) {
      await filling?.pause();
      const loaded = await files.get(trial.trial)!;
      let said: unknown = null;
      if (loaded === null) {
        outbox.add("shown", { trial: trial.trial });
        outbox.add("answered", { trial: trial.trial, answer: { response: null, media_ok: false } });
      } else {
        const choices = trial.phase === "headphones" ? null : labels;
        said = await show(trial, stimulusOf(trial, loaded, choices, task), times, outbox);
      }
      failed += Number(loaded === null);
      if (failed > 2 && failed > MOST_FAILED * session.trials!.length) throw new Error("too many files cannot be shown");
      if (trial.phase === "practice" && loaded !== null) await feedback(trial, said, outbox);
    }
    await saved(session, outbox, outbox.flush());
    if (outbox.state !== "running") return false;
  }
  return true;
}

/** Wait for what saves the answers. Where that fails for long, they can be taken as a file meanwhile. */
async function saved<T>(session: Session, outbox: Outbox, saving: Promise<T>): Promise<T> {
  tell(texts.saving);
  const offer = () => offerFile(element, texts, () => server.file(outbox.left(session.session!)));
  const timer = setTimeout(offer, OFFER_AFTER_MS);
  try {
    return await saving;
  } finally {
    clearTimeout(timer);
    tell("");
  }
}

/** What jsPsych needs for the stimulus of a trial; without choices, for a headphone check. */
function stimulusOf(trial: Trial, files: Files, choices: string[] | null, task: string) {
  const file = files[0]!;
  if (trial.candidates && file instanceof HTMLImageElement)
    return { type: ImagePair, images: files, values: choices, texts };
  if (trial.candidates)
    return { type: SoundTrial, sound: inARow(files as AudioBuffer[]), values: choices, names: texts.candidates, pair: true, texts };
  if (file instanceof HTMLImageElement)
    return { type: ImageChoice, image: file, mask_seed: trial.mask, labels: choices ?? [] };
  const names = choices ?? texts.quietest;
  const values = choices ?? ["1", "2", "3"];
  return { type: SoundTrial, sound: file, values, names, typed: task === "word" && choices !== null, texts };
}

type Shown = ReturnType<typeof stimulusOf>;

/** Show a trial; what was answered. */
async function show(trial: Trial, stimulus: Shown, times: Times, outbox: Outbox): Promise<unknown> {
  let said: unknown = null;
  element.replaceChildren();
  document.body.classList.add("trials");
  const jsPsych = initJsPsych({ display_element: element });
  await jsPsych.run([
    {
      ...stimulus,
      times,
      prompt: texts.next,
      on_shown: () => outbox.add("shown", { trial: trial.trial }),
      on_finish: ({ response, timed_out, rt_ms, ...measured }: Record<string, unknown>) => {
        const names = ["fixation_ms", "stimulus_ms", "mask_ms", "hidden_ms", "refresh_hz", "dropped_frames", "timing_ok", "media_ok", "output_latency_ms"];
        const kept = Object.fromEntries(names.map((name) => [name, measured[name]]));
        outbox.add("answered", { trial: trial.trial, answer: { response, timed_out, rt_ms, ...kept } });
        said = response;
      },
    },
  ]);
  return said;
}

async function feedback(trial: Trial, said: unknown, outbox: Outbox): Promise<void> {
  await outbox.flush();
  const label = outbox.feedback[String(trial.trial)];
  if (!label) return;
  const told = trial.candidates ? texts.same[label as keyof Texts["same"]] : `${texts.rightChoice}: ${label}`;
  const right = String(said).trim().toLowerCase() === label.toLowerCase();
  const read = screen(element, right ? texts.right : texts.wrong, [told], { go: texts.go });
  document.body.classList.add("trials"); // the light does not change between one trial and the next
  await read;
}

/** The files of each trial of a block, loaded a few at a time; null where one cannot be shown after three tries. */
function load<T>(trials: Trial[], decode: (content: Blob) => Promise<T>): Map<number, Promise<T[] | null>> {
  const lines: Promise<unknown>[] = Array.from({ length: AT_ONCE }, () => Promise.resolve());
  return new Map(
    trials.map((trial, i) => {
      const media = [trial.media, ...(trial.candidates ?? [])];
      const files = lines[i % AT_ONCE]!.then(() => Promise.all(media.map((one) => loadOne(one, decode))));
      lines[i % AT_ONCE] = files;
      return [trial.trial, files.then((all) => (all.some((one) => one === null) ? null : (all as T[])))];
    }),
  );
}

async function loadOne<T>(media: string, decode: (content: Blob) => Promise<T>): Promise<T | null> {
  const get = async () => {
    const response = await fetch(server.media(media), { signal: AbortSignal.timeout(20_000) });
    if (!response.ok) throw new RequestError(response.status, {});
    return response.blob();
  };
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      // Without a connection, it waits; only a file that is not there, or is none, is given up.
      return await decode(await persist(get, (connected) => tell(connected ? "" : texts.offline)));
    } catch (error) {
      console.warn(`file ${media}: ${String(error)}`);
    }
  }
  return null;
}

async function loadImage(content: Blob): Promise<HTMLImageElement> {
  const image = new Image();
  image.alt = "";
  image.src = URL.createObjectURL(content);
  await image.decode();
  return image;
}

async function loadSound(content: Blob): Promise<AudioBuffer> {
  // Decoded without a sound card, at the rate of most.
  return new OfflineAudioContext(2, 1, 48_000).decodeAudioData(await content.arrayBuffer());
}

/** Take down what happens to the window, and show the server that the tab is there. */
function watchWindow(outbox: Outbox, signal: AbortSignal): void {
  const seen = () => outbox.add(document.hidden ? "hidden" : "visible");
  addEventListener("focus", () => outbox.add("focus"), { signal });
  addEventListener("blur", () => outbox.add("blur"), { signal });
  addEventListener("resize", () => outbox.add("resize", { detail: `${innerWidth} x ${innerHeight}` }), { signal });
  document.addEventListener("visibilitychange", seen, { signal });
  addEventListener("error", (event) => outbox.add("error", { detail: event.message.slice(0, 500) }), { signal });
  const timer = setInterval(seen, HEARTBEAT_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

const leave = document.getElementById("leave") as HTMLButtonElement;

function offerToLeave(lease: string): void {
  leave.textContent = texts.leave;
  leave.hidden = false;
  leave.addEventListener("click", async () => {
    const dialog = document.createElement("dialog");
    document.body.append(dialog);
    const choice = screen(dialog, texts.leaveAsk, [texts.leaveStays], {
      stay: texts.stay,
      keep: texts.leaveKeep,
      delete: texts.leaveDelete,
    });
    dialog.showModal();
    const chosen = await choice;
    dialog.remove();
    if (chosen === "stay") return;
    await ask("/api/withdraw", { lease, keep: chosen === "keep" });
    location.reload(); // the server tells the end
  });
}

function tell(message: string): void {
  document.getElementById("connection")!.textContent = message;
}

function environment() {
  const agent = navigator.userAgent;
  // The specific names first: each browser also names those that it descends from.
  const browser = /(Firefox|Edg|OPR)\/(\d+)/.exec(agent) ?? /(Chrome)\/(\d+)/.exec(agent) ?? /Version\/(\d+).*(Safari)/.exec(agent);
  const [family, major] = browser?.[2] === "Safari" ? [browser[2], browser[1]] : [browser?.[1], browser?.[2]];
  return {
    tz_offset_min: -new Date().getTimezoneOffset(),
    viewport_w_px: innerWidth,
    viewport_h_px: innerHeight,
    screen_w_px: screenSize().width,
    screen_h_px: screenSize().height,
    dpr: devicePixelRatio,
    os_family: (/Windows|Android|iPhone|iPad|CrOS/.exec(agent) ?? /Mac OS|Linux/.exec(agent))?.[0] ?? "other",
    browser_family: family ?? "other",
    browser_major: Number(major ?? 0),
  };
}

const screenSize = () => window.screen;

async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map(hex).join("");
}

/** Nothing can go on: say so at once, so that no answer is given in vain. */
function fail(error: unknown): void {
  const inUse = error instanceof RequestError && error.told.reason === "in_use";
  leave.hidden = true;
  // A new element: whatever was going on goes on out of sight.
  const stage = document.createElement("main");
  element.replaceWith(stage);
  void screen(stage, inUse ? texts.inUse : texts.failed, []);
  if (!inUse) console.error(error);
}

main().catch(fail);
