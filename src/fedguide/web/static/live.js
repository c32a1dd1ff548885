// A run that is going on: when a round is done, the page's own HTML is fetched again.
// Without JavaScript there is a link that does the same.
const place = document.getElementById("live");

if (place?.dataset.stream && "EventSource" in window) {
  const shown = place.querySelectorAll("tbody tr").length;
  const source = new EventSource(place.dataset.stream);
  const renew = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (fresh) place.replaceChildren(...fresh.childNodes);
  };
  source.addEventListener("round", (event) => {
    if (Number(event.lastEventId) > shown) renew();
  });
  source.addEventListener("end", () => {
    source.close();
    renew();
  });
}
