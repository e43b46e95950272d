// A tile in this page: its image, which mask every pixel belongs to, and the map of its classes, painted anew at will.

const UNLABELLED = [42, 47, 56];
const GUESSED = 0.45; // of a class's colour where only the classifier says so
const EDGE = 0.72;

export class Raster {
  constructor(image, labels, width, height) {
    Object.assign(this, { image, labels, width, height });
    this.edge = edgesOf(labels, width, height);
    this.map = new OffscreenCanvas(width, height);
    this.rim = new OffscreenCanvas(width, height);
  }

  static async load(api, tile) {
    const [image, labels] = await Promise.all([picture(api, `/tiles/${tile}/image`), picture(api, `/tiles/${tile}/labels`)]);
    const { width, height } = labels;
    const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    canvas.drawImage(labels, 0, 0);
    const bytes = canvas.getImageData(0, 0, width, height).data;
    const numbers = new Int32Array(width * height);
    for (let n = 0; n < numbers.length; n++) numbers[n] = bytes[4 * n] | (bytes[4 * n + 1] << 8) | (bytes[4 * n + 2] << 16);
    return new Raster(image, numbers, width, height);
  }

  // The label under a place in pixels, 0 for none.
  at(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= this.width || row >= this.height) return 0;
    return this.labels[row * this.width + column];
  }

  // Paint the classes: `colours` by label, each [red, green, blue] or null, and whether a person said so.
  paint(colours, said) {
    const data = new ImageData(this.width, this.height);
    for (let n = 0; n < this.labels.length; n++) {
      const label = this.labels[n];
      const colour = (label && colours[label]) || UNLABELLED;
      const share = label && colours[label] && !said[label] ? GUESSED : 1;
      const light = this.edge[n] ? EDGE : 1;
      for (let band = 0; band < 3; band++) {
        data.data[4 * n + band] = light * (share * colour[band] + (1 - share) * UNLABELLED[band]);
      }
      data.data[4 * n + 3] = 255;
    }
    this.map.getContext("2d").putImageData(data, 0, 0);
  }

  // Outline a mask in yellow; 0 outlines none. Returns the middle of its pixels, or null.
  outline(label) {
    const data = new ImageData(this.width, this.height);
    let [x, y, pixels] = [0, 0, 0];
    for (let n = 0; label && n < this.labels.length; n++) {
      if (this.labels[n] !== label) continue;
      x += n % this.width;
      y += Math.floor(n / this.width);
      pixels += 1;
      if (this.edge[n]) data.data.set([255, 221, 0, 255], 4 * n);
    }
    this.rim.getContext("2d").putImageData(data, 0, 0);
    return pixels ? { x: x / pixels, y: y / pixels } : null;
  }
}

async function picture(api, path) {
  return createImageBitmap(await api.blob(path), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}

// Pixels that touch another mask.
function edgesOf(labels, width, height) {
  const edge = new Uint8Array(labels.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const n = row * width + column;
      if (column + 1 < width && labels[n] !== labels[n + 1]) edge[n] = edge[n + 1] = 1;
      if (row + 1 < height && labels[n] !== labels[n + width]) edge[n] = edge[n + width] = 1;
    }
  }
  return edge;
}
