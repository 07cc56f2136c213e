// A table of trials: a click on a heading sorts, a field above it filters.
(() => {
  "use strict";
  // The first number of a cell, so that 9.1° stands before 12.8°; text where there is none.
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace("−", "-").replace(/^[^\d-]+/, ""));
    return column && Number.isFinite(number) ? number : text;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return typeof a === "number" ? -1 : 1;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        rows.sort((a, b) => (up ? 1 : -1) * compare(value(a, column), value(b, column)));
        body.append(...rows);
      });
    });
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Filter: part of a name, or of a verdict";
    field.setAttribute("aria-label", "Filter the trials");
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    const told = () => (count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} trials`);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      told();
    });
    const bar = document.createElement("p");
    bar.className = "filter";
    bar.append(field, count);
    table.parentElement.before(bar);
    told();
  }
})();
