"""Looking at a page as a test does: what it asked for and complained of, and what a reader could not see or name."""

from __future__ import annotations

import shutil

from playwright.sync_api import BrowserContext

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Told:
    """What a browser complained of, and whom it asked; both must stay as they should be."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self._url = url
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda said: self._said(said.type, said.text))
        context.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self._url, "data:", "blob:")):
            self.foreign.append(url)

    def _said(self, type: str, text: str) -> None:
        # A spec that is wrong and a page that is not there are answered with 4xx, which a browser notes.
        if type == "error" and "server responded with a status of 4" not in text:
            self.complaints.append(text)


# Let every figure load and every fold open, as a reader would.
EVERYTHING = """async () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  await Promise.all(images.map(image => image.decode()));
}"""

# The lowest contrast ratio (WCAG 2.1) of text against what lies behind it, and the text.
CONTRAST = """() => {
  const parts = text => text.match(/[0-9.]+/g).map(Number);
  const light = text => {
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = parts(text).slice(0, 3).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor, alpha = parts(colour)[3];
      if (alpha === undefined || alpha > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const shown = node => node.checkVisibility() && !node.closest("svg, :disabled, .hidden, .skip, option")
    && [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
  const ratios = [...document.querySelectorAll("body *")].filter(shown).map(node => {
    const ink = light(getComputedStyle(node).color), ground = light(behind(node));
    return [(Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05), node.textContent.trim().slice(0, 60)];
  });
  return ratios.reduce((low, one) => one[0] < low[0] ? one : low);
}"""

# Controls, links and pictures without a name for a screen reader.
NAMELESS = """() => {
  const kinds = "button, input:not([type=hidden]), select, textarea, a, summary, img, progress";
  const named = node => node.getAttribute("aria-label") || node.getAttribute("alt") || node.textContent.trim()
    || node.labels?.length;
  return [...document.querySelectorAll(kinds)].filter(node => !named(node)).map(node => node.outerHTML);
}"""
