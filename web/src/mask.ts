/** A mask: noise whose amplitude falls with frequency, a pure function of its seed. */
export function drawMask(canvas: HTMLCanvasElement, seed: number): void {
  const { width, height } = canvas;
  const context = canvas.getContext("2d")!;
  const random = generator(seed + 1);
  const sum = new Float32Array(width * height * 3);
  // Value noise at octaves: blocks of 1, 2, 4, ... pixels, each as strong as it is large.
  for (let size = 1; size <= Math.max(width, height) / 4; size *= 2) {
    const [across, down] = [Math.ceil(width / size), Math.ceil(height / size)];
    const values = Float32Array.from({ length: across * down * 3 }, () => random() - 0.5);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 3; c++)
          sum[(y * width + x) * 3 + c]! += values[(Math.floor(y / size) * across + Math.floor(x / size)) * 3 + c]! * size ** 0.5;
  }
  const scale = 55 / Math.sqrt(sum.reduce((total, value) => total + value * value, 0) / sum.length);
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 128 + sum[3 * i + c]! * scale;
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Mulberry32: numbers in [0, 1) from a seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
