"use strict";
const { rows, pictures, words, columns, summary, charts } = JSON.parse(document.getElementById("data").textContent);
const detail = document.getElementById("detail");
let chosen = null; // name of the image that is open
let marked = null; // its row
document.getElementById("summary").textContent = summary;

for (const [title, content] of Object.entries(charts)) {
  const image = document.createElement("img");
  image.alt = title;
  image.src = `data:image/png;base64,${content}`;
  document.querySelector("#charts div").append(image);
}

function show(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : value.toFixed(3);
}

// "<0.8", ">0.1", "0.2..0.5" for numbers; anything else is text that must occur.
function passes(query, value) {
  const text = query.trim();
  const range = text.match(/^(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)$/);
  const bound = text.match(/^([<>])\s*(-?[\d.]+)$/);
  if (!range && !bound) return show(value).toLowerCase().includes(text.toLowerCase());
  if (typeof value !== "number") return false;
  if (range) return value >= Number(range[1]) && value <= Number(range[2]);
  return bound[1] === "<" ? value < Number(bound[2]) : value > Number(bound[2]);
}

function sorterOf(field) {
  const known = rows.find((row) => row[field] !== null);
  const type = typeof (known && known[field]);
  return type === "string" || type === "boolean" ? type : "number";
}

function thumbnail(cell) {
  const picture = pictures[cell.getRow().getIndex()];
  const image = document.createElement("img");
  image.className = "thumbnail";
  image.alt = "";
  image.src = `data:image/jpeg;base64,${Object.values(picture)[0]}`;
  return image;
}

const table = new Tabulator("#table", {
  data: rows,
  index: "name",
  height: "100%",
  rowHeight: 50,
  layout: "fitDataFill",
  initialSort: [{ column: "dice", dir: "asc" }],
  columns: [
    { title: "", field: "picture", formatter: thumbnail, headerSort: false, width: 70 },
    ...columns.map(({ field, title, shown, tip }) => ({
      field,
      title,
      headerTooltip: tip || title,
      visible: shown,
      sorter: sorterOf(field),
      sorterParams: { alignEmptyValues: "bottom" },
      formatter: (cell) => document.createTextNode(show(cell.getValue())), // a string would be HTML
      headerFilter: "input",
      headerFilterFunc: passes,
    })),
  ],
});

function open(row) {
  chosen = row.getIndex();
  const data = row.getData();
  const heading = document.createElement("h2");
  heading.textContent = data.name;
  const shown = document.createElement("div");
  shown.className = "pictures";
  for (const [model, content] of Object.entries(pictures[chosen])) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = `${model}: Dice ${show(model === "improved" ? data.improved_dice : data.dice)}`;
    const image = document.createElement("img");
    image.alt = `${model}: errors on ${data.name}`;
    image.src = `data:image/jpeg;base64,${content}`;
    const said = document.createElement("p");
    said.textContent = words[chosen][model];
    figure.append(caption, image, said);
    shown.append(figure);
  }
  const values = document.createElement("table");
  for (const { field, title, tip } of columns) {
    const line = values.insertRow();
    line.insertCell().textContent = title;
    line.cells[0].title = tip || "";
    line.insertCell().textContent = show(data[field]);
  }
  detail.replaceChildren(heading, shown, values);
  detail.hidden = false;
  mark(row);
  row.scrollTo("nearest", false).catch(() => {});
}

function mark(row) {
  if (marked) marked.getElement().classList.remove("chosen");
  if (row) row.getElement().classList.add("chosen");
  marked = row;
}

function step(by) {
  const active = table.getRows("active");
  const at = active.findIndex((row) => row.getIndex() === chosen);
  const next = active[at < 0 ? 0 : Math.min(Math.max(at + by, 0), active.length - 1)];
  if (next) open(next);
}

function close() {
  chosen = null;
  detail.hidden = true;
  mark(null);
}

function count() {
  document.getElementById("count").textContent =
    `${table.getDataCount("active")} of ${rows.length} images`;
}

table.on("rowClick", (_, row) => open(row));
table.on("dataFiltered", () => setTimeout(count));
table.on("tableBuilt", count);
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type !== "checkbox") return;
  const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (by) {
    event.preventDefault();
    step(by);
  } else if (event.key === "Escape") close();
});
document.getElementById("all-columns").addEventListener("change", (event) => {
  for (const { field, shown } of columns) {
    if (event.target.checked || shown) table.showColumn(field);
    else table.hideColumn(field);
  }
});
document.getElementById("reset").addEventListener("click", () => table.clearHeaderFilter());
