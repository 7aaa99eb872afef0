/** How far an experiment is, for researchers. */

interface Summary {
  name: string;
  sessions: Record<string, Record<string, number>>;
  coverage: Record<string, { answers: Record<string, number>; least: number; most: number }>;
  excluded: { participant: string; mode: string; rule: string; value: string | number; threshold: string | number }[];
  conflicts: number;
}

const EVERY_MS = 10_000;
const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const token = find<HTMLInputElement>("token");

async function ask(path: string): Promise<Response> {
  const response = await fetch(path, { headers: { Authorization: `Bearer ${token.value.trim()}` } });
  if (!response.ok) throw new Error(response.status === 401 ? "This is not the token." : `The server says ${response.status}.`);
  return response;
}

function table(caption: string, header: string[], rows: (string | number)[][]): HTMLTableElement {
  const made = document.createElement("table");
  made.createCaption().textContent = caption;
  const head = made.createTHead().insertRow();
  for (const name of header) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = String(value);
  }
  return made;
}

async function update(): Promise<void> {
  const told = (await (await ask("/admin/api/summary")).json()) as Summary;
  find("name").textContent = told.name;
  find("at").textContent = `At ${new Date().toLocaleTimeString()}; renewed every ${EVERY_MS / 1000} s. ${told.conflicts} events were refused.`;
  const states = [...new Set(Object.values(told.sessions).flatMap((counts) => Object.keys(counts)))].sort();
  const tables = [
    table(
      "Sessions",
      ["mode", ...states],
      Object.entries(told.sessions).map(([mode, counts]) => [mode, ...states.map((state) => counts[state] ?? 0)]),
    ),
  ];
  for (const [mode, { answers, least, most }] of Object.entries(told.coverage))
    tables.push(
      table(
        `Answers of finished sessions, ${mode}; each reference in each condition: ${least} to ${most}`,
        ["condition", "answers"],
        Object.entries(answers),
      ),
    );
  tables.push(
    table(
      "Who does not count, and why",
      ["participant", "mode", "rule", "value", "needed"],
      told.excluded.map((row) => [row.participant, row.mode, row.rule, row.value, row.threshold]),
    ),
  );
  find("tables").replaceChildren(...tables);
}

find("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await update();
  } catch (error) {
    find("problem").textContent = (error as Error).message;
    return;
  }
  find("enter").hidden = true;
  find("shown").hidden = false;
  setInterval(() => update().catch((error: Error) => (find("at").textContent = error.message)), EVERY_MS);
});

find("download").addEventListener("click", async () => {
  const content = await (await ask("/admin/api/data.zip")).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = "data.zip";
  link.click();
});
