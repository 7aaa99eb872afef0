/** Pictures of choices: plain shapes in the color of the text, on a field of 48 x 48. */

/** What is drawn, each over the one before. */
interface Drawing {
  /** Filled. */
  solid?: string;
  /** Drawn with a thick pen. */
  line?: string;
  /** Filled with the color of the ground. */
  hole?: string;
  /** Drawn with a thin pen in the color of the ground. */
  cut?: string;
  /** Filled, within a hole. */
  dot?: string;
}

const disc = (x: number, y: number, across: number, down = across): string =>
  `M${x - across} ${y}a${across} ${down} 0 1 0 ${2 * across} 0a${across} ${down} 0 1 0 ${-2 * across} 0z`;

const bar = (x: number, y: number, width: number, height: number): string => `M${x} ${y}h${width}v${height}h${-width}z`;

const DRAWINGS: Record<string, Drawing> = {
  airplane: {
    solid: "M24 2c2.2 0 3.6 3 3.6 7v9L46 29.500V34l-18.4-5.500V38l5.4 4.300V46L24 43.5 15 46v-3.700l5.4-4.300v-9.500L2 34v-4.500L20.4 18V9c0-4 1.4-7 3.6-7z",
  },
  anchor: {
    line: `${disc(24, 8, 4)}M24 12v31M14 19h20M7 28c1 10 8 15.5 17 15.500S40 38 41 28`,
    solid: "M2 33l5.5-9 6 8.500zM46 33l-5.5-9-6 8.500z",
  },
  bear: {
    solid: disc(10.5, 12, 7.5) + disc(37.5, 12, 7.5) + disc(24, 27, 19, 18),
    hole: disc(10.5, 12, 3) + disc(37.5, 12, 3) + disc(24, 34, 10, 8) + disc(16.5, 22.5, 2.2) + disc(31.5, 22.5, 2.2),
    dot: `${disc(24, 31.5, 5, 3.3)}M23 34h2v4h-2z`,
  },
  bicycle: {
    line: `${disc(10.5, 31, 8.5)}${disc(37.5, 31, 8.5)}M10.5 31l7.5-13h14L22 31zM22 31l-5.5-18M12.5 12.500h8M37.5 31L30.5 11.500h6.5`,
  },
  bird: {
    solid: "M31 6a9.5 9.5 0 0 1 9.2 7.500L47 17l-6.5 2.500C40 31 32 38 21.5 38c-3 0-6-.7-8.5-2L1 40l6-10C13 28 18 20 22 13.5 23.5 9 27 6 31 6z",
    line: "M19 37v7h4M27 36v8h4",
    cut: "M32 21.500c-1 6-7 10-15 9.5",
    hole: disc(33, 14, 1.9),
  },
  boat: {
    solid: "M3 34h42l-7 11H11zM26 2c9 6 14 15 16 27H26zM21.5 8v21H6c6-5 12-12 15.5-21z",
    line: "M24 5v28",
  },
  bottle: {
    solid: "M20 2h8v11c0 4.5 6 6.5 6 13v17a3 3 0 0 1-3 3H17a3 3 0 0 1-3-3V26c0-6.5 6-8.5 6-13z",
    cut: "M19 8h10",
    hole: bar(18, 27, 12, 10),
  },
  car: {
    solid: `M2 35v-8c0-3 2-4.5 5-5l3.5-.6L17 12.500c1.2-1.6 2.5-2.3 4.5-2.300H31c2 0 3.5.7 4.7 2.300L41.5 21c3.5.7 4.5 2.5 4.5 6v8z`,
    hole: `${disc(12.5, 35, 7)}${disc(35.5, 35, 7)}M16 21l5-6.800h3.500V21zM28 14.200h3c1 0 1.5.3 2.2 1.200L37 21h-9z`,
    dot: disc(12.5, 35, 5) + disc(35.5, 35, 5),
  },
  cat: {
    solid: "M8.5 4l9.5 8.300c4-1.1 8-1.1 12 0L39.5 4c1.9 8 2.3 14 1.3 20C39.5 36.5 33 43 24 43S8.5 36.5 7.2 24C6.2 18 6.6 12 8.5 4z",
    hole: `${disc(16.5, 24, 2.8, 3.6)}${disc(31.5, 24, 2.8, 3.6)}M20.5 31h7L24 35z`,
    cut: "M24 35v1.500M18 38c3 1.5 6 .5 6-1.5 0 2 3 3 6 1.5",
    line: "M1.5 27l5 1.500M1.5 36l5.5-1M46.5 27l-5 1.500M46.5 36l-5.5-1",
  },
  chair: {
    solid: "M9 3h23v7H9zM9 14.500h23v4.500H9zM9 25h23l9 6.500V36H16v-4.500z",
    line: "M10.5 4.500v37M30.5 4.500V26M17.5 35v10M39.5 35v10M30.5 37v4.5",
  },
  clock: {
    line: `${disc(24, 24, 20.5)}M24 11v13l8.5 5.5`,
    solid: bar(22.5, 5, 3, 4) + bar(22.5, 39, 3, 4) + bar(5, 22.5, 4, 3) + bar(39, 22.5, 4, 3),
  },
  cloud: {
    solid: "M13 39a10.5 10.5 0 0 1-1.5-20.900A14 14 0 0 1 38 19.5 10 10 0 0 1 37 39z",
  },
  cup: {
    solid: "M6 19h28v13c0 5-3.5 8-8 8H14c-4.5 0-8-3-8-8zM3 42.500h34V46H3z",
    line: "M34 23h4.500a5 5 0 0 1 0 10.500H33M14 4c-3 4 3 6 0 10M25 4c-3 4 3 6 0 10",
  },
  dog: {
    solid: "M14 6c6-2.5 14-2.5 20 0 6-3 11 1 12.5 8 1.3 7 .5 16-4 17-2 .5-3.2-.5-4-2C37 38 31 45.5 24 45.500S10.5 38 9.5 29c-.8 1.5-2 2.5-4 2-4.5-1-5.3-10-4-17C3 7 8 3 14 6z",
    cut: "M14.5 7C12 11.5 10.2 19 9.8 28M33.5 7C36 11.5 37.8 19 38.2 28",
    hole: `${disc(18, 20, 2.4)}${disc(30, 20, 2.4)}M24 25c5 0 8.5 3.5 8.5 8.5 0 5.5-3.5 9-8.5 9s-8.5-3.5-8.5-9c0-5 3.5-8.5 8.5-8.500z`,
    dot: `${disc(24, 29.5, 5.2, 3.6)}M23 32h2v3h4.500v3.500c0 5-11 5-11 0V35H23z`,
  },
  elephant: {
    solid: "M15 8c6-2.5 16-2 22 .5 6.5 2.5 9 9 9 16.500v18h-8.500V32c-4 1.5-9 1.5-13 0v11H16V31C9 30.5 4.5 25 4.5 18.5 4.5 12.5 9 8.5 15 8z",
    line: "M7 20C4.5 27 4 33 5 37c1 4.5 6.5 4.5 7 0M45.5 20c1.5 3 1.5 7 .5 10",
    cut: "M20 9.500c7 0 10.5 4.5 10.5 10 0 5-3 8.5-6.5 8.5-4.5 0-7-5-7-10.5",
    hole: disc(12, 16.5, 1.8),
  },
  flower: {
    line: "M24 24v21M24 41c2-6 7-9 13-9-1 6-6 9-13 9z",
    solid: disc(24, 8.5, 5.5) + disc(33.5, 14, 5.5) + disc(33.5, 23, 5.5) + disc(24, 27.5, 5.5) + disc(14.5, 23, 5.5) + disc(14.5, 14, 5.5) + disc(24, 18, 8),
    hole: disc(24, 18, 4.5),
  },
  heart: {
    solid: "M24 44C10 33 2.5 26 2.5 16.5 2.5 9.5 7.5 5 13.5 5c4.5 0 8 2.2 10.5 6.500C26.5 7.2 30 5 34.5 5c6 0 11 4.5 11 11.500C45.5 26 38 33 24 44z",
  },
  keyboard: {
    solid: "M4 11h40a3 3 0 0 1 3 3v20a3 3 0 0 1-3 3H4a3 3 0 0 1-3-3V14a3 3 0 0 1 3-3z",
    hole: [5, 11, 17, 23, 29, 35].flatMap((x) => [bar(x, 15, 4, 4), bar(x + 2, 21.5, 4, 4)]).join("") + bar(5, 28, 4, 4) + bar(11.5, 28, 25, 4) + bar(39, 28, 4, 4),
  },
  knife: {
    solid: "M15.5 23.2L38.2 1c2.6 12.9-1.3 24-11.6 33.500zM13.2 26.200l7.3 7.300L9.8 44.300q-2.2 2.1-4.3 0l-3.1-3q-2.1-2.2 0-4.400z",
    hole: disc(13, 33.7, 1.6) + disc(8.2, 38.4, 1.6),
  },
  knight: {
    solid: "M10 41h28v5H10zM13 39c0-8 8-10 8-17-3 2.5-6 3-8 5.5-1.5 2-4.5 1.5-6-1L5 23l7-10c1-2 2.5-3 4.5-4L18 3l4.5 5C33 9 38 17 37 28c-.4 4-1 7-1 11z",
    hole: disc(18.5, 14, 1.8),
  },
  music: {
    solid: `${disc(10.5, 39, 7, 5.5)}${disc(36, 34, 7, 5.5)}M14 8l29-6v9l-29 6z`,
    line: "M15.7 38V10M41.3 33V5",
  },
  oven: {
    solid: "M7 2h34a3 3 0 0 1 3 3v36a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3V5a3 3 0 0 1 3-3zM7 43h6v4H7zM35 43h6v4h-6z",
    hole: disc(10.5, 7.5, 2.3) + disc(18, 7.5, 2.3) + disc(30, 7.5, 2.3) + disc(37.5, 7.5, 2.3) + bar(9, 22, 30, 17),
    cut: "M4 13h40M13 17.500h22",
    dot: "M12 36.500v-2h24v2zM15 33c0-5 4-7.5 9-7.500s9 2.5 9 7.500z",
  },
  scissors: {
    line: `${disc(11, 38, 6.5)}${disc(37, 38, 6.5)}M15 32.500L34 3M33 32.500L14 3`,
    solid: "M24 17L34.5 1.5 37 7 27 22.500zM24 17L13.5 1.5 11 7l10 15.500z",
  },
  skull: {
    solid: "M24 2c12 0 20 8 20 18.5 0 6-2.5 10-7 13V43a3 3 0 0 1-3 3H14a3 3 0 0 1-3-3v-9.500c-4.5-3-7-7-7-13C4 10 12 2 24 2z",
    hole: `${disc(15.5, 22, 5.5, 6)}${disc(32.5, 22, 5.5, 6)}M24 28l3.5 6.500h-7z`,
    cut: "M18 39v8M24 39v8M30 39v8",
  },
  snowman: {
    solid: `${disc(24, 34, 13.5, 12.5)}${disc(24, 16.5, 8.5)}${bar(13, 7.5, 22, 3)}${bar(17.5, 0.5, 13, 8)}`,
    line: "M11 29L2.5 22M37 29l8.5-7",
    hole: `${disc(21, 15, 1.3)}${disc(27, 15, 1.3)}${disc(24, 28.5, 1.5)}${disc(24, 34, 1.5)}${disc(24, 39.5, 1.5)}M23 17.500l7 1.5-7 1.500z`,
  },
  star: {
    solid: "M24 1.500l6.6 14.7 16 1.7-12 10.7 3.4 15.700L24 36.2 10 44.300l3.4-15.7-12-10.7 16-1.700z",
  },
  sun: {
    solid: disc(24, 24, 10),
    line: "M24 3v6M24 39v6M3 24h6M39 24h6M9.2 9.200l4.2 4.200M34.6 34.600l4.2 4.200M9.2 38.800l4.2-4.200M34.6 13.400l4.2-4.2",
  },
  telephone: {
    solid: "M2 17C2 9 11 5 24 5s22 4 22 12v3H34.500v-5.500h-21V20H2zM15 18h4v3h10v-3h4v3.500c5 3 9 10 10 21.500H5C6 31.5 10 24.5 15 21.500z",
    hole: disc(24, 31, 7.5),
    dot: disc(24, 31, 3),
  },
  truck: {
    solid: `${bar(1, 9, 28, 26)}M31 16h8c1 0 2 .5 2.6 1.300L47 25v10H31z`,
    hole: `${disc(10.5, 36, 6.5)}${disc(37, 36, 6.5)}M34 19h4.500l4.5 6.500h-9z`,
    dot: disc(10.5, 36, 4.5) + disc(37, 36, 4.5),
  },
  umbrella: {
    solid: "M24 4c12 0 21 8.5 22 21-2-2.5-4.5-3.7-7-3.700S34 22.5 32 25c-2-2.5-5-3.7-8-3.700S18 22.5 16 25c-2-2.5-4.5-3.7-7-3.700S4 22.5 2 25C3 12.5 12 4 24 4z",
    line: "M24 2v37.500a5 5 0 0 0 10 0",
  },
};

const PENS: Record<keyof Drawing, string> = {
  solid: `fill="currentColor"`,
  line: `fill="none" stroke="currentColor" stroke-width="3"`,
  hole: `fill="var(--paper)"`,
  cut: `fill="none" stroke="var(--paper)" stroke-width="2"`,
  dot: `fill="currentColor"`,
};

/** The pictures of labels, for the eye alone; none where a label has none, so that no choice stands out. */
export function iconsOf(labels: readonly string[]): string[] | null {
  const drawings = labels.map((label) => DRAWINGS[label.toLowerCase()]);
  return drawings.every((drawing) => drawing !== undefined) ? drawings.map(drawn) : null;
}

function drawn(drawing: Drawing): string {
  const pens = Object.keys(PENS) as (keyof Drawing)[];
  const paths = pens.filter((pen) => drawing[pen]).map((pen) => `<path ${PENS[pen]} d="${drawing[pen]}"/>`);
  return `<svg class="icon" viewBox="0 0 48 48" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths.join("")}</svg>`;
}
