// What several pages share: loading a page anew in the background and taking over the parts of it that changed.

/** Replace every [data-part] of this page by the same part of a fresh copy, keeping what the reader opened. */
export async function refresh(names) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-part]")) {
    const name = old.dataset.part;
    const next = fresh.querySelector(`[data-part="${name}"]`);
    if (!next || (names && !names.includes(name)) || old.innerHTML === next.innerHTML) continue;
    if (old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) continue;
    for (const details of old.querySelectorAll("details[id]")) {
      const same = next.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceChildren(...next.childNodes);
    if (focused) old.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
  return fresh;
}

/** The same function, called at most once in `ms`, and once more after the last call. */
export function calmly(ms, work) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => { timer = null; work(); }, ms);
  };
}

/** An element with text and attributes. */
export function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "polyline"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
