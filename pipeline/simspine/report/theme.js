(() => {
  "use strict";
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("simspine-theme");
  } catch {
    // Some browsers keep nothing for pages opened from a folder.
  }
  const shown = () => chosen ?? (dark.matches ? "dark" : "light");
  const apply = () => {
    if (chosen) root.dataset.theme = chosen;
    button.textContent = shown() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${button.textContent.toLowerCase()} theme`);
    button.hidden = false;
    document.dispatchEvent(new Event("simspine-theme"));
  };
  button.addEventListener("click", () => {
    chosen = shown() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("simspine-theme", chosen);
    } catch {
      // see above
    }
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
  // A script that fails leaves players without a picture: their boxes say so.
  const failed = () => {
    for (const root of document.querySelectorAll(".player")) {
      if (!root.player) root.querySelector('[data-part="failed"]').hidden = false;
    }
  };
  addEventListener("error", failed);
  // A heading that a link leads to is opened; on paper all are open.
  const reveal = () => {
    const part = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details");
    if (part) part.open = true;
  };
  addEventListener("hashchange", reveal);
  const narrow = matchMedia("screen and (max-width: 44rem)");
  const fold = () => {
    for (const part of document.querySelectorAll("details.fold")) part.open = !narrow.matches;
  };
  narrow.addEventListener("change", fold);
  fold();
  reveal();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open], .p-pick)")];
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
})();
