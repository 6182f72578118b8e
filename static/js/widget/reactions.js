// Reactions on any page: <script src="…/static/js/widget/reactions.js" data-key="pk-…" defer></script>
// and <span data-preferendum="COMPLETION_ID"></span> wherever an answer stands; the key needs the scope
// "react" only. A reaction is kept, also over visits, until the server has answered for it.
(() => {
  const script = document.currentScript, box = "preferendum:unsent", again = [408, 425, 429];
  const door = new URL("/v1/feedback", script.src).href;
  let kept = [];
  const read = () => { try { kept = [].concat(JSON.parse(localStorage.getItem(box)) ?? []); } catch { /* no storage */ } return kept; };
  const write = (list) => { kept = list; try { localStorage.setItem(box, JSON.stringify(list)); } catch { /* no storage */ } };
  const uuid = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) =>
    (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16)); // also on plain http
  const send = (body) => fetch(door, {
    method: "POST", keepalive: true, credentials: "omit", body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${script.dataset.key}`, "Content-Type": "application/json" },
  }).then(({ status, ok }) => {
    if (status >= 500 || again.includes(status)) return true;
    write(read().filter(({ id }) => id !== body.id));
    return ok;
  }, () => true);
  const flush = () => read().forEach(send);
  const mount = (place) => ["like", "dislike"].forEach((reaction, n) => {
    if (place.childElementCount > n) return;
    const label = ["Good answer", "Bad answer"][n];
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: ["👍", "👎"][n], title: label });
    button.setAttribute("aria-label", label);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      const answer = place.dataset.preferendum, off = button.getAttribute("aria-pressed") === "true";
      const body = { completion_id: answer, id: uuid(), ...(off ? { value: 0 } : { reaction }) };
      // A newer word on an answer takes the place of one that was not told yet.
      write([...read().filter((one) => one.completion_id !== answer).slice(-99), body]);
      const done = await send(body);
      for (const other of place.children) other.setAttribute("aria-pressed", String(done && !off && other === button));
    });
    place.append(button);
  });
  const mountAll = () => document.querySelectorAll("[data-preferendum]").forEach(mount);
  new MutationObserver(mountAll).observe(document.documentElement, { childList: true, subtree: true });
  addEventListener("online", flush);
  setInterval(flush, 30_000);
  mountAll();
  flush();
})();
