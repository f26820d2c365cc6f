// SVG and HTML as text: elements with escaped attributes. No charts here (charts.ts).

export type Attributes = { readonly [name: string]: string | number | undefined };

export function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** `<name a="1">children</name>`; children are markup already. */
export function element(name: string, attributes: Attributes, children = ""): string {
  const text = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeText(attributeText(value))}"`)
    .join("");
  return children === "" ? `<${name}${text}/>` : `<${name}${text}>${children}</${name}>`;
}

/** Pixels need no more than a hundredth. */
function attributeText(value: string | number | undefined): string {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : String(value);
}

export type Point = { readonly x: number; readonly y: number };

export function polyline(points: readonly Point[], className: string): string {
  const text = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  return element("polyline", { points: text, class: className });
}

export function label(point: Point, text: string, attributes: Attributes = {}): string {
  return element("text", { ...point, ...attributes }, escapeText(text));
}

/** The outer element: it scales with its container and says in words what it shows. */
export function picture(
  size: { readonly width: number; readonly height: number },
  description: string,
  children: string,
): string {
  const attributes = {
    viewBox: `0 0 ${size.width} ${size.height}`,
    role: "img",
    "aria-label": description,
  };
  return element("svg", attributes, `<title>${escapeText(description)}</title>${children}`);
}
