"""What WCAG 2.2 asks of a page, asked of the browser: contrast of its text, and the way of the tab key through it."""

from dataclasses import dataclass

CONTRAST, LARGE_CONTRAST = 4.5, 3.0  # WCAG 1.4.3; large is 24 px, or bold 18.66 px
LOST = 2.5  # times as many presses as there are things to reach: then the focus is trapped

# Colours are drawn onto a canvas, so that the browser itself says what they are. Text on a canvas, an image or an SVG
# has no background that style sheets name; switched off controls need no contrast (1.4.3).
_CONTRAST = """([least, leastLarge]) => {
  const cell = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const drawn = new Map();  // reading the canvas takes long, and a page has few colours
  const rgba = (colour) => {
    if (!drawn.has(colour)) {
      cell.clearRect(0, 0, 1, 1); cell.fillStyle = colour; cell.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = cell.getImageData(0, 0, 1, 1).data; drawn.set(colour, [r, g, b, a / 255]);
    }
    return [...drawn.get(colour)];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ancestors = (node) => { const all = []; for (; node; node = node.parentElement) all.push(node); return all; };
  const found = { texts: 0, low: [] };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    const skipped = element.closest("svg, canvas, script, style, template, noscript, :disabled");
    if (!text || skipped || !element.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange(); range.selectNode(walker.currentNode);
    const box = range.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const chain = ancestors(element), style = getComputedStyle(element);
    const see = chain.reduce((v, e) => v * getComputedStyle(e).opacity, 1);
    if (see < 0.05) continue;
    const layers = chain.map((e) => rgba(getComputedStyle(e).backgroundColor));
    const opaque = layers.findIndex((c) => c[3] === 1);
    const near = chain.slice(0, opaque + 1 || undefined);
    if (near.some((e) => e.querySelector(":scope > canvas, :scope > img"))) continue;
    const canvas = rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "black" : "white");
    const ground = layers.reverse().reduce((under, top) => over(top, under), canvas);
    const colour = rgba(style.color); colour[3] *= see;
    const [a, b] = [light(over(colour, ground)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    found.texts++;
    if (ratio < (large ? leastLarge : least))
      found.low.push(`${ratio.toFixed(2)} ${element.tagName.toLowerCase()}.${element.className}: ${text.slice(0, 50)}`);
  }
  return found;
}"""

# What the tab key can reach: of a group of radio buttons the chosen one, or the first.
_REACHABLE = """() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(":disabled") && e.tabIndex >= 0;
  const found = all.filter((e) => seen(e) && (e.type !== "radio" || e.checked));
  found.forEach((e, i) => { e.dataset.auditNumber = i; });
  return found.map((e) => e.outerHTML.slice(0, 120));
}"""
# A ring is the element's own outline, or one of a neighbour that stands for it (a picture above an invisible slider).
_FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const outline = (x) => getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth);
  const near = getComputedStyle(e).opacity > 0 ? [e] : [...e.parentElement.children, e.parentElement];
  const box = e.getBoundingClientRect(), inside = box.bottom > 0 && box.top < innerHeight;
  const number = e.dataset.auditNumber === undefined ? -1 : +e.dataset.auditNumber;
  return { number, ring: near.some((x) => outline(x) >= 1), inside, tag: e.outerHTML.slice(0, 120) };
}"""


@dataclass(frozen=True)
class TabWalk:
    """reachable: what there is to reach, in the document's order. order: the numbers of what was reached, as it was.
    ringless, unseen: what had the focus without a ring, or outside of the window."""

    reachable: tuple[str, ...]
    order: tuple[int, ...]
    ringless: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """Whether the focus goes through the page as it is read; −1 is an area that scrolls."""
        numbers = [number for number in self.order if number >= 0]
        return numbers == sorted(numbers)

    @property
    def faults(self) -> list[str]:
        """What was not reached, had no ring or was out of sight; an order unlike the document's."""
        missed = [f"not reached: {text}" for i, text in enumerate(self.reachable) if i not in self.order]
        ringless = [f"no ring: {text}" for text in self.ringless]
        unseen = [f"out of sight: {text}" for text in self.unseen]
        return [*missed, *ringless, *unseen, *([] if self.in_order else [f"order {self.order}"])]


def low_contrast(page) -> list[str]:
    """Visible texts with less contrast than WCAG's level AA asks for; a page without any text is an error."""
    found = page.evaluate(_CONTRAST, [CONTRAST, LARGE_CONTRAST])
    assert found["texts"] > 0, "no text was looked at"
    return found["low"]


def tab_walk(page) -> TabWalk:
    """Press the tab key until the focus comes back to what it began with, or leaves the page for the second time.

    Chromium begins where a page scrolled to while it was made; what it reaches before it leaves comes last in the page.
    """
    page.evaluate("document.activeElement.blur()")
    reachable = page.evaluate(_REACHABLE)
    order, ringless, unseen, left = [], [], [], None
    for _ in range(int(LOST * len(reachable)) + 6):
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUSED)
        if found is None and left is None:
            left = len(order)
            continue
        if found is None or (order and found["number"] == order[0]):
            begin = left or 0
            return TabWalk(tuple(reachable), (*order[begin:], *order[:begin]), tuple(ringless), tuple(unseen))
        order.append(found["number"])
        if not found["ring"]:
            ringless.append(found["tag"])
        if not found["inside"]:
            unseen.append(found["tag"])
    raise AssertionError(f"the tab key never left the page; it stood at {found}")
