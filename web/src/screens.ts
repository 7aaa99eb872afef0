/** Screens with text: each resolves with what was chosen. */
import type { Texts } from "./texts";

/** A screen with a title, paragraphs and buttons (value: label, the first is the main one). */
export function screen(
  element: HTMLElement,
  title: string,
  paragraphs: readonly string[],
  buttons: Record<string, string> = {},
): Promise<string> {
  if (!(element instanceof HTMLDialogElement)) document.body.classList.remove("trials");
  const box = document.createElement("section");
  box.className = "screen";
  const heading = document.createElement("h1");
  heading.textContent = title;
  heading.tabIndex = -1;
  box.append(heading);
  for (const text of paragraphs) {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    box.append(paragraph);
  }
  const row = document.createElement("div");
  row.className = "row";
  box.append(row);
  element.replaceChildren(box);
  heading.focus();
  return new Promise((resolve) => {
    for (const [value, label] of Object.entries(buttons)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      if (!row.childElementCount) button.className = "main";
      button.addEventListener("click", () => resolve(value), { once: true });
      row.append(button);
    }
  });
}

/** A button of its own. */
export function button(text: string, onClick: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", onClick);
  return made;
}

/** Let the participant take a file of what cannot be sent, as it is when asked for. */
export function offerFile(element: HTMLElement, texts: Texts, file: () => { name: string; content: string }): void {
  void screen(element, texts.unsent, texts.unsentFile);
  const download = () => {
    const { name, content } = file();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  element.querySelector(".row")!.append(button(texts.download, download));
}

/** The button that hands in a form, in its row. */
export function submit(text: string): HTMLDivElement {
  const row = document.createElement("div");
  row.className = "row";
  const button = document.createElement("button");
  button.className = "main";
  button.textContent = text;
  row.append(button);
  return row;
}

/** The comments of a participant; "" without any. */
export function comments(element: HTMLElement, texts: Texts): Promise<string> {
  document.body.classList.remove("trials");
  const form = document.createElement("form");
  form.className = "screen";
  const label = document.createElement("label");
  label.textContent = texts.comments;
  const area = document.createElement("textarea");
  area.maxLength = 2000;
  area.rows = 4;
  label.append(area);
  form.append(label, submit(texts.send));
  element.replaceChildren(form);
  area.focus();
  return new Promise((resolve) =>
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      resolve(area.value);
    }),
  );
}

const AGES = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"];

/** Age and gender, each of which may be kept to oneself. */
export function demographics(element: HTMLElement, texts: Texts): Promise<Record<string, string>> {
  const form = document.createElement("form");
  form.className = "screen";
  const heading = document.createElement("h1");
  heading.textContent = texts.demographics;
  const note = document.createElement("p");
  note.textContent = texts.optional;
  const select = (name: string, text: string, choices: [string, string][]) => {
    const label = document.createElement("label");
    label.textContent = text;
    const list = document.createElement("select");
    list.name = name;
    list.append(...[["untold", texts.untold] as [string, string], ...choices].map(([value, told]) => new Option(told, value)));
    label.append(list);
    return label;
  };
  const genders = Object.entries(texts.genders);
  form.append(heading, note, select("age", texts.age, AGES.map((age) => [age, age])), select("gender", texts.gender, genders), submit(texts.go));
  element.replaceChildren(form);
  return new Promise((resolve) =>
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      resolve(Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)])));
    }),
  );
}

/** The last screen, with the code where there is one. */
export function ending(
  element: HTMLElement,
  texts: Texts,
  { state, code = null, url = null }: { state: string; code?: string | null; url?: string | null },
): void {
  const told: Record<string, string> = {
    finished: texts.done,
    screened_out: texts.screenedOut,
    declined: texts.declined,
    withdrawn: texts.withdrawn,
    expired: texts.expired,
  };
  const why = state === "finished" ? [texts.debriefing] : []; // screening has shown natural stimuli only
  void screen(element, told[state] ?? texts.failed, [...why, ...(code === null ? [] : [`${texts.code}:`])]);
  if (code === null) return;
  const shown = document.createElement("code");
  shown.textContent = code;
  const box = element.querySelector(".screen")!;
  box.append(shown);
  if (url === null) return;
  const link = document.createElement("a");
  link.href = url;
  link.textContent = texts.returnLink;
  const paragraph = document.createElement("p");
  paragraph.append(link);
  box.append(paragraph);
}
