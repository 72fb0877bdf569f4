"use strict";
// Tables are sorted by the buttons in their headings; what has no value comes last either way.

function keyOf(row, column) {
  const cell = row.cells[column];
  if (!("value" in cell.dataset)) return cell.textContent.trim();
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

function compare(one, other) {
  if (typeof one === "number") return one - other;
  return one.localeCompare(other, "en", { numeric: true });
}

function sortBy(button) {
  const heading = button.closest("th"), table = button.closest("table");
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0], column = Number(button.dataset.column);
  const rows = [...body.rows].map(row => [keyOf(row, column), row]);
  rows.sort(([one], [other]) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return down ? compare(other, one) : compare(one, other);
  });
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("table.sortable thead button"))
  button.addEventListener("click", () => sortBy(button));

// a search hides the scans whose rows lack one of its words; without a script there is none
const search = document.getElementById("search");

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), texts = new Map(), found = new Set();
  const rows = [...document.querySelectorAll("main tbody tr")].map(row => [row.cells[0].textContent.trim(), row]);
  for (const [scan, row] of rows) texts.set(scan, `${texts.get(scan) || ""} ${row.textContent.toLowerCase()}`);
  for (const [scan, text] of texts) if (words.every(word => text.includes(word))) found.add(scan);
  for (const [scan, row] of rows) row.hidden = !found.has(scan);
  const told = search.closest(".search").querySelector("[role=status]");
  told.textContent = words.length ? `${found.size} scan${found.size === 1 ? "" : "s"}` : "";
}

if (search) {
  search.closest(".search").hidden = false;
  search.addEventListener("input", find);
  find();  // a page that is gone back to keeps what was typed
}

// what is wider than the screen says that it goes on
function markWide() {
  for (const each of document.querySelectorAll(".scroll"))
    each.classList.toggle("wide", each.scrollWidth > each.clientWidth + 1);
}

addEventListener("load", markWide);
addEventListener("resize", markWide);
for (const each of document.querySelectorAll("details")) each.addEventListener("toggle", markWide);
// paper has no button to open what is folded
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { each.open = true; each.dataset.folded = ""; }
});
addEventListener("afterprint", () => {
  for (const each of document.querySelectorAll("details[data-folded]")) { each.open = false; delete each.dataset.folded; }
});
