// A little comfort; every page works without it.
const box = document.getElementById("q");

// "/" goes to the search box, as on most sites; Escape leaves it.
document.addEventListener("keydown", (event) => {
  if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape" && document.activeElement === box) {
    box.blur();
  }
});

// One open reason at a time, so that the grid stays calm.
for (const details of document.querySelectorAll("details.why")) {
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    for (const other of document.querySelectorAll("details.why[open]")) {
      if (other !== details) other.open = false;
    }
  });
}
