// A figure as PNG: the browser draws the SVG, at twice its size, on its own page's ground.
const SCALE = 2;

async function save(button) {
  const image = new Image();
  image.src = button.dataset.png;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * SCALE;
  canvas.height = image.naturalHeight * SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise(done => canvas.toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = button.dataset.png.split("/").pop().replace(/svg$/, "png");
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Show the buttons, which need this script, and let them work wherever they appear later. */
export function offerPng() {
  for (const button of document.querySelectorAll("[data-png]")) {
    button.hidden = false;
    button.onclick = event => { event.preventDefault(); save(button); };
  }
}
