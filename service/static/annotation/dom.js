// Makes elements: el("p", { class: "told" }, "text", other).

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function fill(place, ...children) {
  place.replaceChildren(...children.filter((child) => child != null));
}

// A strict policy forbids style attributes in the text of a page; setting them one by one is allowed.
export function styled(made, styles) {
  for (const [name, value] of Object.entries(styles)) made.style.setProperty(name, value);
  return made;
}

export const byId = (id) => document.getElementById(id);

export const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
