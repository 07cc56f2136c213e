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
    field.placeholder = "Filter: part of a name, or of a label";
    field.setAttribute("aria-label", "Filter the trials");
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    const told = () => (count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} trials`);
    let chosen = "";
    const filter = () => {
      const words = `${field.value} ${chosen}`.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      told();
    };
    field.addEventListener("input", filter);
    const bar = document.createElement("p");
    bar.className = "filter";
    bar.append(field);
    // What nobody can type: the signs of the findings. One at a time; a second press shows all again.
    for (const [sign, text] of [["■", "problems"], ["▲", "to look at"], ["●", "in order"]]) {
      const there = rows.filter((row) => row.textContent.includes(sign)).length;
      if (!there) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${sign} ${text} (${there})`;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        for (const other of bar.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(on));
        chosen = on ? sign : "";
        filter();
      });
      bar.append(button);
    }
    bar.append(count);
    table.parentElement.before(bar);
    told();
  }
})();
