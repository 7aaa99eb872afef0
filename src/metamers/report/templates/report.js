"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("cells").textContent);
  const KINDS = ["model", "stage", "recipe", "reference", "label"];

  const cells = data.rows.map((row) => {
    const cell = {};
    KINDS.forEach((kind, i) => { cell[kind] = row[i] === null ? null : data.names[kind][row[i]]; });
    [cell.seed, cell.pearson_r, cell.spearman_rho, cell.snr_db,
      cell.null_pearson_r, cell.null_spearman_rho, cell.null_snr_db, cell.same_class] = row.slice(5, 13);
    cell.verdict = data.names.verdict[row[13]];
    cell.reason = typeof row[14] === "number" ? data.names.reason[row[14]] : row[14];
    [cell.n_steps, cell.seconds] = row.slice(15);
    return cell;
  });

  const number = (value, digits) =>
    value === null ? "\u2013" : value.toFixed(digits).replace("-", "\u2212");
  const yesNo = (value) => (value === null ? "\u2013" : value ? "yes" : "no");
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const KNOWN = ["passed", "failed", "no null", "error"];
  const verdict = (name) => make("span", name, `v ${KNOWN.includes(name) ? name.replace(" ", "-") : "error"}`);

  /* The table of verdicts: sorted, filtered, and drawn a page at a time, so that its length costs nothing. */
  const PAGE = 100;
  const measure = (name, digits) => (cell) => {
    const td = make("td", undefined, "n");
    const value = cell[name], limit = cell[`null_${name}`];
    td.append(number(value, digits));
    if (value !== null && limit !== null) {
      td.append(" ", make("small", `${value > limit ? ">" : name !== "snr_db" && value >= 1 ? "=" : "\u2264"} ${number(limit, digits)}`));
    }
    return td;
  };
  const several = data.names.recipe?.length > 1;
  const COLUMNS = [
    ["Model", "model"], ["Stage", "stage"], ...(several ? [["Recipe", "recipe"]] : []), ["Reference", "reference"], ["Label", "label"], ["Seed", "seed", "n"],
    ["Verdict", "verdict", "", (cell) => { const td = make("td"); td.append(verdict(cell.verdict)); return td; }],
    ["Pearson r", "pearson_r", "n", measure("pearson_r", 4)],
    ["Spearman rho", "spearman_rho", "n", measure("spearman_rho", 4)],
    ["SNR (dB, as published)", "snr_db", "n", measure("snr_db", 2)],
    ["Same class", "same_class", "", (cell) => make("td", yesNo(cell.same_class))],
    ["Steps", "n_steps", "n"],
    ["Seconds", "seconds", "n", (cell) => make("td", number(cell.seconds, 1), "n")],
    ["Reason", "reason", "text"],
  ];
  const order = (kind) => new Map((data.names[kind] || []).map((name, i) => [name, i]));
  const places = { stage: order("stage"), reference: order("reference") };
  const filters = { verdict: byId("f-verdict"), model: byId("f-model"), stage: byId("f-stage") };
  const state = { sort: null, down: false, page: 0, found: cells };
  const head = document.querySelector("#verdict-table thead tr");
  const body = document.querySelector("#verdict-table tbody");

  const compare = (a, b, name) => {
    const x = a[name], y = b[name];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1; /* empty values last, in both directions */
    const way = state.down ? -1 : 1;
    if (name in places) return way * (places[name].get(x) - places[name].get(y));
    return way * (typeof x === "string" ? x.localeCompare(y) : x - y);
  };
  const textOf = (cell) =>
    (cell.text ??= [...KINDS.map((kind) => cell[kind]), cell.verdict, cell.reason].join("\n").toLowerCase());

  function select() {
    const words = byId("f-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    state.found = cells.filter((cell) =>
      Object.entries(filters).every(([name, { value }]) => !value || cell[name] === value.slice(1)) &&
      words.every((word) => textOf(cell).includes(word)));
    if (state.sort) state.found.sort((a, b) => compare(a, b, state.sort));
    state.page = 0;
    show();
  }

  function show() {
    const start = state.page * PAGE, page = state.found.slice(start, start + PAGE);
    body.replaceChildren(...page.map((cell) => {
      const row = make("tr");
      row.append(...COLUMNS.map(([, name, kind, draw]) => (draw ? draw(cell) : make("td", cell[name] ?? "\u2013", kind))));
      return row;
    }));
    const total = state.found.length;
    byId("shown").textContent = total
      ? `Cells ${start + 1} to ${start + page.length} of ${total}` + (total < cells.length ? ` found among ${cells.length}` : "")
      : cells.length ? `None of the ${cells.length} cells fits the filters` : "No cells";
    byId("previous").disabled = state.page === 0;
    byId("next").disabled = start + PAGE >= total;
  }

  function buildTable() {
    COLUMNS.forEach(([title, name, kind]) => {
      const th = make("th", undefined, kind), button = make("button", title);
      th.scope = "col";
      button.type = "button";
      button.addEventListener("click", () => {
        state.down = state.sort === name && !state.down;
        state.sort = name;
        head.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        select();
      });
      th.append(button);
      head.append(th);
    });
    for (const [name, element] of Object.entries(filters)) {
      for (const value of data.names[name] || []) {
        const option = make("option", value);
        option.value = `=${value}`; /* so that an empty name is not "all" */
        element.append(option);
      }
      element.addEventListener("change", select);
    }
    const form = document.querySelector(".filters");
    byId("f-text").addEventListener("input", select);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(select));
    byId("previous").addEventListener("click", () => { state.page -= 1; show(); });
    byId("next").addEventListener("click", () => { state.page += 1; show(); });
    byId("verdict-table").hidden = false;
    select();
  }

  /* The viewer: a reference and its metamer side by side, enlarged by a whole factor. */
  const viewer = byId("viewer");
  const shown = [...document.querySelectorAll(".gallery td button[data-c]")];
  let place = 0, opener = null;

  function enlarge(image) {
    const room = Math.min((viewer.clientWidth - 60) / 2, window.innerHeight * 0.5);
    const longest = Math.max(image.naturalWidth, image.naturalHeight) || 1;
    const factor = Math.floor(room / longest);
    image.classList.toggle("small", factor >= 2);
    image.style.width = `${factor >= 1 ? factor * image.naturalWidth : (room / longest) * image.naturalWidth}px`;
  }
  function put(image, source, alt) {
    const blank = image.nextElementSibling;
    image.hidden = !source;
    blank.hidden = Boolean(source);
    image.alt = source ? alt : "";
    image.onload = () => enlarge(image);
    image.onerror = () => { image.onerror = null; if (source) image.src = source.src; };
    if (source) image.src = source.dataset.full || source.src;
    else image.removeAttribute("src");
    const sound = byId(`${image.id}-sound`);
    if (sound) {
      sound.hidden = !source?.dataset.sound;
      if (source?.dataset.sound) sound.src = source.dataset.sound;
      else sound.removeAttribute("src");
      sound.volume = 0.5; /* metamers can be louder than their references */
    }
  }
  function facts(cell) {
    const against = (value, limit, digits) => {
      const both = document.createDocumentFragment();
      both.append(number(value, digits));
      if (limit !== null) both.append(make("small", `null's maximum ${number(limit, digits)}`));
      return both;
    };
    const pairs = [
      ["Verdict", verdict(cell.verdict)],
      ["Pearson r", against(cell.pearson_r, cell.null_pearson_r, 4)],
      ["Spearman rho", against(cell.spearman_rho, cell.null_spearman_rho, 4)],
      ["SNR (dB, as published)", against(cell.snr_db, cell.null_snr_db, 2)],
      ["Same class", yesNo(cell.same_class)],
      ["Steps", cell.n_steps],
      ["Recipe, seed", `${cell.recipe}, ${cell.seed}`],
      ["Label", cell.label ?? "\u2013"],
    ];
    if (cell.reason) pairs.push(["Reason", cell.reason, "wide"]);
    byId("viewer-facts").replaceChildren(...pairs.map(([name, value, kind]) => {
      const div = make("div", undefined, kind), dd = make("dd");
      dd.append(value ?? "\u2013");
      div.append(make("dt", name), dd);
      return div;
    }));
  }
  function view(index) {
    place = Math.max(0, Math.min(shown.length - 1, index));
    const button = shown[place], cell = cells[Number(button.dataset.c)];
    byId("viewer-title").textContent = `${cell.reference}, ${cell.stage} of ${cell.model}`;
    put(byId("viewer-reference"), button.closest("tr").querySelector("th img"), `reference ${cell.reference}`);
    put(byId("viewer-metamer"), button.querySelector("img"), `${cell.stage} metamer of ${cell.reference}`);
    facts(cell);
    byId("viewer-place").textContent = `${place + 1} of ${shown.length}`;
    byId("back").disabled = place === 0;
    byId("forth").disabled = place === shown.length - 1;
  }
  function open(button) {
    opener = button;
    viewer.showModal();
    view(shown.findIndex((other) => other.dataset.c === button.dataset.c));
    byId("close").focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".gallery button[data-c]");
    if (button) open(button);
    else if (event.target === viewer) viewer.close(); /* the backdrop */
  });
  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    view(place + step);
  });
  viewer.addEventListener("close", () => {
    viewer.querySelectorAll("audio").forEach((sound) => sound.pause());
    opener?.focus();
  });
  byId("close").addEventListener("click", () => viewer.close());
  byId("back").addEventListener("click", () => view(place - 1));
  byId("forth").addEventListener("click", () => view(place + 1));
  window.addEventListener("resize", () => {
    if (viewer.open) viewer.querySelectorAll("img:not([hidden])").forEach(enlarge);
  });

  buildTable();
})();
