// Plain data as YAML: mappings of mappings on lines of their own, the innermost in braces, as people write specs.
const PLAIN = /^[A-Za-z][A-Za-z0-9_./@+-]*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;

function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value);
}

const given = value => Object.entries(value).filter(([, item]) => item !== undefined);
const isMapping = value => typeof value === "object" && value !== null && !Array.isArray(value);

function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (isMapping(value)) return `{${given(value).map(([name, item]) => `${scalar(name)}: ${flow(item)}`).join(", ")}}`;
  return scalar(value);
}

export function yaml(data) {
  return given(data).map(([name, value]) => {
    const nested = isMapping(value) && given(value).length && given(value).every(([, item]) => isMapping(item));
    if (!nested) return `${scalar(name)}: ${flow(value)}\n`;
    return `${scalar(name)}:\n` + given(value).map(([inner, item]) => `  ${scalar(inner)}: ${flow(item)}\n`).join("");
  }).join("");
}
