"use strict";
(() => {
  const table = document.getElementById("board");
  const body = table.tBodies[0];
  const filters = [...document.querySelectorAll("[data-filter]")];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.textContent.trim() || null;
  };
  const filter = () => {
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = filters.some((box) => box.value && row.dataset[box.dataset.filter] !== box.value);
      shown += !row.hidden;
    }
    document.getElementById("count").textContent = `${shown} of ${body.rows.length} rows`;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "none" ? head.classList.contains("number") : head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, two) => {
        const a = value(one, column), b = value(two, column);
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  for (const box of filters) box.addEventListener("change", filter);
  filter();
})();
